import { isForbiddenTrailer } from "../h1/chunked.ts";
import { isFieldName } from "./field-text.ts";

/** What a field name means here; `other` names mean nothing, `id` is what differs from request to request. */
export type Meaning =
  | "other"
  | "host"
  | "length"
  | "cookie"
  | "te"
  | "connection"
  | "upgrade"
  | "hop"
  | "id";

const MEANINGS: ReadonlyMap<string, Meaning> = new Map([
  ["connection", "connection"],
  ["content-length", "length"],
  ["cookie", "cookie"],
  ["host", "host"],
  ["keep-alive", "hop"],
  ["proxy-connection", "hop"],
  ["te", "te"],
  ["traceparent", "id"],
  ["transfer-encoding", "hop"],
  ["upgrade", "upgrade"],
  ["x-request-id", "id"],
]);

/** A name, in one spelling. */
export interface KnownName {
  readonly lower: string;
  /** As it is spelled, it is a name that HTTP/2 may have. */
  readonly isValid: boolean;
  readonly meaning: Meaning;
  readonly mayTrail: boolean;
}

/** Honest programs have few names; one that makes names up cannot fill the memory with them. */
const MAX_NAMES = 1_024;
const MAX_NAME_LENGTH = 64;

const names = new Map<string, KnownName>();

/**
 * What is known of a name in the spelling that it has. One look-up instead of a look at each character, and the same
 * lower-case string each time, which HPACK finds faster.
 */
export function knownName(name: string): KnownName {
  return names.get(name) ?? learnName(name);
}

function learnName(name: string): KnownName {
  const lower = name.toLowerCase();
  const known: KnownName = {
    lower,
    isValid: isFieldName(name),
    meaning: MEANINGS.get(lower) ?? "other",
    mayTrail: !isForbiddenTrailer(lower),
  };
  if (name.length > MAX_NAME_LENGTH) return known;
  if (names.size === MAX_NAMES) names.clear();
  // A copy: the head that the name was cut from shall not stay in memory with it.
  const copy = Buffer.from(lower, "latin1").toString("latin1");
  const kept = { ...known, lower: copy };
  names.set(name === lower ? copy : Buffer.from(name, "latin1").toString("latin1"), kept);
  return kept;
}

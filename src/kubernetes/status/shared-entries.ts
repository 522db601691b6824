import { isDeepStrictEqual } from "node:util";
import { isRecord } from "../api/objects.ts";
import {
  CONTROLLER_NAME,
  conditionsSince,
  listOf,
  textOf,
  type WantedCondition,
} from "./conditions.ts";

/** What we say of one of the things that an object refers to. */
export interface WantedEntry {
  /** The reference, as it stands in the object. */
  readonly ref: Readonly<Record<string, unknown>>;
  readonly conditions: readonly WantedCondition[];
}

/** Gateway API's lists that several controllers write to, each its own entries. */
export const PARENTS = { list: "parents", ref: "parentRef", most: 32 } as const;
export const ANCESTORS = { list: "ancestors", ref: "ancestorRef", most: 16 } as const;
type SharedList = typeof PARENTS | typeof ANCESTORS;

/**
 * The status with our entries as they should be, and those of others untouched: a merge patch, which replaces lists as a
 * whole. Null: it is so already. What does not fit behind the entries of others is left out.
 */
export function entriesPatch(
  status: unknown,
  { list, ref, most }: SharedList,
  wanted: readonly WantedEntry[],
  now: string,
): Readonly<Record<string, unknown>> | null {
  const present = listOf(isRecord(status) ? status[list] : undefined);
  const waiting = [...wanted];
  // An entry stays where it is, so that nobody's order is disturbed.
  const kept = present.flatMap((entry) => {
    if (entry["controllerName"] !== CONTROLLER_NAME) return [entry];
    const index = waiting.findIndex((one) => isSameRef(one.ref, entry[ref]));
    const [found] = index === -1 ? [] : waiting.splice(index, 1);
    return found === undefined ? [] : [entryOf(found, ref, entry["conditions"], now)];
  });
  const entries = [...kept, ...waiting.map((one) => entryOf(one, ref, [], now))].slice(0, most);
  return isDeepStrictEqual(entries, present) ? null : { [list]: entries };
}

function entryOf(
  wanted: WantedEntry,
  ref: string,
  conditions: unknown,
  now: string,
): Readonly<Record<string, unknown>> {
  return {
    [ref]: wanted.ref,
    controllerName: CONTROLLER_NAME,
    conditions: conditionsSince(conditions, wanted.conditions, now),
  };
}

const REF_FIELDS = ["group", "kind", "namespace", "name", "sectionName", "port"];
const DEFAULTS = new Map([
  ["group", "gateway.networking.k8s.io"],
  ["kind", "Gateway"],
]);

/** The API server fills in defaults of what is written. */
function isSameRef(one: Readonly<Record<string, unknown>>, other: unknown): boolean {
  if (!isRecord(other)) return false;
  const read = (ref: Readonly<Record<string, unknown>>, field: string) =>
    String(ref[field] ?? textOf(DEFAULTS.get(field), ""));
  return REF_FIELDS.every((field) => read(one, field) === read(other, field));
}

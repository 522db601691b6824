import { LONGEST_TIMER_MS, sumOfParts } from "../../../core/durations.ts";
import { GRPC_RETRY_CONDITIONS } from "../../../core/grpc.ts";
import { RETRY_CONDITIONS, type RetryCondition, type RetryRule } from "../../../core/traffic.ts";
import type { RequestHead } from "../../../http/message.ts";

/** What a request asks for itself, in the headers of Envoy and Linkerd and in gRPC's. Absent: it does not say. */
export interface Overrides {
  /** Whole request in ms; 0: no limit. */
  requestMs?: number;
  /** Of one try; 0: none. */
  perTryMs?: number;
  /** What is left to the caller itself (`grpc-timeout`, `x-envoy-expected-rq-timeout-ms`); shortens, never lengthens. */
  deadlineMs?: number;
  /** Tries after the first. */
  retries?: number;
  /** Conditions and statuses beside those of the rule (Envoy), */
  on?: readonly RetryCondition[];
  statuses?: (readonly [from: number, to: number])[];
  /** or in place of the rule's (Linkerd). */
  replaces?: true;
  /** The fields to leave out of what goes to the endpoint, lower-case. */
  readonly strip: string[];
}

/** Does any line of the head begin like one of ours? Most requests have none, and are not split for it. */
const ANY = /^(?:x-envoy-|l5d-|grpc-timeout)/im;

/** A single part, as Linkerd writes it: `500ms`, `1.5s`, `2m`, `1h`. */
const DURATION = /^(\d{1,10}(?:\.\d{1,9})?)(ms|s|m|h)$/g;
const GRPC_UNITS: Readonly<Record<string, number>> = {
  H: 3.6e6,
  M: 6e4,
  S: 1e3,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

const READERS: Readonly<Record<string, (value: string, into: Overrides) => void>> = {
  "x-envoy-upstream-rq-timeout-ms": (value, into) => setMs(into, "requestMs", integer(value)),
  "x-envoy-upstream-rq-per-try-timeout-ms": (value, into) =>
    setMs(into, "perTryMs", integer(value)),
  "x-envoy-expected-rq-timeout-ms": (value, into) => shorten(into, integer(value)),
  "x-envoy-max-retries": (value, into) => setRetries(into, integer(value)),
  "x-envoy-retry-on": (value, into) => addConditions(into, listOf(value), ENVOY_CONDITIONS),
  "x-envoy-retry-grpc-on": (value, into) => addConditions(into, listOf(value), GRPC_CONDITIONS),
  "x-envoy-retriable-status-codes": (value, into) => addStatuses(into, listOf(value)),
  "l5d-timeout": (value, into) => setMs(into, "requestMs", duration(value)),
  "l5d-request-timeout": (value, into) => setMs(into, "requestMs", duration(value)),
  "l5d-response-timeout": (value, into) => shorten(into, duration(value)),
  "l5d-retry-limit": (value, into) => setRetries(into, integer(value)),
  "l5d-retry-timeout": (value, into) => setMs(into, "perTryMs", duration(value)),
  "l5d-retry-http": (value, into) => {
    addStatuses(into, listOf(value));
    if (into.statuses === undefined) return;
    into.replaces = true;
    into.on = [...(into.on ?? []), "timeout"];
  },
  "l5d-retry-grpc": (value, into) => {
    if (!addConditions(into, listOf(value), GRPC_CONDITIONS)) return;
    into.replaces = true;
    into.on = [...(into.on ?? []), "timeout"];
  },
  "grpc-timeout": (value, into) => shorten(into, grpcDuration(value)),
};

const GRPC_CONDITIONS: ReadonlyMap<string, RetryCondition> = new Map(
  GRPC_RETRY_CONDITIONS.map((name) => [name, name]),
);
/** All but our own, and those of gRPC, which have a field of their own. */
const ENVOY_CONDITIONS: ReadonlyMap<string, RetryCondition> = new Map(
  RETRY_CONDITIONS.filter((name) => name !== "timeout" && !GRPC_CONDITIONS.has(name)).map(
    (name) => [name, name],
  ),
);

/**
 * The overrides of a request, or null where it has none. Only for callers that may set them. A value that cannot be
 * understood is as if it were not there, and its field is left out all the same.
 */
export function readOverrides(head: RequestHead): Overrides | null {
  if (!ANY.test(head.passed)) return null;
  const { fields } = head;
  let overrides: Overrides | null = null;
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!.toLowerCase();
    if (!Object.hasOwn(READERS, name)) continue;
    overrides ??= { strip: [] };
    if (!overrides.strip.includes(name)) overrides.strip.push(name);
    READERS[name]!(fields[at + 1]!.trim(), overrides);
  }
  return overrides;
}

/**
 * The retry rule that holds for a request with overrides; null where it is not to be repeated. Conditions that a request
 * names itself count as its author's word that repeating it is safe. At most `maxRetries`.
 */
export function overriddenRetry(
  rule: RetryRule | null,
  overrides: Overrides,
  maxRetries: number,
): RetryRule | null {
  const { on, statuses, retries, perTryMs } = overrides;
  const names = on !== undefined || statuses !== undefined;
  if (rule === null && !names) return null;
  const kept = rule === null || overrides.replaces === true ? BARE : rule;
  const base = rule ?? BARE;
  const tryMs = perTryMs ?? base.perTryMs;
  return {
    ...base,
    attempts: Math.min(retries ?? Math.max(base.attempts, names ? 1 : 0), maxRetries),
    ...(tryMs !== undefined && { perTryMs: tryMs }),
    on: [...kept.on, ...(on ?? [])],
    statuses: [...kept.statuses, ...(statuses ?? [])],
    unsafe: base.unsafe || statuses !== undefined || on?.some(isOfHttp) === true,
  };
}

/** Whoever names statuses of gRPC speaks of those alone. */
const isOfHttp = (condition: RetryCondition) => !GRPC_CONDITIONS.has(condition);

/** Where only the request asks for retries: Envoy's number and pauses, which are Linkerd's too. */
const BARE: RetryRule = {
  attempts: 1,
  on: [],
  statuses: [],
  backoff: { baseMs: 25, maxMs: 250 },
  unsafe: false,
  avoidTried: true,
};

/**
 * Lines for the endpoint that say how long its caller will wait: Envoy's header, and in a gRPC request also its own, so
 * that work which nobody waits for is not begun further on.
 */
export function deadlineLine(remainingMs: number, grpc = false): string {
  const ms = Math.max(1, Math.min(Math.floor(remainingMs), LONGEST_TIMER_MS));
  const line = `x-envoy-expected-rq-timeout-ms: ${ms}\r\n`;
  // At most 8 digits (gRPC over HTTP/2), which ms exceed after a day.
  const grpcValue = ms < 1e8 ? `${ms}m` : `${Math.floor(ms / 1_000)}S`;
  return grpc ? `${line}grpc-timeout: ${grpcValue}\r\n` : line;
}

function setMs(into: Overrides, field: "requestMs" | "perTryMs", ms: number | null): void {
  if (ms !== null) into[field] = ms;
}

function shorten(into: Overrides, ms: number | null): void {
  // No time left is no time; but 0 means "no limit" wherever a limit is set.
  if (ms !== null) into.deadlineMs = Math.max(1, Math.min(ms, into.deadlineMs ?? ms));
}

function setRetries(into: Overrides, count: number | null): void {
  if (count !== null) into.retries = count;
}

/** Did any of them mean something? */
function addConditions(
  into: Overrides,
  names: readonly string[],
  known: ReadonlyMap<string, RetryCondition>,
): boolean {
  const on = names.flatMap((name) => known.get(name) ?? []);
  if (on.length > 0) into.on = [...(into.on ?? []), ...on];
  return on.length > 0;
}

function addStatuses(into: Overrides, names: readonly string[]): void {
  const statuses = names.flatMap((name) => {
    const range = statusRange(name);
    return range === null ? [] : [range];
  });
  if (statuses.length > 0) into.statuses = [...(into.statuses ?? []), ...statuses];
}

/** `5xx`, `gateway-error`, `NNN` or `NNN-NNN`, as Linkerd writes it. */
function statusRange(text: string): readonly [number, number] | null {
  if (text === "5xx") return [500, 599];
  if (text === "gateway-error") return [502, 504];
  const range = /^(\d{3})(?:-(\d{3}))?$/.exec(text);
  if (range === null) return null;
  const from = Number(range[1]);
  const to = Number(range[2] ?? range[1]);
  return from >= 100 && from <= to && to <= 599 ? [from, to] : null;
}

function listOf(value: string): string[] {
  return value
    .toLowerCase()
    .split(",", 100)
    .map((one) => one.trim());
}

function integer(text: string): number | null {
  return /^\d{1,10}$/.test(text) ? Math.min(Number(text), LONGEST_TIMER_MS) : null;
}

/** An empty value says nothing; it is not 0, which would be no limit. */
function duration(text: string): number | null {
  const ms = text === "" ? null : sumOfParts(text, DURATION);
  return ms === null ? null : Math.min(Math.round(ms), LONGEST_TIMER_MS);
}

/** gRPC over HTTP/2: at most 8 digits and a unit. */
function grpcDuration(text: string): number | null {
  const parts = /^(\d{1,8})([HMSmun])$/.exec(text);
  if (parts === null) return null;
  return Math.min(Math.floor(Number(parts[1]) * GRPC_UNITS[parts[2]!]!), LONGEST_TIMER_MS);
}

import { singleDuration } from "../../core/durations.ts";
import type {
  AdaptiveConcurrency,
  OutlierPolicy,
  RateKey,
  RateLimitRule,
} from "../../core/traffic.ts";

/** Annotations of our own, for what no dialect has a field for. On Services, and in the Meta of registrations. */
export const RATE_LIMIT = "hostmesh.io/rate-limit";
export const OUTLIER_LATENCY = "hostmesh.io/outlier-latency";
export const ADAPTIVE_CONCURRENCY = "hostmesh.io/adaptive-concurrency";

const MAX_LENGTH = 512;
const MAX_REQUESTS = 10_000_000;
const MAX_KEYS = 4;
const MAX_MS = 86_400_000;
/** As the settings `balance.*` have them: these detectors go on where only latency is spoken of. */
const DETECTORS: OutlierPolicy = {
  consecutive5xx: 5,
  consecutiveGateway: 0,
  consecutiveLocal: 5,
  splitLocalErrors: false,
  intervalMs: 10_000,
  baseEjectionMs: 30_000,
  maxEjectionMs: 300_000,
  maxEjectionPercent: 50,
  minHealthPercent: 0,
};

/** A text that is not what an annotation takes; the message says what to write instead. */
export class AnnotationError extends Error {
  constructor(found: string, instead: string) {
    super(`${found}: write ${instead}`);
    this.name = "AnnotationError";
  }
}

const RATE_EXAMPLE = '"100/s", "100/s; burst=20" or "100/s; by=source,header:x-api-key"';

/**
 * `REQUESTS/PERIOD; burst=N; by=source,header:NAME`. The period is a unit (s, m, h, d) or a duration (10s); the burst is
 * at first as many requests as the period has. `name` is that of the limit, unique over the mesh. Throws
 * {@link AnnotationError}.
 */
export function parseRateLimit(text: string, name: string): RateLimitRule {
  const [rate = "", ...options] = partsOf(text, RATE_EXAMPLE);
  const [, count = "", period = ""] = /^(\d+)\s*\/\s*(\S+)$/.exec(rate) ?? [];
  const requests = Number(count);
  const periodMs = periodOf(period);
  if (count === "" || requests < 1 || requests > MAX_REQUESTS || periodMs === null) {
    throw new AnnotationError(`"${rate}" is no rate`, RATE_EXAMPLE);
  }
  const given = optionsOf(options, ["burst", "by"], RATE_EXAMPLE);
  const by = given.get("by");
  const burst = given.get("burst");
  return {
    ...{ name, requests, periodMs },
    burst: burst === undefined ? requests : countOf("burst", burst, RATE_EXAMPLE),
    per: by === undefined ? [] : keysOf(by),
  };
}

const LATENCY_EXAMPLE = '"factor=3; min=50ms" (and "; hosts=3")';

/**
 * `factor=N; min=DURATION; hosts=N`: an endpoint is ejected whose latency is above so many times the median of the
 * others', and above `min`, where there are so many. The other detectors keep their defaults. Throws
 * {@link AnnotationError}.
 */
export function parseOutlierLatency(text: string): OutlierPolicy {
  const given = optionsOf(
    partsOf(text, LATENCY_EXAMPLE),
    ["factor", "min", "hosts"],
    LATENCY_EXAMPLE,
  );
  const factor = Number(given.get("factor"));
  if (!(factor > 1 && factor <= 1_000)) {
    throw new AnnotationError("factor must be a number above 1", LATENCY_EXAMPLE);
  }
  const min = given.get("min") ?? "0ms";
  const minMs = /^\d/.test(min) ? durationMs(min) : null;
  if (minMs === null) throw new AnnotationError(`"${min}" is no duration`, LATENCY_EXAMPLE);
  const hosts = given.get("hosts");
  const minHosts = hosts === undefined ? 3 : countOf("hosts", hosts, LATENCY_EXAMPLE);
  return { ...DETECTORS, latency: { factor, minMs, minHosts } };
}

const CONCURRENCY_EXAMPLE = '"min=5; max=200"';

/** `min=N; max=N`: the bounds between which the limit of requests in flight moves. Throws {@link AnnotationError}. */
export function parseAdaptiveConcurrency(text: string): AdaptiveConcurrency {
  const parts = partsOf(text, CONCURRENCY_EXAMPLE);
  const given = optionsOf(parts, ["min", "max"], CONCURRENCY_EXAMPLE);
  const minLimit = countOf("min", given.get("min") ?? "5", CONCURRENCY_EXAMPLE);
  const maxLimit = countOf("max", given.get("max") ?? "200", CONCURRENCY_EXAMPLE);
  if (minLimit > maxLimit) throw new AnnotationError("min is above max", CONCURRENCY_EXAMPLE);
  return { minLimit, maxLimit };
}

function partsOf(text: string, example: string): string[] {
  if (text.length > MAX_LENGTH) throw new AnnotationError("too long", example);
  const parts = text.split(";").map((part) => part.trim());
  // One may stand behind the last part.
  if (parts.length > 1 && parts.at(-1) === "") parts.pop();
  return parts;
}

function optionsOf(
  parts: readonly string[],
  known: readonly string[],
  example: string,
): ReadonlyMap<string, string> {
  const given = new Map<string, string>();
  for (const part of parts) {
    const [, name = "", value = ""] = /^([a-z]+)\s*=\s*(\S.*)$/.exec(part) ?? [];
    if (!known.includes(name)) throw new AnnotationError(`"${part}" is not known`, example);
    if (given.has(name)) throw new AnnotationError(`${name} is given twice`, example);
    given.set(name, value);
  }
  return given;
}

function countOf(name: string, text: string, example: string): number {
  const count = /^\d{1,8}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= MAX_REQUESTS) return count;
  throw new AnnotationError(`${name} must be a number from 1 to ${MAX_REQUESTS}`, example);
}

function keysOf(text: string): RateKey[] {
  const keys = text.split(",").map((part): RateKey => {
    const key = part.trim();
    if (key === "source") return { kind: "source" };
    const [, name] = /^header:([A-Za-z0-9!#$%&'*+.^_`|~-]{1,128})$/.exec(key) ?? [];
    if (name !== undefined) return { kind: "header", name: name.toLowerCase() };
    throw new AnnotationError(`by "${key}" is not known`, RATE_EXAMPLE);
  });
  const distinct = new Set(keys.map((key) => JSON.stringify(key)));
  if (distinct.size === keys.length && keys.length <= MAX_KEYS) return keys;
  throw new AnnotationError(`by takes up to ${MAX_KEYS} different keys`, RATE_EXAMPLE);
}

function periodOf(text: string): number | null {
  const ms = durationMs(/^(?:s|m|h|d)$/.test(text) ? `1${text}` : text);
  return ms === 0 ? null : ms;
}

/** `10s`, in ms; null for what is none, or is not between a millisecond and a day. 0 is one with its unit. */
function durationMs(text: string): number | null {
  const ms = singleDuration(text);
  return ms !== null && ms <= MAX_MS ? ms : null;
}

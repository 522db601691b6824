import { singleDuration } from "../../core/durations.ts";
import { GRPC_RETRY_CONDITIONS, type GrpcRetryCondition } from "../../core/grpc.ts";
import type {
  FailureAccrual,
  OutlierPolicy,
  RetryRule,
  RouteTimeouts,
  TrafficSettings,
} from "../../core/traffic.ts";
import {
  ADAPTIVE_CONCURRENCY,
  OUTLIER_LATENCY,
  parseAdaptiveConcurrency,
  parseOutlierLatency,
  parseRateLimit,
  RATE_LIMIT,
} from "../hostmesh/own-annotations.ts";

const RETRY_HTTP = "retry.linkerd.io/http";
const RETRY_GRPC = "retry.linkerd.io/grpc";
const RETRY_LIMIT = "retry.linkerd.io/limit";
const RETRY_TIMEOUT = "retry.linkerd.io/timeout";
const TIMEOUT_REQUEST = "timeout.linkerd.io/request";
const TIMEOUT_RESPONSE = "timeout.linkerd.io/response";
const TIMEOUT_IDLE = "timeout.linkerd.io/idle";
const ACCRUAL = "balancer.linkerd.io/failure-accrual";
const ACCRUAL_MAX_FAILURES = `${ACCRUAL}-consecutive-max-failures`;
const ACCRUAL_MIN_PENALTY = `${ACCRUAL}-consecutive-min-penalty`;
const ACCRUAL_MAX_PENALTY = `${ACCRUAL}-consecutive-max-penalty`;
const ACCRUAL_JITTER = `${ACCRUAL}-consecutive-jitter-ratio`;
const ALPHA = "balancer.alpha.linkerd.io/";
const SUCCESS_RATE = `${ALPHA}failure-accrual-success-rate-`;
/** Of a Service or of its namespace. */
export const OPAQUE_PORTS = "config.linkerd.io/opaque-ports";

/** linkerd2's policy-controller/grpc/src/outbound/http.rs, and its proxy's replay buffer. */
const BACKOFF = { baseMs: 25, maxMs: 250 };
const BODY_BYTES = 65_536;
const MAX_RETRIES = 65_535;

export interface AnnotatedSettings {
  readonly settings: TrafficSettings;
  /** Ports at which nothing is to be found out about the protocol: it is TCP. */
  readonly opaquePorts: readonly number[];
}

/** Hears of annotations that have no effect, or another than Linkerd's. */
export type WarnOfAnnotation = (annotation: string, message: string) => void;

/**
 * What Linkerd's annotations and our own say of a service (or of a route: its retries, timeouts and rate limits). The
 * `Meta` of a registration may hold the same keys. `owner` names the service or route: rate limits are known by it. An
 * annotation that cannot be read has no effect, as in Linkerd, but is told.
 */
export function settingsOfAnnotations(
  annotations: Readonly<Record<string, string>>,
  warn: WarnOfAnnotation,
  owner: string,
): AnnotatedSettings {
  const reader = new AnnotationReader(annotations, warn);
  const timeouts = timeoutsOf(reader, warn);
  const retry = retryOf(reader, warn);
  const accrual = accrualOf(reader, warn);
  const rateLimit = reader.read(RATE_LIMIT, (text) => parseRateLimit(text, `annotation ${owner}`));
  const outlier: OutlierPolicy | null = reader.read(OUTLIER_LATENCY, parseOutlierLatency);
  const concurrency = reader.read(ADAPTIVE_CONCURRENCY, parseAdaptiveConcurrency);
  const opaquePorts = reader.read(OPAQUE_PORTS, portsOf) ?? [];
  for (const name of Object.keys(annotations)) {
    if (
      /^(retry|timeout|balancer|balancer\.alpha)\.linkerd\.io\//.test(name) &&
      !reader.knows(name)
    ) {
      warn(name, "no effect: not known");
    }
  }
  const settings: TrafficSettings = {
    ...(Object.keys(timeouts).length === 0 ? {} : { timeouts }),
    ...(retry === null ? {} : { retry }),
    ...(accrual === null ? {} : { accrual }),
    ...(rateLimit === null ? {} : { rateLimits: [rateLimit] }),
    ...(outlier === null ? {} : { outlier }),
    ...(concurrency === null ? {} : { concurrency }),
  };
  return { settings, opaquePorts };
}

/** Reads annotations and tells of those that cannot be read. */
class AnnotationReader {
  readonly #annotations: Readonly<Record<string, string>>;
  readonly #warn: WarnOfAnnotation;
  readonly #asked = new Set<string>();

  constructor(annotations: Readonly<Record<string, string>>, warn: WarnOfAnnotation) {
    this.#annotations = annotations;
    this.#warn = warn;
  }

  knows(name: string): boolean {
    return this.#asked.has(name);
  }

  has(name: string): boolean {
    this.#asked.add(name);
    return Object.hasOwn(this.#annotations, name);
  }

  /** Null: it is not there, or not to be read. `parse` throws with what is wrong. */
  read<T>(name: string, parse: (text: string) => T): T | null {
    if (!this.has(name)) return null;
    try {
      return parse((this.#annotations[name] ?? "").trim());
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#warn(name, `no effect: ${reason}`);
      return null;
    }
  }
}

/** Both limits of Linkerd end with the response; the model has one, which begins where its `response` does. */
function timeoutsOf(reader: AnnotationReader, warn: WarnOfAnnotation): RouteTimeouts {
  const request = reader.read(TIMEOUT_REQUEST, durationOf);
  const response = reader.read(TIMEOUT_RESPONSE, durationOf);
  const idle = reader.read(TIMEOUT_IDLE, durationOf);
  if (request !== null && response !== null) {
    const [shorter, longer] =
      request <= response
        ? [TIMEOUT_REQUEST, TIMEOUT_RESPONSE]
        : [TIMEOUT_RESPONSE, TIMEOUT_REQUEST];
    warn(longer, `no effect: ${shorter} is not longer, and ends the request before`);
  }
  const limits = [request, response].filter((limit) => limit !== null);
  return {
    ...(limits.length === 0 ? {} : { requestMs: Math.min(...limits) }),
    ...(idle === null ? {} : { idleMs: idle }),
  };
}

function retryOf(reader: AnnotationReader, warn: WarnOfAnnotation): RetryRule | null {
  const statuses = reader.read(RETRY_HTTP, statusesOf);
  const grpc = reader.read(RETRY_GRPC, grpcOf);
  const limit = reader.read(RETRY_LIMIT, limitOf);
  const perTryMs = reader.read(RETRY_TIMEOUT, durationOf);
  const given = [RETRY_LIMIT, RETRY_TIMEOUT].filter((name) => reader.has(name));
  if (statuses === null && grpc === null) {
    const [first] = given;
    if (first === undefined || (limit === null && perTryMs === null)) return null;
    const meaning = `differently: Linkerd would retry nothing without ${RETRY_HTTP}; here 502, 503, 504 and failures without response are retried where that is safe`;
    warn(first, meaning);
  }
  return {
    attempts: limit ?? 1,
    ...(perTryMs === null ? {} : { perTryMs }),
    on: [
      "connect-failure",
      "refused-stream",
      ...(perTryMs === null ? [] : (["timeout"] as const)),
      ...(grpc ?? []),
      ...(statuses === null && grpc === null ? (["gateway-error"] as const) : []),
    ],
    statuses: statuses ?? [],
    backoff: BACKOFF,
    // Who lists what is retried says that it may be; Linkerd asks for no method.
    unsafe: statuses !== null || grpc !== null,
    avoidTried: true,
    bodyBytes: BODY_BYTES,
  };
}

/** `5xx`, `gateway-error`, `503`, `500-504`, separated by commas. */
function statusesOf(text: string): [from: number, to: number][] {
  return text.split(",").map((part): [number, number] => {
    const condition = part.trim().toLowerCase();
    if (condition === "5xx") return [500, 599];
    if (condition === "gateway-error") return [502, 504];
    const [, from = "", to = from] = /^(\d{3})(?:-(\d{3}))?$/.exec(condition) ?? [];
    const range: [number, number] = [Number(from), Number(to)];
    if (range[0] >= 100 && range[1] <= 599 && range[0] <= range[1]) return range;
    throw new Error(`"${part.trim()}" is no status: write 5xx, gateway-error, 503 or 500-504`);
  });
}

function grpcOf(text: string): GrpcRetryCondition[] {
  return text.split(",").map((part) => {
    const status = part.trim().toLowerCase();
    const known = GRPC_RETRY_CONDITIONS.find((one) => one === status);
    if (known !== undefined) return known;
    throw new Error(
      `"${part.trim()}" is no gRPC status: write some of ${GRPC_RETRY_CONDITIONS.join(", ")}`,
    );
  });
}

function limitOf(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= MAX_RETRIES) return Number(text);
  throw new Error(`write a number from 0 to ${MAX_RETRIES}`);
}

/** Linkerd's circuit breaker, with the defaults of its policy controller. */
function accrualOf(reader: AnnotationReader, warn: WarnOfAnnotation): FailureAccrual | null {
  const mode = reader.read(ACCRUAL, (text) => {
    if (text === "consecutive" || text === "unified") return text;
    throw new Error(`"${text}" is not known: write consecutive or unified`);
  });
  const maxFailures = reader.read(ACCRUAL_MAX_FAILURES, (text) => {
    if (/^\d{1,6}$/.test(text)) return Number(text);
    throw new Error("write a number such as 7");
  });
  const minPenaltyMs = reader.read(ACCRUAL_MIN_PENALTY, durationOf);
  const maxPenaltyMs = reader.read(ACCRUAL_MAX_PENALTY, durationOf);
  const jitterRatio = reader.read(ACCRUAL_JITTER, (text) => ratioOf(text, 100));
  const successRate = successRateOf(reader);
  const without = [
    [`${ALPHA}penalize-failures`, "the balancer counts failures by itself"],
    [`${ALPHA}load-biaser-penalty`, "there is no load biaser"],
    [`${ALPHA}load-biaser-max-retry-after`, "there is no load biaser"],
    [
      `${ALPHA}failure-accrual-honor-retry-after`,
      "pauses grow by themselves, as in Linkerd's proxy",
    ],
  ] as const;
  for (const [name, reason] of without) if (reader.has(name)) warn(name, `no effect: ${reason}`);
  if (mode === null) return null;
  const least = minPenaltyMs ?? 1_000;
  const most = maxPenaltyMs ?? 60_000;
  if (least > most) {
    warn(ACCRUAL_MIN_PENALTY, `no effect: is above ${ACCRUAL_MAX_PENALTY} (${most}ms)`);
  }
  return {
    maxFailures: maxFailures ?? 7,
    minPenaltyMs: Math.min(least, most),
    maxPenaltyMs: most,
    jitterRatio: jitterRatio ?? 0.5,
    ...(mode === "unified" && successRate.threshold > 0 ? { successRate } : {}),
  };
}

function successRateOf(reader: AnnotationReader): NonNullable<FailureAccrual["successRate"]> {
  const threshold = reader.read(`${SUCCESS_RATE}threshold`, (text) => ratioOf(text, 1));
  const windowMs = reader.read(`${SUCCESS_RATE}window`, durationOf);
  const minRequests = reader.read(`${SUCCESS_RATE}min-requests`, (text) => {
    if (/^\d{1,7}$/.test(text) && Number(text) >= 1 && Number(text) <= 1_000_000)
      return Number(text);
    throw new Error("write a number from 1 to 1000000");
  });
  return {
    threshold: threshold ?? 0.8,
    windowMs: Math.max(10, windowMs ?? 10_000),
    minRequests: minRequests ?? 5,
  };
}

function ratioOf(text: string, most: number): number {
  const ratio = /^\d{1,3}(\.\d{1,6})?$/.test(text) ? Number(text) : -1;
  if (ratio >= 0 && ratio <= most) return ratio;
  throw new Error(`write a number from 0 to ${most}, such as 0.5`);
}

function durationOf(text: string): number {
  const ms = singleDuration(text);
  if (ms !== null && ms >= 1 && ms <= 86_400_000) return ms;
  throw new Error(`"${text}" is no duration: write one such as 500ms, 10s or 1m, at most 1d`);
}

/** `25,587,3300-3310`. */
function portsOf(text: string): number[] {
  if (text === "") return [];
  const ports = text.split(",").flatMap((part) => {
    const [, from = "", to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim()) ?? [];
    const [first, last] = [Number(from), Number(to)];
    if (from === "" || first < 1 || last > 65_535 || first > last || last - first > 4_096) {
      throw new Error(`"${part.trim()}" is no port: write ports and ranges, such as 25,3300-3310`);
    }
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  return [...new Set(ports)].sort((a, b) => a - b);
}

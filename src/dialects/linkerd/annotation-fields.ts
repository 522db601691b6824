import type { FieldSupport } from "../support.ts";

const honoured = (path: string, note = ""): FieldSupport => ({ path, how: "honoured", note });
const differently = (path: string, note: string): FieldSupport => ({
  path,
  how: "differently",
  note,
});
const ineffective = (path: string, note: string): FieldSupport => ({
  path,
  how: "no effect",
  note,
});
const ACCRUAL = "balancer.linkerd.io/failure-accrual";
const ALPHA = "balancer.alpha.linkerd.io/";

/** What becomes of each annotation, for the documentation; a test compares it with those that are read. */
export const annotationFields: readonly FieldSupport[] = [
  differently(
    "timeout.linkerd.io/request",
    "until the response has ended; the shorter of this and `response` counts",
  ),
  differently("timeout.linkerd.io/response", "as `timeout.linkerd.io/request`"),
  honoured("timeout.linkerd.io/idle"),
  honoured("retry.linkerd.io/http", "`5xx`, `gateway-error`, `503`, `500-504`, with commas"),
  honoured(
    "retry.linkerd.io/grpc",
    "`cancelled`, `deadline-exceeded`, `internal`, `resource-exhausted`, `unavailable`, with commas; in responses of trailers only",
  ),
  differently(
    "retry.linkerd.io/limit",
    "without `retry.linkerd.io/http` also 502, 503, 504 and failures without response, where that is safe",
  ),
  differently("retry.linkerd.io/timeout", "for one try; else as `retry.linkerd.io/limit`"),
  honoured(ACCRUAL, "`consecutive` or `unified`"),
  honoured(`${ACCRUAL}-consecutive-max-failures`, "default: 7"),
  honoured(`${ACCRUAL}-consecutive-min-penalty`, "default: 1s"),
  honoured(`${ACCRUAL}-consecutive-max-penalty`, "default: 1m"),
  honoured(`${ACCRUAL}-consecutive-jitter-ratio`, "default: 0.5"),
  honoured(`${ALPHA}failure-accrual-success-rate-threshold`, "of `unified`; default: 0.8"),
  honoured(`${ALPHA}failure-accrual-success-rate-window`, "of `unified`; default: 10s"),
  honoured(`${ALPHA}failure-accrual-success-rate-min-requests`, "of `unified`; default: 5"),
  ineffective(`${ALPHA}penalize-failures`, "the balancer counts failures by itself"),
  ineffective(`${ALPHA}load-biaser-penalty`, "there is no load biaser"),
  ineffective(`${ALPHA}load-biaser-max-retry-after`, "there is no load biaser"),
  ineffective(`${ALPHA}failure-accrual-honor-retry-after`, "pauses grow by themselves"),
  honoured("config.linkerd.io/opaque-ports", "`25,587,3300-3310`: TCP, nothing is found out"),
  honoured("hostmesh.io/rate-limit", "hostmesh's own"),
  honoured("hostmesh.io/outlier-latency", "hostmesh's own"),
  honoured("hostmesh.io/adaptive-concurrency", "hostmesh's own"),
];

import * as z from "zod";
import type { RetryCondition, RetryRule, RouteMatch, RouteTimeouts } from "../../core/traffic.ts";
import { differently, honoured } from "../support.ts";
import { durationField } from "./fields.ts";

/** Envoy's pauses, where the author gives none. */
const BASE_MS = 25;
/** Pauses grow to this many times the base, as Envoy's do. */
const GROWTH = 10;
const DEFAULT_ATTEMPTS = 1;

export const timeoutsField = z
  .strictObject({
    request: honoured(durationField, "tries and pauses included; `0s`: none").optional(),
    backendRequest: honoured(
      durationField,
      "of one try, until its response begins; `0s`: none",
    ).optional(),
  })
  .refine(({ request = 0, backendRequest = 0 }) => request === 0 || backendRequest <= request, {
    path: ["backendRequest"],
    message: "must be at most timeouts.request",
  });

export const retryField = z.strictObject({
  codes: differently(
    z.array(z.number().int().min(400).max(599)).max(200),
    "of responses to methods whose repetition is safe (RFC 9110 section 9.2.2), and to others where every match of the rule names its method",
  ).default([]),
  attempts: honoured(
    z.number().int().min(0).max(100),
    "default 1; failures to connect are retried too, and those of a try's time",
  ).default(DEFAULT_ATTEMPTS),
  backoff: differently(
    durationField,
    "the base of pauses that double, with full jitter, up to ten times of it; default 25 ms",
  ).optional(),
});

/** Of the methods that Gateway API knows these are not idempotent (RFC 9110 section 9.2.2). */
const UNSAFE: ReadonlySet<string> = new Set(["POST", "PATCH", "CONNECT"]);

/** What fails before an application can have seen the request. */
const UNSEEN: readonly RetryCondition[] = [
  "connect-failure",
  "refused-stream",
  "reset-before-request",
];

/** A limit for one try stands here and not in the retries: it says nothing of how many there are. */
export function timeoutsOf(
  timeouts: z.infer<typeof timeoutsField> | undefined,
): RouteTimeouts | undefined {
  const { request: requestMs, backendRequest: perTryMs } = timeouts ?? {};
  if (requestMs === undefined && perTryMs === undefined) return undefined;
  return {
    ...(requestMs === undefined ? {} : { requestMs }),
    ...(perTryMs === undefined ? {} : { perTryMs }),
  };
}

export function retryOf(
  retry: z.infer<typeof retryField> | undefined,
  timeouts: z.infer<typeof timeoutsField> | undefined,
  matches: readonly RouteMatch[],
): RetryRule | undefined {
  if (retry === undefined) return undefined;
  const perTryMs = timeouts?.backendRequest ?? 0;
  const { codes, attempts, backoff = BASE_MS } = retry;
  const on = attempts === 0 ? [] : [...UNSEEN, ...(perTryMs === 0 ? [] : ["timeout" as const])];
  return {
    attempts,
    on,
    statuses: [...new Set(codes)].map((code) => [code, code]),
    backoff: { baseMs: backoff, maxMs: backoff * GROWTH },
    unsafe: matches.some(namesUnsafe) && matches.every(({ method }) => method !== undefined),
    avoidTried: true,
  };
}

function namesUnsafe({ method }: RouteMatch): boolean {
  return method?.kind === "exact" && UNSAFE.has(method.value);
}

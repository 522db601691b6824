import * as z from "zod";
import { GRPC_RETRY_CONDITIONS } from "../../core/grpc.ts";
import type { RetryCondition, RetryRule } from "../../core/traffic.ts";
import { differently, honoured, ineffective } from "../support.ts";
import type { Work } from "../translator.ts";
import { durationIn } from "../value-fields.ts";

const MAX_ATTEMPTS = 100;
const BASE_MS = 25;
/** Envoy's longest pause is ten times the base. */
const MAX_FACTOR = 10;

/** Envoy's words, and which conditions they mean here. A try that is cut off by its own limit counts as a reset. */
const MEANINGS: ReadonlyMap<string, readonly RetryCondition[]> = new Map<
  string,
  readonly RetryCondition[]
>([
  ["5xx", ["5xx", "timeout"]],
  ["gateway-error", ["gateway-error", "timeout"]],
  ["reset", ["reset", "timeout"]],
  ["reset-before-request", ["reset-before-request"]],
  ["connect-failure", ["connect-failure"]],
  ["refused-stream", ["refused-stream"]],
  ["retriable-4xx", ["retriable-4xx"]],
  ...GRPC_RETRY_CONDITIONS.map((word) => [word, [word]] as const),
]);
/** Known to Envoy, and without meaning here or there. */
const IDLE: ReadonlyMap<string, string> = new Map([
  ["retriable-status-codes", ""],
  ["retriable-headers", "no header is configured for it, neither by Istio nor here"],
  ["envoy-ratelimited", "retries of a rate-limited request would be limited too"],
  ["http3-post-connect-failure", "there is no HTTP/3 between proxies"],
]);

const words = (text: string) =>
  text
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
const isStatus = (word: string) => /^[1-5]\d\d$/.test(word);
const isKnown = (word: string) => MEANINGS.has(word) || IDLE.has(word);

const retryOnField = z
  .string()
  .max(512)
  .superRefine((text, context) => {
    for (const word of words(text)) {
      if (isStatus(word) || isKnown(word)) continue;
      const known = [...MEANINGS.keys(), "retriable-status-codes"].join(", ");
      const message = `unknown condition ${word}; known: ${known}, and status codes`;
      context.addIssue({ code: "custom", message });
    }
  });

export const retriesField = z.strictObject({
  attempts: honoured(
    z.number().int().min(0).max(MAX_ATTEMPTS),
    "tries after the first; 0, and absent: none",
  ).optional(),
  perTryTimeout: honoured(durationIn(1), "default: none beside `timeout`").optional(),
  retryOn: differently(
    retryOnField,
    "default: `connect-failure,refused-stream,reset-before-request,unavailable,cancelled`; a method that is not idempotent is repeated only where no application can have got it, or by gRPC's words",
  ).optional(),
  backoff: honoured(durationIn(1), "base; at most ten times it; default 25ms").optional(),
  retryIgnorePreviousHosts: honoured(z.boolean(), "default: true").optional(),
  retryRemoteLocalities: ineffective(
    z.boolean(),
    "retries go to endpoints that were not tried, in whatever locality",
  ),
});

/** What Istio does where nothing is said: the defaults of its client side and its server side, as one proxy is both. */
const DEFAULT_ON: readonly RetryCondition[] = [
  "connect-failure",
  "refused-stream",
  "reset-before-request",
  "unavailable",
  "cancelled",
];
const DEFAULTS: RetryRule = {
  attempts: 2,
  on: DEFAULT_ON,
  statuses: [],
  backoff: { baseMs: BASE_MS, maxMs: BASE_MS * MAX_FACTOR },
  unsafe: false,
  avoidTried: true,
};

/** The retries of a route; two where it says nothing. */
export function toRetryRule(
  retries: z.infer<typeof retriesField> | undefined,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): RetryRule {
  if (retries === undefined) return DEFAULTS;
  const { attempts, perTryTimeout, retryOn = "", backoff = BASE_MS } = retries;
  if (attempts === undefined) work.warn(path, "without attempts there are no retries");
  const asked = words(retryOn);
  for (const word of asked) warnOfIdle(word, asked, work, path);
  const on = asked.flatMap((word) => MEANINGS.get(word) ?? []);
  const statuses = asked.filter(isStatus).map(Number);
  return {
    attempts: attempts ?? 0,
    ...(perTryTimeout === undefined ? {} : { perTryMs: perTryTimeout }),
    on: asked.length === 0 ? DEFAULT_ON : [...new Set(on)],
    statuses: statuses.map((status) => [status, status] as const),
    backoff: { baseMs: backoff, maxMs: backoff * MAX_FACTOR },
    unsafe: false,
    avoidTried: retries.retryIgnorePreviousHosts ?? true,
  };
}

function warnOfIdle(
  word: string,
  asked: readonly string[],
  work: Work<unknown>,
  path: readonly PropertyKey[],
): void {
  const warn = (reason: string) => work.warn([...path, "retryOn"], `${word}: ${reason}`);
  if (word === "retriable-status-codes" && !asked.some(isStatus)) warn("name the codes beside it");
  const idle = IDLE.get(word) ?? "";
  if (idle !== "") warn(`no effect: ${idle}`);
}

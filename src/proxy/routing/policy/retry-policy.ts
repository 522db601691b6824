import { CODES, type MeshErrorCode } from "../../../core/errors.ts";
import { GRPC, GRPC_RETRY_CONDITIONS } from "../../../core/grpc.ts";
import type { Random } from "../../../core/random.ts";
import { RETRY_CONDITIONS, type RetryCondition, type RetryRule } from "../../../core/traffic.ts";
import { isIdempotent } from "./retry.ts";

/** How a try ended. */
export interface TryOutcome {
  /** Of the response; 0 where there was none. */
  readonly status: number;
  /** What failed; null where there was a response. */
  readonly code: MeshErrorCode | null;
  readonly method: string;
  /** Can the request still be sent whole? */
  readonly replayable: boolean;
  /** May any byte of it have reached the endpoint? */
  readonly sent: boolean;
  /** Of a call of gRPC, in the head of its response; absent or -1: there is none. */
  readonly grpcStatus?: number;
  /** See `isOverloaded`. */
  readonly overloaded?: boolean;
}

/**
 * What a request gets that no rule speaks of: another endpoint at once where nothing reached an application, or where
 * the connection was lost and the method is idempotent. It waits for nothing, as the next try goes elsewhere.
 */
export function standardRetry(attempts: number): RetryRule {
  return {
    attempts,
    on: ["connect-failure", "refused-stream", "reset"],
    statuses: [],
    backoff: { baseMs: 0, maxMs: 0 },
    unsafe: false,
    avoidTried: true,
  };
}

/**
 * When and how soon a request is sent again. Conditions mean what Envoy's `retry_on` of the same name means: `5xx`,
 * `gateway-error` and `reset` include every try that ended without a response. Beyond Envoy, a request whose repetition
 * is unsafe (RFC 9110 section 9.2.2) is only sent again where nothing of it can have reached an application, unless the
 * rule's author says that it is safe. Naming a status of gRPC says so: every call is a POST, and none would be repeated.
 */
export class RetryPolicy {
  readonly rule: RetryRule;
  /** Tries after the first. */
  readonly attempts: number;
  /** 0: none. */
  readonly perTryMs: number;
  readonly #on: number;

  constructor(rule: RetryRule) {
    this.rule = rule;
    this.attempts = rule.attempts;
    this.perTryMs = rule.perTryMs ?? 0;
    this.#on = setOf(rule.on);
  }

  /** Is another try called for and safe? Counts of tries and budgets are the caller's. */
  wants(outcome: TryOutcome): boolean {
    // Envoy never retries what an overloaded proxy refused: that would feed the overload.
    if (!outcome.replayable || outcome.overloaded === true) return false;
    return outcome.code === null ? this.#wantsAnswered(outcome) : this.#wantsLost(outcome);
  }

  /** Does it name a status of gRPC? */
  get namesGrpc(): boolean {
    return (this.#on & ANY_GRPC) !== 0;
  }

  /** An application has answered, so it has acted. */
  #wantsAnswered({ status, method, grpcStatus = -1 }: TryOutcome): boolean {
    if ((this.#on & (GRPC_STATUSES.get(grpcStatus) ?? 0)) !== 0) return true;
    if (!this.rule.unsafe && !isIdempotent(method)) return false;
    if ((this.#on & conditionsOf(status)) !== 0) return true;
    return this.rule.statuses.some(([from, to]) => status >= from && status <= to);
  }

  #wantsLost({ code, method, sent }: TryOutcome): boolean {
    const { retry } = CODES[code!];
    if (retry === "never") return false;
    const untouched = retry === "always" || !sent;
    if (!untouched && !this.rule.unsafe && !isIdempotent(method)) return false;
    let applying = NO_RESPONSE;
    if (untouched) applying |= UNTOUCHED;
    if (retry === "always") applying |= CONNECT_FAILURE;
    if (code === "MESH_REFUSED" || code === "UPSTREAM_REFUSED") applying |= REFUSED_STREAM;
    if (code === "TRY_TIMEOUT") applying |= TIMEOUT;
    return (this.#on & applying) !== 0;
  }

  /**
   * Pause before the `retry`th retry (from 1): full jitter, uniform in [0, (2^retry - 1) * base], at most `maxMs`, as
   * Envoy's router does.
   */
  backoffMs(retry: number, random: Random): number {
    const { baseMs, maxMs } = this.rule.backoff;
    // 2^31 of any base is above every limit, and Infinity * 0 would be no number.
    const longest = (2 ** Math.min(retry, 31) - 1) * baseMs;
    return random() * Math.min(longest, maxMs);
  }

  /**
   * As `backoffMs`, or what the endpoint asked for (`retryAfterMs`) and up to half of it more, so that all that were
   * turned away do not come back at the same moment (Envoy's rate-limited backoff). Null where it does not end before
   * the request's own time does: then the answer at hand is the best one.
   */
  pauseMs(
    retry: number,
    random: Random,
    afterMs: number | null,
    remainingMs: number,
  ): number | null {
    const pause = afterMs === null ? this.backoffMs(retry, random) : afterMs * (1 + random() / 2);
    return pause < remainingMs ? pause : null;
  }
}

const bit = (condition: RetryCondition) => 1 << RETRY_CONDITIONS.indexOf(condition);
const setOf = (conditions: readonly RetryCondition[]) =>
  conditions.reduce((set, condition) => set | bit(condition), 0);

const SERVER_ERROR = bit("5xx");
const GATEWAY_ERROR = bit("gateway-error");
const RETRIABLE_4XX = bit("retriable-4xx");
const CONNECT_FAILURE = bit("connect-failure");
const REFUSED_STREAM = bit("refused-stream");
const TIMEOUT = bit("timeout");
const UNTOUCHED = bit("reset-before-request");
const ANY_GRPC = setOf(GRPC_RETRY_CONDITIONS);
const GRPC_STATUSES: ReadonlyMap<number, number> = new Map([
  [GRPC.CANCELLED, bit("cancelled")],
  [GRPC.DEADLINE_EXCEEDED, bit("deadline-exceeded")],
  [GRPC.RESOURCE_EXHAUSTED, bit("resource-exhausted")],
  [GRPC.INTERNAL, bit("internal")],
  [GRPC.UNAVAILABLE, bit("unavailable")],
]);
const NO_RESPONSE = setOf(["5xx", "gateway-error", "reset"]);

/** Conditions that a status fulfils. Of 4xx Envoy takes 409 only. */
function conditionsOf(status: number): number {
  if (status === 409) return RETRIABLE_4XX;
  if (status < 500 || status > 599) return 0;
  return status >= 502 && status <= 504 ? SERVER_ERROR | GATEWAY_ERROR : SERVER_ERROR;
}

import type { MeshError } from "../core/errors.ts";
import type { RequestFacts, RetryReason } from "../core/facts.ts";
import type { RetryBudgetRule } from "../core/traffic.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";
import type { Attempt } from "./attempt.ts";
import type { Cluster } from "./clusters.ts";
import type { Plane } from "./plane.ts";
import type { RequestState } from "./request-state.ts";
import type { Destination } from "./resolve.ts";
import type { RoutePlan } from "./route-plan.ts";
import { isIdempotent } from "./routing/policy/retry.ts";
import { isOverloaded, retryAfterMs } from "./routing/policy/retry-after.ts";

/** No retry. */
const NONE = -1;

/** May the request be tried again, and when? Asked after each try that has failed, within the service's budget. */
export class Retries {
  readonly #plane: Plane;
  readonly #facts: RequestFacts;
  readonly #state: RequestState;
  readonly #plan: RoutePlan;
  readonly #attempt: Attempt;
  #cluster: Cluster | null = null;
  /** Slot on which the present try counts as a retry; -1: it is none, or there is nothing to count on. */
  #slot = -1;

  constructor(
    plane: Plane,
    facts: RequestFacts,
    state: RequestState,
    plan: RoutePlan,
    attempt: Attempt,
  ) {
    this.#plane = plane;
    this.#facts = facts;
    this.#state = state;
    this.#plan = plan;
    this.#attempt = attempt;
  }

  /** A request begins: a part of it is what later ones may spend on retries. */
  begin(destination: Destination): void {
    this.#cluster = destination.kind === "cluster" ? destination.cluster : null;
    const { slot = -1 } = this.#cluster ?? {};
    const rule = this.#budget;
    if (slot >= 0 && rule !== null) this.#plane.budgets.deposit(slot, rule);
  }

  get #budget(): RetryBudgetRule | null {
    return this.#cluster?.settings.retryBudget ?? this.#plane.defaultBudget;
  }

  /** Must the body be kept for another try? */
  keepsBody(head: RequestHead): boolean {
    const { body } = this.#state;
    const { unsafe = false, bodyBytes } = this.#plan.retry?.rule ?? {};
    if (!isIdempotent(head.method) && !unsafe) return false;
    const isTooLong = bodyBytes !== undefined && body.text.length > bodyBytes;
    return !isTooLong && body.fits(head.contentLength);
  }

  /** Pause in ms before another try after this response; -1: it is the answer. */
  pauseAfter(response: ResponseHead, request: RequestHead): number {
    const policy = this.#plan.retry;
    const { body } = this.#state;
    const { attempts } = this.#facts;
    if (policy === null || attempts > policy.attempts || !body.whole || !this.#state.complete)
      return NONE;
    const { method } = request;
    const { status } = response;
    const overloaded = isOverloaded(response);
    const outcome = { status, code: null, method, replayable: true, sent: true, overloaded };
    if (!policy.wants(outcome) || !this.#withdraw("STATUS")) return NONE;
    const wanted = retryAfterMs(response, Date.now());
    return wanted ?? policy.backoffMs(attempts, this.#plane.random);
  }

  /** Pause in ms before another try after this failure; -1: there is none. */
  pauseAfterFailure(error: MeshError, head: RequestHead): number {
    const policy = this.#plan.retry;
    const { attempts } = this.#facts;
    const { body } = this.#state;
    const { code } = error;
    if (policy === null) {
      const may = this.#attempt.mayRepeat(code, head.method, body.whole);
      return may && this.#withdraw(code) ? 0 : NONE;
    }
    if (attempts > policy.attempts || !body.whole) return NONE;
    const { method } = head;
    const outcome = {
      status: 0,
      code,
      method,
      replayable: true,
      sent: this.#attempt.upstream !== null,
    };
    // A connection that its endpoint closes at this very moment says nothing about the endpoint.
    const isStale = this.#attempt.isReused && this.#attempt.mayRepeat(code, method, true);
    if (!policy.wants(outcome) && !isStale) return NONE;
    if (!this.#withdraw(code)) return NONE;
    return isStale ? 0 : policy.backoffMs(attempts, this.#plane.random);
  }

  /** Takes a retry out of the service's budget, and counts it among those that are under way. */
  #withdraw(reason: RetryReason): boolean {
    const { budgets, serviceLimits, recorder } = this.#plane;
    const { service } = this.#facts;
    this.#endRetry();
    const { slot = -1, settings } = this.#cluster ?? {};
    if (slot >= 0) {
      const rule = this.#budget;
      const max = settings?.connections?.maxRetries ?? Number.MAX_SAFE_INTEGER;
      if (!serviceLimits.tryRetry(slot, max)) {
        recorder.event("retry_over_limit");
        return false;
      }
      this.#slot = slot;
      if (rule !== null && !budgets.tryWithdraw(slot, rule, serviceLimits.retries(slot))) {
        recorder.event("retry_over_budget");
        this.#endRetry();
        return false;
      }
    }
    recorder.retry(service, reason);
    return true;
  }

  #endRetry(): void {
    if (this.#slot >= 0) this.#plane.serviceLimits.endRetry(this.#slot);
    this.#slot = -1;
  }

  end(): void {
    this.#endRetry();
    this.#cluster = null;
  }
}

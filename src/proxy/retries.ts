import { wallClock } from "../core/clock.ts";
import { CODES, isMeshErrorCode, type MeshError, type MeshErrorCode } from "../core/errors.ts";
import type { RequestFacts, RetryReason } from "../core/facts.ts";
import type { RetryBudgetRule } from "../core/traffic.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";
import type { Attempt } from "./attempt.ts";
import type { Cluster } from "./clusters.ts";
import { retryPushbackMs } from "./grpc.ts";
import type { Plane } from "./plane.ts";
import type { RequestState } from "./request-state.ts";
import type { Destination } from "./resolve.ts";
import type { RoutePlan } from "./route-plan.ts";
import { fieldOf } from "./routing/policy/field.ts";
import { isIdempotent } from "./routing/policy/retry.ts";
import { isOverloaded, retryAfterMs } from "./routing/policy/retry-after.ts";
import type { RetryPolicy } from "./routing/policy/retry-policy.ts";

/** No retry. */
const NONE = -1;
const NOT_FOUND = 404;
/** Endpoints that may be gone at the same time, before a request gives up to look for one that is not. */
const MOST_UNSENT = 10;

/** May the request be tried again, and when? Asked after each try that has failed, within the service's budget. */
export class Retries {
  readonly #plane: Plane;
  readonly #facts: RequestFacts;
  readonly #state: RequestState;
  readonly #plan: RoutePlan;
  readonly #attempt: Attempt;
  #cluster: Cluster | null = null;
  /** Tries of which nothing has reached an application. */
  #unsent = 0;
  /** Has the only endpoint refused the request once? */
  #wasRefused = false;
  /** Slot on which the present try counts as a retry; -1: it is none, or there is nothing to count on. */
  #slot = -1;
  /** Slot of the calling workload on which it counts; -1: on none. */
  #sourceSlot = -1;

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
  keepsBody(head: RequestHead, isGrpc: boolean): boolean {
    const { body } = this.#state;
    const { unsafe = false, bodyBytes } = this.#plan.retry?.rule ?? {};
    // Whoever names statuses of gRPC says by that that calls may be repeated.
    const mayRepeatCall = isGrpc && this.#plan.retry?.namesGrpc === true;
    const mayRepeat = isIdempotent(head.method) || unsafe || mayRepeatCall;
    if (!mayRepeat && !this.#attempt.mayBeRefused) return false;
    const isTooLong = bodyBytes !== undefined && body.text.length > bodyBytes;
    return !isTooLong && body.fits(head.contentLength);
  }

  /**
   * Pause in ms before another try after this response; -1: it is the answer. `leftMs` is left of the request's time.
   */
  pauseAfter(response: ResponseHead, request: RequestHead, leftMs: number): number {
    const { body, complete } = this.#state;
    if (!body.whole || !complete) return NONE;
    const { method } = request;
    const said = this.#failureSaid(response, method);
    this.#attempt.takesEjected = said !== null;
    if (said !== null && this.#goesElsewhere(said, leftMs)) return 0;
    const policy = this.#plan.retry;
    if (policy !== null) return this.#pauseBy(policy, response, method, said, leftMs);
    const may = said !== null && this.#attempt.mayRepeat(said, method, true, this.#made);
    return may && leftMs > 0 && this.#withdraw(said) ? 0 : NONE;
  }

  #pauseBy(
    policy: RetryPolicy,
    response: ResponseHead,
    method: string,
    said: MeshErrorCode | null,
    leftMs: number,
  ): number {
    const attempts = this.#made;
    if (attempts > policy.attempts) return NONE;
    const { status } = response;
    const overloaded = isOverloaded(response);
    const { grpcStatus } = this.#facts;
    const answer = { status, code: null, method, grpcStatus, overloaded };
    const outcome = { ...answer, replayable: true, sent: true };
    const lost = said !== null && policy.wants({ ...outcome, status: 0, code: said });
    if (!lost && !policy.wants(outcome)) return NONE;
    const { random, config } = this.#plane;
    const pushbackMs = grpcStatus === -1 ? null : retryPushbackMs(response.fields);
    const wantedMs = pushbackMs ?? retryAfterMs(response, wallClock.now());
    // Nobody is kept waiting for an endpoint that wants peace for long: the answer at hand says so itself.
    if (wantedMs !== null && wantedMs > config.retries.maxRetryAfterMs) return NONE;
    const pauseMs = policy.pauseMs(attempts, random, wantedMs, leftMs);
    return pauseMs !== null && this.#withdraw("STATUS") ? pauseMs : NONE;
  }

  /**
   * The failure that the daemon of the endpoint's host names in place of a response; null: there is one. An application
   * can name one too, so a request that must not be repeated is none the safer for it.
   */
  #failureSaid({ status, fields }: ResponseHead, method: string): MeshErrorCode | null {
    const { endpoint } = this.#attempt;
    if (endpoint === null || endpoint.local || !isIdempotent(method)) return null;
    if (status < 500 && status !== NOT_FOUND) return null;
    const said = fieldOf(fields, "x-hostmesh-error") ?? "";
    // An endpoint that has just been taken back there: its host opens nothing to it.
    if (said === "NO_ROUTE") return "MESH_REFUSED";
    return status >= 500 && isMeshErrorCode(said) ? said : null;
  }

  /** Tries that an application may have seen: what never reached one is no load on anybody, and no reason to give up. */
  get #made(): number {
    return this.#facts.attempts - this.#unsent;
  }

  /**
   * Nothing of the request has reached an application, and there is an endpoint that was not asked yet: that one is asked
   * at once, whatever the rules say of retries, unless they forbid them.
   */
  #goesElsewhere(code: MeshErrorCode, leftMs: number): boolean {
    const { retry, side } = CODES[code];
    if (retry !== "always" || side !== "upstream" || leftMs <= 0) return false;
    const { attempts, rule } = this.#plan.retry ?? {};
    if (attempts === 0 || this.#unsent >= MOST_UNSENT) return false;
    // Rules or localities may leave no other endpoint, whatever the service has: those are retries like all others.
    if (this.#attempt.isRepeat || rule?.avoidTried === false) return false;
    if (!this.#state.body.whole) return false;
    if (!this.#attempt.hasOther && !this.#mayAskAgain(code)) return false;
    this.#unsent += 1;
    this.#plane.recorder.retry(this.#facts.service, code);
    return true;
  }

  /**
   * A connection that ends refuses what its endpoint would take by another one. That is tried once for a request, and is no
   * retry that a budget or a rule counts (gRPC's transparent retry, proposal A6).
   */
  #mayAskAgain(code: MeshErrorCode): boolean {
    if (code !== "UPSTREAM_REFUSED" || this.#wasRefused) return false;
    this.#wasRefused = true;
    return true;
  }

  /** Pause in ms before another try after this failure; -1: there is none. `leftMs` is left of the request's time. */
  pauseAfterFailure(error: MeshError, head: RequestHead, leftMs: number): number {
    const policy = this.#plan.retry;
    const attempts = this.#made;
    const { body } = this.#state;
    const { code } = error;
    // A used connection that is lost says little about its endpoint, which is the better choice then.
    this.#attempt.takesEjected = CODES[code].side === "upstream" && !this.#attempt.isReused;
    if (this.#goesElsewhere(code, leftMs)) return 0;
    if (policy === null) {
      const may = this.#attempt.mayRepeat(code, head.method, body.whole, attempts);
      return may && leftMs > 0 && this.#withdraw(code) ? 0 : NONE;
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
    const mayRepeat = this.#attempt.mayRepeat(code, method, true, attempts);
    const isStale = this.#attempt.isReused && mayRepeat;
    if (!policy.wants(outcome) && !isStale) return NONE;
    const pauseMs = isStale ? 0 : policy.backoffMs(attempts, this.#plane.random);
    return pauseMs < leftMs && this.#withdraw(code) ? pauseMs : NONE;
  }

  /** Takes a retry out of the service's budget, and counts it among those that are under way. */
  #withdraw(reason: RetryReason): boolean {
    const { budgets, serviceLimits, recorder } = this.#plane;
    const { service } = this.#facts;
    this.#endRetry();
    if (!this.#countForSource()) return false;
    const { slot = -1, settings } = this.#cluster ?? {};
    if (slot >= 0) {
      const rule = this.#budget;
      const max = settings?.connections?.maxRetries ?? Number.MAX_SAFE_INTEGER;
      if (!serviceLimits.tryRetry(slot, max)) {
        recorder.event("retry_over_limit");
        this.#endRetry();
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

  /** The caller may have so many retries under way, whatever it calls. */
  #countForSource(): boolean {
    const slot = this.#facts.source?.slot;
    if (slot === undefined) return true;
    const { quotas, config, recorder } = this.#plane;
    if (quotas.tryRetry(slot, config.limits.workloadRetries)) {
      this.#sourceSlot = slot;
      return true;
    }
    recorder.event("retry_over_limit");
    return false;
  }

  #endRetry(): void {
    if (this.#slot >= 0) this.#plane.serviceLimits.endRetry(this.#slot);
    this.#slot = -1;
    if (this.#sourceSlot >= 0) this.#plane.quotas.endRetry(this.#sourceSlot);
    this.#sourceSlot = -1;
  }

  end(): void {
    this.#endRetry();
    this.#cluster = null;
    this.#unsent = 0;
    this.#wasRefused = false;
  }
}

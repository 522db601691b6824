import type { DataEndpoint } from "../../../core/snapshot.ts";
import type { Balancer, BalancerDeps, PickRequest } from "./balancer.ts";
import { isCandidate } from "./candidates.ts";

/**
 * Sends the probes of endpoints that failure accrual has shut, and leaves all else to the service's balancer, which never
 * chooses a shut one. As soon as a pause is over, the next request is the probe, whatever the policy: one that compares
 * latencies would put it off for as long as it remembers the failures. Where all endpoints are shut and none is due,
 * nothing is picked.
 */
export class AccrualBalancer implements Balancer {
  probe = 0;
  readonly #inner: Balancer;
  readonly #deps: BalancerDeps;
  #candidates: readonly DataEndpoint[];
  /** State of the shared memory that `#dueMs` and `#open` were read from; -1: none. */
  #version = -1;
  /** When the first pause ends. */
  #dueMs = Number.POSITIVE_INFINITY;
  #open = 0;

  constructor(inner: Balancer, endpoints: readonly DataEndpoint[], deps: BalancerDeps) {
    this.#inner = inner;
    this.#deps = deps;
    this.#candidates = endpoints.filter(isCandidate);
  }

  update(endpoints: readonly DataEndpoint[]): void {
    this.#inner.update(endpoints);
    this.#candidates = endpoints.filter(isCandidate);
    this.#version = -1;
  }

  pick(request: PickRequest): DataEndpoint | null {
    const { state, clock } = this.#deps;
    this.probe = 0;
    const { version } = state.accrual;
    if (version !== this.#version) this.#survey(version);
    if (this.#dueMs !== Number.POSITIVE_INFINITY) {
      const nowMs = clock.now();
      if (nowMs >= this.#dueMs) {
        const probed = this.#takeProbe(request, nowMs);
        if (probed !== null) return probed;
      }
    }
    return this.#open === 0 ? null : this.#inner.pick(request);
  }

  #survey(version: number): void {
    const { accrual } = this.#deps.state;
    // Read before: what changes meanwhile is seen at the next pick.
    this.#version = version;
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#open = 0;
    for (const { slot } of this.#candidates) {
      if (accrual.isShut(slot)) this.#dueMs = Math.min(this.#dueMs, accrual.dueAt(slot));
      else this.#open++;
    }
  }

  #takeProbe({ tried }: PickRequest, nowMs: number): DataEndpoint | null {
    const { accrual } = this.#deps.state;
    for (const endpoint of this.#candidates) {
      const { slot } = endpoint;
      if (!accrual.isShut(slot) || tried.some((one) => one.slot === slot)) continue;
      this.probe = accrual.claimProbe(slot, nowMs);
      if (this.probe === 0) continue;
      // Others may be due, too: the next pick looks again.
      return endpoint;
    }
    this.#survey(accrual.version);
    return null;
  }
}

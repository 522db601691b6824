import type { Clock } from "../../../core/clock.ts";
import type { BalancerConfig } from "../../../core/model.ts";
import type { Random } from "../../../core/random.ts";
import type { DataEndpoint } from "../../../core/snapshot.ts";
import { ConsistentHash } from "./consistent-hash.ts";
import type { EndpointState } from "./endpoint-state.ts";
import { LeastRequest } from "./least-request.ts";
import { Maglev } from "./maglev.ts";
import { P2c } from "./p2c.ts";
import { PeakEwma } from "./peak-ewma.ts";
import { RandomChoice } from "./random-choice.ts";
import { RingHash } from "./ring-hash.ts";
import { RoundRobin } from "./round-robin.ts";

/** What a balancer may know of one request. May be reused: nothing of it is kept. */
export interface PickRequest {
  /** Unsigned 32 bits (`hashOf`) of what the service hashes on; -1: nothing, the pick is random. */
  readonly hash: number;
  /** Endpoints to avoid on a retry; chosen again only when no other is left. */
  readonly tried: readonly DataEndpoint[];
}

/** Chooses an endpoint of one service (or service port). Each worker has its own, over shared state. */
export interface Balancer {
  /** One endpoint; null when none has a weight above 0 and is not critical. Allocates nothing. */
  pick(request: PickRequest): DataEndpoint | null;
  /** The endpoints as they are now; replaces all earlier ones. */
  update(endpoints: readonly DataEndpoint[]): void;
}

export interface BalancerDeps {
  readonly state: EndpointState;
  readonly clock: Clock;
  readonly random: Random;
}

/** Makes the balancer that a service asks for. */
export function createBalancer(
  config: BalancerConfig,
  endpoints: readonly DataEndpoint[],
  deps: BalancerDeps,
): Balancer {
  switch (config.policy) {
    case "peak-ewma":
      return new P2c(new PeakEwma(deps.state), endpoints, config.slowStartMs, deps);
    case "least-request":
      return new P2c(new LeastRequest(deps.state), endpoints, config.slowStartMs, deps);
    case "round-robin":
      return new RoundRobin(endpoints, config.slowStartMs, deps);
    case "random":
      return new RandomChoice(endpoints, config.slowStartMs, deps);
    case "ring-hash":
      return new ConsistentHash((candidates) => new RingHash(candidates), endpoints, deps);
    case "maglev":
      return new ConsistentHash((candidates) => new Maglev(candidates), endpoints, deps);
  }
}

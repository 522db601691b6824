import { FakeClock } from "../../../../src/core/clock.ts";
import type { BalancerPolicy } from "../../../../src/core/model.ts";
import { type Random, seeded } from "../../../../src/core/random.ts";
import type { DataEndpoint } from "../../../../src/core/snapshot.ts";
import { type Balancer, createBalancer } from "../../../../src/proxy/upstream/balance/balancer.ts";
import {
  EndpointState,
  type LatencySettings,
} from "../../../../src/proxy/upstream/balance/endpoint-state.ts";

export const LATENCY: LatencySettings = {
  decayMs: 10_000,
  defaultRttMs: 30,
  failurePenaltyMs: 5_000,
};
export const NO_HASH = { hash: -1, tried: [] };

export function endpoint(slot: number, over: Partial<DataEndpoint> = {}): DataEndpoint {
  return {
    slot,
    id: `host-${slot % 7}/web-${slot}`,
    address: "10.0.0.1",
    port: 8_000,
    portName: "",
    weight: 1,
    zone: "",
    host: `host-${slot % 7}`,
    meta: {},
    health: "passing",
    local: false,
    ...over,
  };
}

/** One endpoint per weight. */
export function weighted(...weights: number[]): DataEndpoint[] {
  return weights.map((weight, slot) => endpoint(slot, { weight }));
}

export function equal(size: number): DataEndpoint[] {
  return Array.from({ length: size }, (_, slot) => endpoint(slot));
}

export function newState(slots: number, workers = 1, worker = 0): EndpointState {
  const buffer = new SharedArrayBuffer(EndpointState.bytesFor(slots, workers));
  return new EndpointState(buffer, 0, slots, workers, worker, LATENCY);
}

export interface World {
  readonly state: EndpointState;
  readonly clock: FakeClock;
  readonly random: Random;
  balancer(
    policy: BalancerPolicy,
    endpoints: readonly DataEndpoint[],
    slowStartMs?: number,
  ): Balancer;
}

/** Shared state for `slots` endpoints that were all added at time 0; it is now `nowMs`. */
export function newWorld({ slots = 16, seed = 1, nowMs = 1_000_000 } = {}): World {
  const state = newState(slots);
  const clock = new FakeClock(nowMs);
  const random = seeded(seed);
  for (let slot = 0; slot < slots; slot++) state.reset(slot, 0);
  return {
    state,
    clock,
    random,
    balancer: (policy, endpoints, slowStartMs = 0) =>
      createBalancer({ policy, slowStartMs }, endpoints, { state, clock, random }),
  };
}

/** How often each slot is chosen by `picks` independent requests, each with a hash of its own. */
export function tally(balancer: Balancer, picks: number, random: Random, size = 16): number[] {
  const counts = new Array<number>(size).fill(0);
  for (let at = 0; at < picks; at++) {
    const chosen = balancer.pick({ hash: Math.floor(random() * 0x1_0000_0000), tried: [] });
    if (chosen !== null) counts[chosen.slot] = (counts[chosen.slot] ?? 0) + 1;
  }
  return counts;
}

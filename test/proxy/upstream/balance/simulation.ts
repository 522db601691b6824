import type { DataEndpoint } from "../../../../src/core/snapshot.ts";
import type { Balancer } from "../../../../src/proxy/upstream/balance/balancer.ts";
import type { World } from "./fixture.ts";

export interface Answer {
  readonly latencyMs: number;
  readonly failed?: boolean;
}

export interface Load {
  readonly requestsPerSecond: number;
  readonly durationMs: number;
  /** How the endpoint answers a request that arrives now. */
  readonly answer: (chosen: DataEndpoint, nowMs: number) => Answer;
}

/**
 * A discrete-event simulation of open-loop load: requests arrive as a Poisson process whatever the answers
 * are, each is balanced, counted in flight and observed when it ends. Returns the requests per slot.
 */
export function simulate(world: World, balancer: Balancer, load: Load): number[] {
  const { state, clock, random } = world;
  const pending: { atMs: number; slot: number; answer: Answer }[] = [];
  const counts: number[] = [];
  const endMs = clock.now() + load.durationMs;
  let arrivalMs = clock.now();
  for (;;) {
    arrivalMs += (-Math.log(1 - random()) * 1_000) / load.requestsPerSecond;
    if (arrivalMs > endMs) break;
    while (pending.length > 0 && pending[0]!.atMs <= arrivalMs) {
      const { atMs, slot, answer } = pending.shift()!;
      clock.advance(atMs - clock.now());
      state.end(slot);
      state.observe(slot, answer.latencyMs, answer.failed === true, atMs);
    }
    clock.advance(arrivalMs - clock.now());
    const chosen = balancer.pick({ hash: -1, tried: [] });
    if (chosen === null) throw new Error("no endpoint was picked");
    counts[chosen.slot] = (counts[chosen.slot] ?? 0) + 1;
    state.begin(chosen.slot);
    const answer = load.answer(chosen, arrivalMs);
    const atMs = arrivalMs + answer.latencyMs;
    const after = pending.findIndex((other) => other.atMs > atMs);
    pending.splice(after === -1 ? pending.length : after, 0, { atMs, slot: chosen.slot, answer });
  }
  for (const { atMs, slot, answer } of pending) {
    clock.advance(Math.max(0, atMs - clock.now()));
    state.end(slot);
    state.observe(slot, answer.latencyMs, answer.failed === true, atMs);
  }
  return counts;
}

/** Exponentially distributed around a mean. */
export function around(meanMs: number, random: () => number): number {
  return -Math.log(1 - random()) * meanMs;
}

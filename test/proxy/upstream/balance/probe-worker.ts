import { parentPort, workerData } from "node:worker_threads";
import { EndpointState } from "../../../../src/proxy/upstream/balance/endpoint-state.ts";
import { equal, LATENCY } from "./fixture.ts";

/** A data-path thread reduced to claiming: probes of shut endpoints, or intervals of a group; see `races.test.ts`. */
export interface ProbeData {
  readonly buffer: SharedArrayBuffer;
  /** Int32: the number of the round that is under way; a round past the last one ends. */
  readonly control: SharedArrayBuffer;
  readonly slots: number;
  readonly workers: number;
  readonly worker: number;
  readonly rounds: number;
}

export const ROUND = 0;
export const DONE = 1;
/** From here on, how often each round's prize was taken. */
export const PROBES = 2;

export const PAUSE_MS = 100;
export const GROUPS = 1_000;

function race(data: ProbeData): void {
  const { slots, workers, worker, rounds } = data;
  const state = new EndpointState(data.buffer, 0, slots, workers, worker, LATENCY);
  const control = new Int32Array(data.control);
  const { accrual, intervals } = state;
  const endpoints = equal(slots);
  for (let round = 1; round <= rounds; round++) {
    while (Atomics.load(control, ROUND) < round) Atomics.wait(control, ROUND, round - 1, 1_000);
    const nowMs = round * PAUSE_MS;
    for (let group = 0; group < GROUPS; group++) {
      if (intervals.tryClaim(group, round)) Atomics.add(control, PROBES + 2 * round + 1, 1);
    }
    for (const { slot } of endpoints) {
      const token = accrual.claimProbe(slot, nowMs);
      if (token === 0) continue;
      Atomics.add(control, PROBES + 2 * round, 1);
      // Its result is there at once, while others still ask.
      if (slot % 2 === 0) accrual.shutAgain(slot, token, nowMs + PAUSE_MS);
      else accrual.reopen(slot);
    }
    Atomics.add(control, DONE, 1);
    Atomics.notify(control, DONE);
  }
}

if (parentPort !== null) {
  race(workerData as ProbeData);
  parentPort.postMessage("done");
}

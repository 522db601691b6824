import { parentPort, workerData } from "node:worker_threads";
import { EndpointState } from "../../../../src/proxy/upstream/balance/endpoint-state.ts";
import { LATENCY } from "./fixture.ts";

/** A data-path thread reduced to its counting: see `endpoint-state.test.ts`. */
export interface HammerData {
  readonly buffer: SharedArrayBuffer;
  /** Int32: `GO` starts the rounds; `PEAK` is the most connections anyone saw. */
  readonly control: SharedArrayBuffer;
  readonly slots: number;
  readonly workers: number;
  readonly worker: number;
  readonly maxConnections: number;
  /** 0: until terminated. */
  readonly rounds: number;
}

export const GO = 0;
export const PEAK = 1;

function hammer(data: HammerData): { held: number[]; opened: number[] } {
  const { slots, worker, maxConnections } = data;
  const state = new EndpointState(data.buffer, 0, slots, data.workers, worker, LATENCY);
  const control = new Int32Array(data.control);
  const held = new Array<number>(slots).fill(0);
  const opened = new Array<number>(slots).fill(0);
  Atomics.wait(control, GO, 0);
  for (let round = 0; data.rounds === 0 || round < data.rounds; round++) {
    const slot = (round * 7 + worker) % slots;
    state.begin(slot);
    if (round % 100 === 0) held[slot] = held[slot]! + 1;
    else state.end(slot);
    if (state.tryOpenConnection(slot, maxConnections)) {
      const seen = state.connections(slot);
      if (seen > Atomics.load(control, PEAK)) Atomics.store(control, PEAK, seen);
      if (round === 0) opened[slot] = opened[slot]! + 1;
      else state.closeConnection(slot);
    }
  }
  return { held, opened };
}

if (parentPort !== null) {
  parentPort.postMessage("ready");
  parentPort.postMessage(hammer(workerData as HammerData));
}

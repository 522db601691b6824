import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { EndpointState } from "../../../../src/proxy/upstream/balance/endpoint-state.ts";
import { until } from "../../../helpers/until.ts";
import { LATENCY, newState } from "./fixture.ts";
import { GO, type HammerData, PEAK } from "./hammer-worker.ts";

const close = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) < 1e-6, `${actual} is not ${expected}`);

describe("the layout of the endpoint state", () => {
  test("takes whole cache lines, and no two slots or workers share a counter", () => {
    const [slots, workers] = [5, 3];
    const bytes = EndpointState.bytesFor(slots, workers);
    assert.equal(bytes % 64, 0);
    const buffer = new SharedArrayBuffer(bytes + 64);
    const view = (worker: number) => new EndpointState(buffer, 64, slots, workers, worker, LATENCY);
    const main = view(-1);
    for (let worker = 0; worker < workers; worker++) {
      for (let slot = 0; slot < slots; slot++) {
        for (let times = 0; times <= slot; times++) view(worker).begin(slot);
        view(worker).tryOpenConnection(slot, 100);
        main.reset(slot, 1_000 + slot);
        main.eject(slot, 2_000 + slot, slot);
      }
    }
    for (let slot = 0; slot < slots; slot++) {
      assert.equal(main.inFlight(slot), workers * (slot + 1));
      assert.equal(main.connections(slot), workers);
      assert.equal(main.ejectedUntil(slot), 2_000 + slot);
      assert.equal(main.ejections(slot), slot);
    }
    assert.deepEqual(new Uint8Array(buffer, 0, 64), new Uint8Array(64));
  });

  test("refuses an unaligned offset and a worker that does not exist", () => {
    const buffer = new SharedArrayBuffer(EndpointState.bytesFor(2, 2) + 64);
    assert.throws(() => new EndpointState(buffer, 32, 2, 2, 0, LATENCY), RangeError);
    assert.throws(() => new EndpointState(buffer, 0, 2, 2, 2, LATENCY), RangeError);
    assert.throws(() => new EndpointState(buffer, 128, 2, 2, 0, LATENCY), RangeError);
  });
});

describe("the counts of the endpoint state", () => {
  test("are the sum over all workers, and a worker gives back only what it holds", () => {
    const buffer = new SharedArrayBuffer(EndpointState.bytesFor(2, 2));
    const first = new EndpointState(buffer, 0, 2, 2, 0, LATENCY);
    const second = new EndpointState(buffer, 0, 2, 2, 1, LATENCY);
    first.begin(1);
    second.begin(1);
    assert.equal(first.inFlight(1), 2);
    first.end(1);
    assert.throws(() => first.end(1), /more often than taken/);
    assert.equal(second.inFlight(1), 1);
    assert.equal(second.isIdle(1), false);
    second.end(1);
    assert.equal(second.isIdle(1), true);
  });

  test("of connections stop at the maximum", () => {
    const state = newState(1);
    assert.deepEqual(
      [1, 2, 3].map(() => state.tryOpenConnection(0, 2)),
      [true, true, false],
    );
    state.closeConnection(0);
    assert.equal(state.tryOpenConnection(0, 2), true);
    assert.equal(state.connections(0), 2);
  });

  test("are closed to the main thread and beyond the last slot", () => {
    const buffer = new SharedArrayBuffer(EndpointState.bytesFor(2, 1));
    const main = new EndpointState(buffer, 0, 2, 1, -1, LATENCY);
    assert.throws(() => main.begin(0), /main thread/);
    assert.throws(() => newState(2).begin(2), /slot 2/);
    assert.throws(() => newState(2).tryOpenConnection(9, 5), /slot 9/);
  });

  test("survive that the slot gets a new endpoint", () => {
    const state = newState(1);
    state.begin(0);
    state.reset(0, 5_000);
    assert.equal(state.inFlight(0), 1);
    state.end(0);
    assert.equal(state.inFlight(0), 0);
  });

  test("lose exactly what a dead worker held", () => {
    const buffer = new SharedArrayBuffer(EndpointState.bytesFor(3, 2));
    const view = (worker: number) => new EndpointState(buffer, 0, 3, 2, worker, LATENCY);
    view(0).begin(2);
    view(1).begin(2);
    view(1).begin(2);
    view(1).tryOpenConnection(0, 9);
    assert.equal(view(1).tryLockEjections(), true);
    view(-1).releaseWorker(1);
    assert.equal(view(0).inFlight(2), 1);
    assert.equal(view(0).connections(0), 0);
    assert.equal(view(0).tryLockEjections(), true);
    view(-1).releaseWorker(1);
    assert.equal(view(0).inFlight(2), 1);
  });

  test("are exact over real threads, and exact again after one was killed", async () => {
    const [slots, workers, maxConnections] = [3, 4, 2];
    const buffer = new SharedArrayBuffer(EndpointState.bytesFor(slots, workers));
    const control = new SharedArrayBuffer(8);
    const threads: Worker[] = [];
    try {
      const results: Promise<unknown[]>[] = [];
      for (let worker = 0; worker < workers; worker++) {
        const rounds = worker === 0 ? 0 : 60_000;
        const data: HammerData = {
          ...{ buffer, control, slots, workers, worker, maxConnections, rounds },
        };
        const thread = new Worker(new URL("./hammer-worker.ts", import.meta.url), {
          workerData: data,
        });
        threads.push(thread);
        await once(thread, "message");
        if (rounds > 0) results.push(once(thread, "message"));
      }
      const flags = new Int32Array(control);
      Atomics.store(flags, GO, 1);
      Atomics.notify(flags, GO);
      const finished = (await Promise.all(results)) as [{ held: number[]; opened: number[] }][];
      const main = new EndpointState(buffer, 0, slots, workers, -1, LATENCY);
      await threads[0]!.terminate();
      main.releaseWorker(0);
      for (let slot = 0; slot < slots; slot++) {
        const held = finished.reduce((sum, [{ held }]) => sum + held[slot]!, 0);
        const opened = finished.reduce((sum, [{ opened }]) => sum + opened[slot]!, 0);
        assert.ok(held > 0);
        assert.equal(main.inFlight(slot), held);
        assert.equal(main.connections(slot), opened);
      }
      assert.equal(flags[PEAK], maxConnections);
    } finally {
      for (const thread of threads) await thread.terminate();
    }
  });

  test("agree with a worker's own note wherever a kill hits it", async () => {
    const buffer = new SharedArrayBuffer(EndpointState.bytesFor(1, 1));
    const main = new EndpointState(buffer, 0, 1, 1, -1, LATENCY);
    for (let kill = 0; kill < 6; kill++) {
      const control = new SharedArrayBuffer(8);
      const data: HammerData = {
        ...{ buffer, control, slots: 1, workers: 1, worker: 0, maxConnections: 5, rounds: 0 },
      };
      const thread = new Worker(new URL("./hammer-worker.ts", import.meta.url), {
        workerData: data,
      });
      try {
        await once(thread, "message");
        const flags = new Int32Array(control);
        Atomics.store(flags, GO, 1);
        Atomics.notify(flags, GO);
        await until(() => main.inFlight(0) > 3, { what: "the worker at work" });
      } finally {
        await thread.terminate();
      }
      main.releaseWorker(0);
      assert.deepEqual([main.inFlight(0), main.connections(0)], [0, 0]);
    }
  });
});

describe("the latency estimate", () => {
  test("is the default for an endpoint that was never measured, and fades within seconds", () => {
    const state = newState(1);
    state.reset(0, 1_000);
    assert.equal(state.isMeasured(0), false);
    assert.equal(state.latencyAt(0, 1_000), 30);
    close(state.latencyAt(0, 2_000), 30 / Math.E);
    assert.ok(state.latencyAt(0, 5_000) < 1);
  });

  test("jumps to a sample above it and averages a lower one in by its age", () => {
    const state = newState(1);
    state.reset(0, 0);
    state.observe(0, 10, false, 100);
    assert.equal(state.isMeasured(0), true);
    assert.equal(state.latencyAt(0, 100), 10);
    state.observe(0, 200, false, 150);
    assert.equal(state.latencyAt(0, 150), 200);
    state.observe(0, 100, false, 150 + 10_000);
    close(state.latencyAt(0, 10_150), 200 / Math.E + 100 * (1 - 1 / Math.E));
  });

  test("decays toward zero on reading, and reading changes nothing", () => {
    const state = newState(1);
    state.observe(0, 50, false, 0);
    close(state.latencyAt(0, 10_000), 50 / Math.E);
    close(state.latencyAt(0, 20_000), 50 / Math.E ** 2);
    close(state.latencyAt(0, 10_000), 50 / Math.E);
    assert.ok(state.latencyAt(0, 10_000_000) < 1e-9);
  });

  test("counts in full again once the endpoint was picked, without weakening the next sample", () => {
    const state = newState(1);
    state.observe(0, 50, false, 0);
    state.picked(0, 20_000);
    assert.equal(state.latencyAt(0, 20_000), 50);
    close(state.latencyAt(0, 30_000), 50 / Math.E);
    state.observe(0, 10, false, 30_000);
    close(state.latencyAt(0, 30_000), 50 * Math.exp(-3) + 10 * (1 - Math.exp(-3)));
  });

  test("takes a fast failure for a slow answer and keeps a slow one as it is", () => {
    const state = newState(2);
    state.observe(0, 1, true, 0);
    state.observe(1, 9_000, true, 0);
    assert.equal(state.latencyAt(0, 0), 5_000);
    assert.equal(state.latencyAt(1, 0), 9_000);
  });

  test("stays a positive finite number whatever is observed", () => {
    const state = newState(1);
    for (const odd of [0, -5, Number.NaN, Number.POSITIVE_INFINITY, 1]) {
      state.observe(0, odd, odd === 1, 0);
      const estimate = state.latencyAt(0, 0);
      assert.ok(estimate > 0 && Number.isFinite(estimate), `${odd} gave ${estimate}`);
    }
  });

  test("bears a clock that is a little behind another worker's", () => {
    const state = newState(1);
    state.observe(0, 50, false, 1_000);
    state.observe(0, 10, false, 999);
    assert.equal(state.latencyAt(0, 998), 50);
  });

  test("and all else is forgotten when the slot gets a new endpoint", () => {
    const state = newState(1);
    state.observe(0, 500, true, 0);
    state.addFailure(0);
    state.eject(0, 90_000, 3);
    state.reset(0, 1_000);
    assert.equal(state.latencyAt(0, 1_000), 30);
    assert.equal(state.isEjected(0, 1_000), false);
    assert.deepEqual([state.ejections(0), state.failures(0), state.servingSince(0)], [0, 0, 1_000]);
  });

  test("accepts a time constant of zero", () => {
    const buffer = new SharedArrayBuffer(EndpointState.bytesFor(1, 1));
    const state = new EndpointState(buffer, 0, 1, 1, 0, { ...LATENCY, decayMs: 0 });
    state.observe(0, 50, false, 0);
    state.observe(0, 10, false, 0);
    assert.equal(state.latencyAt(0, 0), 50);
    state.observe(0, 10, false, 1_000);
    close(state.latencyAt(0, 1_000), 10);
  });

  test("has a plain mean beside it, which peaks, failures and age hardly move", () => {
    const state = newState(1);
    assert.equal(state.meanLatencyMs(0), 0);
    state.observe(0, 10, false, 0);
    close(state.meanLatencyMs(0), 10);
    state.observe(0, 1, true, 1);
    close(state.meanLatencyMs(0), 10);
    state.observe(0, 26, false, 2);
    close(state.meanLatencyMs(0), 11);
    for (let at = 0; at < 200; at++) state.observe(0, 3, false, 1_000_000);
    assert.ok(Math.abs(state.meanLatencyMs(0) - 3) < 0.01);
    state.reset(0, 0);
    assert.equal(state.meanLatencyMs(0), 0);
  });
});

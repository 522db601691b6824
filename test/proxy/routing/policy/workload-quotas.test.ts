import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { WorkloadQuotas } from "../../../../src/proxy/routing/policy/workload-quotas.ts";
import { until } from "../../../helpers/until.ts";
import type { QuotaData } from "./quota-worker.ts";

function newViews(slots: number, workers: number): (worker: number) => WorkloadQuotas {
  const buffer = new SharedArrayBuffer(WorkloadQuotas.bytesFor(slots, workers));
  return (worker) => new WorkloadQuotas(buffer, 0, slots, workers, worker);
}

test("a workload's connections stop at its limit, whichever worker they come to", () => {
  const view = newViews(2, 2);
  assert.equal(view(0).tryOpenConnection(1, 2), true);
  assert.equal(view(1).tryOpenConnection(1, 2), true);
  assert.equal(view(0).tryOpenConnection(1, 2), false);
  assert.equal(view(-1).connections(1), 2);
  view(1).closeConnection(1);
  assert.equal(view(0).tryOpenConnection(1, 2), true);
});

test("a workload's requests in flight stop at its limit, apart from its connections", () => {
  const view = newViews(2, 2);
  assert.equal(view(0).tryBegin(0, 1), true);
  assert.equal(view(1).tryBegin(0, 1), false);
  assert.equal(view(1).tryOpenConnection(0, 1), true);
  view(0).end(0);
  assert.equal(view(1).tryBegin(0, 1), true);
  assert.deepEqual([view(-1).inFlight(0), view(-1).connections(0)], [1, 1]);
});

test("one workload at its limit takes nothing from another", () => {
  const view = newViews(2, 1);
  assert.equal(view(0).tryBegin(0, 1), true);
  assert.equal(view(0).tryBegin(0, 1), false);
  assert.equal(view(0).tryBegin(1, 1), true);
});

test("a quota given back twice is an error and is counted once", () => {
  const view = newViews(1, 1);
  view(0).tryBegin(0, 5);
  view(0).end(0);
  assert.throws(() => view(0).end(0), RangeError);
  assert.throws(() => view(0).closeConnection(0), RangeError);
  assert.equal(view(0).inFlight(0), 0);
  assert.equal(view(0).isIdle(0), true);
});

test("real threads never exceed a limit, and a killed one gives back what it held", async () => {
  const [slots, workers, max] = [2, 3, 4];
  const buffer = new SharedArrayBuffer(WorkloadQuotas.bytesFor(slots, workers));
  const main = new WorkloadQuotas(buffer, 0, slots, workers, -1);
  const threads: Worker[] = [];
  try {
    for (let worker = 0; worker < workers; worker++) {
      const keep = worker === 0 ? 1 : 0;
      const workerData: QuotaData = { ...{ buffer, slots, workers, worker, max, keep } };
      threads.push(new Worker(new URL("./quota-worker.ts", import.meta.url), { workerData }));
    }
    const done = threads.slice(1).map((thread) => once(thread, "message"));
    const peaks = (await Promise.all(done)).map(([peak]) => peak as number);
    for (const peak of peaks) assert.ok(peak >= 1 && peak <= max, `${peaks}`);
    await until(() => main.connections(1) >= 1, { what: "the first worker's connection" });
    await threads[0]!.terminate();
    assert.ok(main.connections(1) >= 1);
    main.releaseWorker(0);
    for (let slot = 0; slot < slots; slot++) {
      assert.deepEqual([main.inFlight(slot), main.connections(slot)], [0, 0]);
    }
  } finally {
    for (const thread of threads) await thread.terminate();
  }
});

test("counts bytes in buffers over all workers, to a KiB for each", () => {
  const view = newViews(4, 2);
  const [a, b, main] = [view(0).buffers(1, 10_240), view(1).buffers(1, 10_240), view(-1)];
  a.keep(1);
  assert.equal(main.bufferedBytes(1), 1_024);
  a.keep(5_000);
  b.keep(5_000);
  assert.equal(main.bufferedBytes(1), 10_240);
  assert.ok(a.full && b.full);
  assert.ok(!main.isIdle(1));
  assert.equal(main.allBufferedBytes(), 10_240);
  b.keep(-5_000);
  assert.ok(!a.full && !b.full);
  a.keep(-5_001);
  assert.equal(main.bufferedBytes(1), 0);
  assert.ok(main.isIdle(1));
  assert.throws(() => a.keep(-2_000), RangeError);
});

test("takes back the bytes, waiting requests and retries of a worker that died", () => {
  const view = newViews(4, 2);
  const [worker, main] = [view(0), view(-1)];
  worker.buffers(2, 1_000).keep(100_000);
  assert.ok(worker.tryPending(2, 1) && !worker.tryPending(2, 1));
  assert.ok(worker.tryRetry(2, 1) && !worker.tryRetry(2, 1));
  assert.deepEqual([main.pending(2), main.retries(2)], [1, 1]);
  main.releaseWorker(0);
  assert.ok(main.isIdle(2));
});

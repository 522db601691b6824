import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { EndpointState } from "../../../../src/proxy/upstream/balance/endpoint-state.ts";
import { until } from "../../../helpers/until.ts";
import { LATENCY } from "./fixture.ts";
import { DONE, GROUPS, PAUSE_MS, PROBES, type ProbeData, ROUND } from "./probe-worker.ts";

test("of several threads one gets the probe of a pause, and one the interval of each group", async () => {
  const [slots, workers, rounds] = [64, 4, 60];
  const buffer = new SharedArrayBuffer(EndpointState.bytesFor(slots, workers));
  const control = new SharedArrayBuffer(4 * (PROBES + 2 * rounds + 2));
  const main = new EndpointState(buffer, 0, slots, workers, -1, LATENCY);
  const view = new Int32Array(control);
  const threads = Array.from({ length: workers }, (_, worker) => {
    const workerData: ProbeData = { buffer, control, slots, workers, worker, rounds };
    return new Worker(new URL("./probe-worker.ts", import.meta.url), { workerData });
  });
  const ends = threads.map((thread) => once(thread, "exit"));
  for (let round = 1; round <= rounds; round++) {
    // Those that the last round reopened are shut again; the others are in their next pause.
    for (let slot = 0; slot < slots; slot++) {
      if (!main.accrual.isShut(slot)) main.accrual.shut(slot, round * PAUSE_MS);
    }
    Atomics.store(view, ROUND, round);
    Atomics.notify(view, ROUND);
    await until(() => Atomics.load(view, DONE) === round * workers);
    assert.equal(view[PROBES + 2 * round], slots, `probes of round ${round}`);
    assert.equal(view[PROBES + 2 * round + 1], GROUPS, `claims of round ${round}`);
  }
  await Promise.all(ends);
  assert.equal(main.accrual.shuts(0), rounds + 1);
});

test("a thread that dies with a probe gives it back", () => {
  const buffer = new SharedArrayBuffer(EndpointState.bytesFor(4, 2));
  const [first, second] = [0, 1].map(
    (worker) => new EndpointState(buffer, 0, 4, 2, worker, LATENCY).accrual,
  );
  const main = new EndpointState(buffer, 0, 4, 2, -1, LATENCY);
  main.accrual.shut(3, 1_000);
  const lost = first!.claimProbe(3, 1_000);
  assert.notEqual(lost, 0);
  assert.equal(second!.claimProbe(3, 2_000), 0);
  main.releaseWorker(1);
  assert.equal(second!.claimProbe(3, 2_000), 0, "the other worker's probe is left alone");
  main.releaseWorker(0);
  const token = second!.claimProbe(3, 2_000);
  assert.notEqual(token, 0);
  assert.notEqual(token, lost);
  assert.equal(main.accrual.isProbe(3, lost), false, "a result of the lost probe is no news");
});

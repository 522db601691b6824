import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { FLOW, OUTCOME, PAIR, Series } from "../../src/telemetry/series.ts";
import { SeriesReader } from "../../src/telemetry/series-reader.ts";
import type { SeriesLabel } from "../../src/telemetry/slot-allotter.ts";

const PER_TABLE = 32;
const ROUNDS = 100_000;

test("counts of real worker threads are exact, never fall while they run, and survive a worker", async () => {
  const stride = Series.bytesFor(PER_TABLE);
  const buffer = new SharedArrayBuffer(2 * stride);
  const series = new SeriesReader([0, 1].map((i) => new Series(buffer, i * stride, PER_TABLE)));
  const total = (): number =>
    [...series.groups("outcomes")].reduce((sum, group) => sum + group.sum(OUTCOME.count), 0);
  const run = async (): Promise<void> => {
    const ends = [0, 1].map((index) => {
      const worker = new Worker(new URL("./series-worker.ts", import.meta.url), {
        workerData: {
          buffer,
          byteOffset: index * stride,
          perTable: PER_TABLE,
          rounds: ROUNDS,
          known: series.known(index),
        },
      });
      worker.on("message", (label: SeriesLabel) => series.learn(index, label));
      return once(worker, "exit");
    });
    let last = total();
    const watch = setInterval(() => {
      const now = total();
      assert.ok(now >= last, `${last} fell to ${now}`);
      last = now;
    }, 1);
    try {
      await Promise.all(ends);
    } finally {
      clearInterval(watch);
    }
  };
  await run();
  assert.equal(total(), 2 * ROUNDS);
  const known = series.known(0).length;
  await run();
  assert.equal(total(), 4 * ROUNDS);
  assert.equal(series.known(0).length, known, "the second worker used the slots of the first");
  const flows = [...series.groups("flows")].reduce((sum, flow) => sum + flow.sum(FLOW.count), 0);
  assert.equal(flows, 4 * ROUNDS);
  assert.ok([...series.groups("pairs")].every((pair) => pair.sum(PAIR.inFlight) === 0));
  assert.equal(
    series.total((region) => region.event("connection_opened")),
    4 * ROUNDS,
  );
});

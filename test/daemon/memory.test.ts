import assert from "node:assert/strict";
import test from "node:test";
import { layout, MAIN_THREAD, openMemory, openSeries } from "../../daemon/memory.ts";
import { configSchema } from "../../src/config/schema.ts";

const config = configSchema.parse({
  limits: { endpoints: 5, workloads: 3, metricSeries: 4 },
});

test("a layout survives being handed to another thread and shows it the same memory", () => {
  const memory = layout(config, 2);
  const theirs = structuredClone(memory);
  assert.equal(theirs.buffer.byteLength, memory.buffer.byteLength);
  openMemory(theirs, 1, config).endpoints.begin(4);
  assert.equal(openMemory(memory, MAIN_THREAD, config).endpoints.inFlight(4), 1);
});

test("no section writes into another", () => {
  const memory = layout(config, 2);
  const worker = openMemory(memory, 1, config);
  for (let slot = 0; slot < 5; slot++) {
    worker.endpoints.begin(slot);
    worker.endpoints.tryOpenConnection(slot, 9);
    worker.endpoints.observe(slot, 7, true, 1);
  }
  for (let slot = 0; slot < 3; slot++) {
    assert.equal(worker.quotas.isIdle(slot), true);
    worker.quotas.tryBegin(slot, 9);
    worker.quotas.tryOpenConnection(slot, 9);
  }
  const series = [openSeries(memory, 0), openSeries(memory, 1)];
  assert.deepEqual(
    series.map((one) => one.event("connection_opened")),
    [0, 0],
  );
  series[1]?.countEvent("connection_opened");
  assert.equal(series[0]?.event("connection_opened"), 0);
  for (let slot = 0; slot < 5; slot++) assert.equal(worker.endpoints.inFlight(slot), 1);
  for (let slot = 0; slot < 3; slot++) assert.equal(worker.quotas.inFlight(slot), 1);
  assert.throws(() => openSeries(memory, 2), RangeError);
});

test("what a dead worker held is taken back, and only that", () => {
  const memory = layout(config, 2);
  const main = openMemory(memory, MAIN_THREAD, config);
  const first = openMemory(memory, 0, config);
  const second = openMemory(memory, 1, config);
  first.endpoints.begin(2);
  second.endpoints.begin(2);
  second.quotas.tryBegin(1, 5);
  main.endpoints.releaseWorker(1);
  main.quotas.releaseWorker(1);
  assert.equal(main.endpoints.inFlight(2), 1);
  assert.equal(main.quotas.isIdle(1), true);
});

test("the default limits fit into the addresses of a process", () => {
  const defaults = configSchema.parse({});
  const { buffer } = layout(defaults, 8);
  assert(buffer.byteLength < 2 ** 31, `${buffer.byteLength} bytes`);
});

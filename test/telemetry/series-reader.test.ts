import assert from "node:assert/strict";
import { test } from "node:test";
import { FLOW, OUTCOME, PAIR, Series } from "../../src/telemetry/series.ts";
import { WorkerRecorder } from "../../src/telemetry/worker-recorder.ts";
import { makeEndpoint, makeFacts, makeService, makeWorkload } from "./make-facts.ts";
import { groupOf, setUpSeries } from "./set-up-series.ts";

const service = makeService("catalog");
const source = makeWorkload("web");

function serviceFacts(index: number) {
  return makeFacts({ source, service: makeService(`s${index}`) });
}

/** Requests per destination as a scrape would see them. */
function counts(series: ReturnType<typeof setUpSeries>["series"]): Record<string, number> {
  return Object.fromEntries(
    [...series.groups("flows")].map((group) => [group.labels[1], group.sum(FLOW.count)]),
  );
}

test("a region's size is a multiple of 64 and grows with the number of series", () => {
  for (const series of [1, 7, 64, 8192]) assert.equal(Series.bytesFor(series) % 64, 0);
  assert.ok(Series.bytesFor(8192) > Series.bytesFor(64));
  assert.ok(Series.bytesFor(8192) < 72 * 2 ** 20, "72 MiB of address space per worker");
});

test("regions that lie side by side do not touch each other", () => {
  const { regions, recorders } = setUpSeries(3, 4);
  for (let index = 0; index < 50; index += 1) recorders[1]?.exchange(serviceFacts(index));
  for (const region of [regions[0], regions[2]]) {
    for (const table of Object.values(region?.tables ?? {})) {
      // Generation 1 of the slot for `other` is all that a fresh recorder writes.
      assert.equal(
        table.words.some((word) => word !== 0),
        false,
        table.shape.name,
      );
      // Istio's tables are not in use here.
      const first = table.shape.name.startsWith("istio_") ? 0 : 1;
      assert.deepEqual([...table.generations], [first, 0, 0, 0, 0]);
    }
  }
});

test("one label set is added up over all workers", () => {
  const { series, recorders } = setUpSeries(3);
  for (const [index, recorder] of recorders.entries()) {
    for (let round = 0; round <= index; round += 1) {
      recorder.started(source, service);
      recorder.exchange(makeFacts({ source, service }));
    }
  }
  const flow = groupOf(
    series,
    "flows",
    "default/web",
    "default/catalog",
    "captured",
    "http",
    "same_host",
  );
  assert.equal(flow.members.length, 3);
  assert.equal(flow.sum(FLOW.count), 6);
});

test("label sets beyond the limit are folded into `other`, and nothing is lost", () => {
  const { series, recorders } = setUpSeries(1, 4);
  for (let round = 0; round < 3; round += 1) {
    for (let index = 0; index < 10; index += 1) recorders[0]?.exchange(serviceFacts(index));
  }
  const found = counts(series);
  assert.deepEqual(found, {
    "default/s0": 3,
    "default/s1": 3,
    "default/s2": 3,
    "default/s3": 3,
    other: 18,
  });
  assert.equal(series.folded("flows"), 18);
  assert.equal(series.size("flows"), 4);
  const other = groupOf(series, "outcomes", ...new Array<string>(7).fill("other"));
  assert.equal(other.sum(OUTCOME.count), 18);
});

test("a worker that replaces another goes on with its counters and starts with empty gauges", () => {
  const { series, regions, recorders, start } = setUpSeries(2);
  for (const recorder of recorders) {
    recorder.event("connection_opened");
    recorder.event("connection_opened");
    recorder.event("connection_closed");
    recorder.started(source, service);
    recorder.started(source, service);
    recorder.exchange(makeFacts({ source, service }));
  }
  const labels = series.known(0).length;
  const heir = start(0);
  assert.equal(regions[0]?.event("connection_closed"), 2, "what was open ended with the worker");
  assert.equal(regions[1]?.event("connection_closed"), 1);
  const pair = groupOf(series, "pairs", "default/web", "default/catalog");
  assert.equal(pair.sum(PAIR.inFlight), 1, "the other worker's request");
  heir.started(makeWorkload("web"), makeService("catalog"));
  heir.exchange(makeFacts({ source: makeWorkload("web"), service: makeService("catalog") }));
  assert.equal(series.known(0).length, labels, "no slot was allotted twice");
  assert.deepEqual(counts(series), { "default/catalog": 3 });
});

test("a slot that a dead worker allotted without being heard is cleared before it is used again", () => {
  const { series, regions, start } = setUpSeries(1, 2);
  const unheard = new WorkerRecorder({ series: regions[0]!, onSeries: () => {} });
  for (let round = 0; round < 7; round += 1) unheard.exchange(serviceFacts(round % 2));
  assert.deepEqual(counts(series), {});
  const heir = start(0);
  heir.exchange(serviceFacts(1));
  heir.exchange(serviceFacts(2));
  assert.deepEqual(counts(series), { "default/s1": 1, "default/s2": 1 });
});

test("idle label sets go when their table is more than half full, in all workers at once", () => {
  const { series, recorders } = setUpSeries(2, 4);
  for (let index = 0; index < 3; index += 1) {
    for (const recorder of recorders) recorder.exchange(serviceFacts(index));
  }
  assert.equal(series.retire(0), 0);
  for (const recorder of recorders) recorder.exchange(serviceFacts(2));
  series.retire(300_000);
  assert.equal(series.retire(599_999), 0, "nothing has been idle for ten minutes");
  assert.ok(series.retire(600_000) > 0);
  assert.deepEqual(counts(series), { "default/s2": 4 });
  for (const recorder of recorders) {
    for (let index = 3; index < 6; index += 1) recorder.exchange(serviceFacts(index));
  }
  assert.deepEqual(counts(series), {
    "default/s2": 4,
    "default/s3": 2,
    "default/s4": 2,
    "default/s5": 2,
  });
  assert.equal(series.folded("flows"), 0);
});

test("idle label sets stay while there is room", () => {
  const { series, recorders } = setUpSeries(1, 8);
  for (let index = 0; index < 4; index += 1) recorders[0]?.exchange(serviceFacts(index));
  series.retire(0);
  assert.equal(series.retire(3_600_000), 0);
});

test("a label set that was let go counts from zero when it comes back, even with the same objects", () => {
  const { series, recorders } = setUpSeries(1, 2);
  const facts = [0, 1].map(serviceFacts);
  for (const each of facts) recorders[0]?.exchange(each);
  series.retire(0);
  series.retire(600_000);
  assert.deepEqual(counts(series), {});
  for (const each of facts) recorders[0]?.exchange(each);
  assert.deepEqual(counts(series), { "default/s0": 1, "default/s1": 1 });
});

test("a flow that was let go begins anew while its pair and its destination go on", () => {
  const { series, recorders } = setUpSeries(1, 2);
  const [first, second] = [0, 1].map(serviceFacts);
  assert.ok(first !== undefined && second !== undefined);
  recorders[0]?.exchange(first);
  recorders[0]?.exchange(second);
  series.retire(0);
  for (const nowMs of [300_000, 600_000]) {
    recorders[0]?.started(first.source, first.service);
    recorders[0]?.retry(first.service, "CONNECT_REFUSED");
    series.retire(nowMs);
  }
  assert.deepEqual(counts(series), {});
  recorders[0]?.exchange(first);
  assert.deepEqual(counts(series), { "default/s0": 1 });
  const [pair] = [...series.groups("pairs")];
  assert.deepEqual([pair?.labels[1], pair?.sum(PAIR.started)], ["default/s0", 2]);
});

test("labels whose slot others have had and left since count for themselves when they come back", () => {
  const { series, recorders } = setUpSeries(1, 2);
  const facts = [0, 1, 2, 3].map(serviceFacts);
  for (const [time, pair] of [facts.slice(0, 2), facts.slice(2)].entries()) {
    for (const each of pair) recorders[0]?.exchange(each);
    series.retire(time * 1_000_000);
    series.retire(time * 1_000_000 + 600_000);
  }
  assert.deepEqual(counts(series), {});
  for (const each of facts.slice(0, 2)) recorders[0]?.exchange(each);
  assert.deepEqual(counts(series), { "default/s0": 1, "default/s1": 1 });
});

test("what was folded gets a slot of its own as soon as there is one", () => {
  const { series, recorders } = setUpSeries(1, 2);
  const late = serviceFacts(9);
  recorders[0]?.exchange(serviceFacts(0));
  recorders[0]?.exchange(serviceFacts(1));
  recorders[0]?.exchange(late);
  series.retire(0);
  series.retire(600_000);
  recorders[0]?.exchange(late);
  assert.deepEqual(counts(series), { "default/s9": 1, other: 1 });
});

test("a pair with requests in flight is never let go", () => {
  const { series, recorders } = setUpSeries(1, 2);
  recorders[0]?.started(source, makeService("s0"));
  recorders[0]?.started(source, makeService("s1"));
  recorders[0]?.exchange(serviceFacts(1));
  series.retire(0);
  series.retire(3_600_000);
  assert.deepEqual(
    [...series.groups("pairs")].map((group) => group.labels[1]),
    ["default/s0"],
  );
});

test("a worker that replaces another does not get back what was let go", () => {
  const { series, recorders, start } = setUpSeries(1, 2);
  recorders[0]?.exchange(serviceFacts(0));
  recorders[0]?.exchange(serviceFacts(1));
  const stale = series.known(0);
  series.retire(0);
  series.retire(600_000);
  assert.deepEqual(series.known(0), []);
  const heir = start(0);
  heir.exchange(makeFacts({ source, service: makeService("s1"), endpoint: makeEndpoint("e") }));
  assert.deepEqual(counts(series), { "default/s1": 1 });
  assert.ok(stale.length > 0);
});

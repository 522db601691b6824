import assert from "node:assert/strict";
import { test } from "node:test";
import type { TracedRequest } from "../../src/telemetry/exemplar-book.ts";
import { ExemplarBook } from "../../src/telemetry/exemplar-book.ts";
import { Series } from "../../src/telemetry/series.ts";
import { identityLines } from "../../src/telemetry/trace-context.ts";
import { WorkerRecorder } from "../../src/telemetry/worker-recorder.ts";
import { makeFacts, makeService, makeWorkload } from "./make-facts.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const ids = (flags: string) => identityLines("id", `00-${TRACE}-b7ad6b7169203331-${flags}`);

function setUp() {
  const told: TracedRequest[] = [];
  const recorder = new WorkerRecorder({
    series: new Series(new SharedArrayBuffer(Series.bytesFor(256)), 0, 256),
    onSeries: () => undefined,
    onTraced: (request) => told.push(request),
  });
  const facts = makeFacts({ source: makeWorkload("web"), service: makeService("catalog") });
  return { told, recorder, facts };
}

test("only requests whose trace is recorded are told of", () => {
  const { told, recorder, facts } = setUp();
  for (const lines of ["", ids("00"), ids("02")]) recorder.exchange({ ...facts, ids: lines });
  assert.equal(told.length, 0);
  recorder.exchange({ ...facts, ids: ids("01") });
  recorder.exchange({ ...facts, ids: ids("03"), durationMs: 50 });
  assert.deepEqual(
    told.map(({ flow, traceId, durationMs }) => [flow.split("\0")[1], traceId, durationMs]),
    [
      ["default/catalog", TRACE, 2],
      ["default/catalog", TRACE, 50],
    ],
  );
});

test("of a flow and bucket once in a while, and of all not more than some in a second", () => {
  const { told, recorder, facts } = setUp();
  const sampled = { ...facts, ids: ids("01") };
  for (let at = 0; at < 100; at += 1) recorder.exchange({ ...sampled, startMs: at });
  assert.equal(told.length, 1);
  recorder.exchange({ ...sampled, startMs: 6_000 });
  assert.equal(told.length, 2);
  for (let at = 0; at < 200; at += 1) {
    recorder.exchange({ ...sampled, service: makeService(`s${at}`), startMs: 20_000 });
  }
  assert.equal(told.length, 2 + 50);
});

test("the newest request of each bucket is kept, of a bounded number of flows", () => {
  const book = new ExemplarBook();
  for (const [traceId, durationMs] of [
    ["a", 3],
    ["b", 4],
    ["c", 700],
  ] as const) {
    book.learn({ flow: "f", traceId, durationMs, atMs: 1 });
  }
  assert.deepEqual(
    book.of("f")?.flatMap((one) => (one === undefined ? [] : [one.traceId])),
    ["b", "c"],
  );
  for (let at = 0; at < 3_000; at += 1) {
    book.learn({ flow: `${at}`, traceId: "x", durationMs: 1, atMs: 1 });
  }
  assert.equal(book.of("f"), undefined);
});

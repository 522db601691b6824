import assert from "node:assert/strict";
import { test } from "node:test";
import type { Collector, ExportAnswer } from "../../../daemon/tracing/collector.ts";
import { retryPauseMs } from "../../../daemon/tracing/retry-pause.ts";
import { SpanExporter } from "../../../daemon/tracing/span-exporter.ts";
import { spanText } from "../../../src/telemetry/tracing/otlp-json.ts";
import { resourceText } from "../../../src/telemetry/tracing/resource.ts";
import { readExport } from "../../helpers/otlp.ts";
import { until } from "../../helpers/until.ts";
import { FakeTime } from "../../registry/fake-time.ts";
import { memoryLog } from "../fixtures.ts";

const TAKEN: ExportAnswer = { kind: "taken", refusedSpans: 0, message: "" };
const BUSY: ExportAnswer = { kind: "busy", reason: "503", retryAfter: "" };
const RESOURCES = ["cart", "shop"].map((name) =>
  resourceText({ namespace: "default", name, instance: name, labels: {} }),
);

/** Gives these answers in turn, the last one again and again; a function is asked at each call. */
class FakeCollector implements Collector {
  readonly bodies: string[] = [];
  closed = 0;
  readonly #answers: (ExportAnswer | ((signal: AbortSignal) => Promise<ExportAnswer>))[];

  constructor(...answers: (ExportAnswer | ((signal: AbortSignal) => Promise<ExportAnswer>))[]) {
    this.#answers = answers;
  }

  async send(body: string, signal: AbortSignal): Promise<ExportAnswer> {
    this.bodies.push(body);
    const answer = this.#answers.length > 1 ? this.#answers.shift() : this.#answers[0];
    if (typeof answer === "function") return answer(signal);
    return answer ?? TAKEN;
  }

  async close(): Promise<void> {
    this.closed += 1;
  }

  get spans(): number[] {
    return this.bodies.map((body) => readExport(body).length);
  }
}

function exporter(collector: Collector, more: { batchSpans?: number; queueSpans?: number } = {}) {
  const time = new FakeTime();
  const { log, lines } = memoryLog();
  const settings = { batchSpans: 4, intervalMs: 1_000, queueSpans: 10, timeoutMs: 5_000, ...more };
  const made = new SpanExporter({
    ...{ collector, settings, host: "node-a", version: "1.2.3", timers: time, log },
    wall: () => time.now(),
    random: () => 0,
  });
  return { made, time, lines };
}

function batch(count: number, dropped = 0) {
  const spans = Array.from({ length: count }, (_, at) => [
    RESOURCES[at % 2] ?? "",
    spanText({
      ...{ traceId: "a".repeat(32), spanId: "b".repeat(16), parentId: "", traceState: "" },
      ...{ traceFlags: 1, isParentRemote: false, kind: 2, name: `n${at}` },
      ...{ startMs: 1, endMs: 2, attributes: [], events: [], failure: null },
    }),
  ]).flat();
  return { spans, dropped };
}

test("a full batch goes at once, what is left after a while, each span with its own resource and the host's name", async () => {
  const collector = new FakeCollector(TAKEN);
  const { made, time } = exporter(collector);
  made.take(batch(5));
  await until(() => made.stats().exported === 4);
  assert.deepEqual(collector.spans, [4]);
  time.advance(1_000);
  await until(() => made.stats().exported === 5);
  const seen = readExport(collector.bodies[0] ?? "");
  assert.deepEqual(
    seen.map(({ name, resource }) => [name, resource["service.name"], resource["host.name"]]),
    [
      ["n0", "cart", "node-a"],
      ["n2", "cart", "node-a"],
      ["n1", "shop", "node-a"],
      ["n3", "shop", "node-a"],
    ],
  );
  assert.deepEqual(made.stats(), { exported: 5, dropped: 0, refused: 0, waiting: 0 });
});

test("while a collector does not answer, spans wait up to the limit, and what comes beyond it is dropped and counted", async () => {
  const { promise, resolve } = Promise.withResolvers<ExportAnswer>();
  const collector = new FakeCollector(() => promise, TAKEN);
  const { made } = exporter(collector);
  for (let at = 0; at < 5; at += 1) made.take(batch(4, 1));
  assert.deepEqual(made.stats(), { exported: 0, dropped: 11, refused: 0, waiting: 10 });
  assert.equal(collector.bodies.length, 1, "one export at a time");
  resolve(TAKEN);
  await until(() => made.stats().exported === 12);
});

test("what is busy is asked again, later each time, and for no longer than a minute", async () => {
  const collector = new FakeCollector(BUSY, BUSY, TAKEN);
  const { made, time, lines } = exporter(collector);
  made.take(batch(4));
  for (const pauseMs of [1_000, 2_000]) {
    await until(() => time.pending() === 1);
    const before = collector.bodies.length;
    time.advance(pauseMs - 1);
    assert.equal(collector.bodies.length, before);
    time.advance(1);
  }
  await until(() => made.stats().exported === 4);
  assert.equal(new Set(collector.bodies).size, 1, "the same batch");
  assert.deepEqual(
    lines.map(({ message }) => message),
    ["spans are not taken by the collector", "the collector takes spans again"],
    "said once each",
  );

  const dead = new FakeCollector(BUSY);
  const other = exporter(dead);
  other.made.take(batch(4));
  while (other.made.stats().dropped === 0) {
    await until(() => other.time.pending() === 1 || other.made.stats().dropped > 0);
    other.time.advance(30_000);
  }
  assert.ok(other.time.now() <= 150_000);
  assert.equal(other.made.stats().dropped, 4);
});

test("a collector that is not there is one that is busy", async () => {
  const collector = new FakeCollector(() => Promise.reject(new Error("ECONNREFUSED")), TAKEN);
  const { made, time, lines } = exporter(collector);
  made.take(batch(4));
  await until(() => time.pending() === 1);
  assert.match(JSON.stringify(lines), /ECONNREFUSED/);
  time.advance(1_000);
  await until(() => made.stats().exported === 4);
});

test("what is refused is not sent again, and of a partial success the refused ones are counted", async () => {
  const collector = new FakeCollector(
    { kind: "refused", reason: "400" },
    {
      ...TAKEN,
      refusedSpans: 3,
      message: "too old",
    },
  );
  const { made, lines } = exporter(collector);
  made.take(batch(4));
  await until(() => made.stats().refused === 4);
  made.take(batch(4));
  await until(() => made.stats().exported === 1);
  assert.deepEqual(made.stats(), { exported: 1, dropped: 0, refused: 7, waiting: 0 });
  assert.equal(lines.length, 1);
});

test("at its end it sends what waits without any pause, and gives up at the limit", async () => {
  const collector = new FakeCollector(BUSY, TAKEN);
  const { made, time } = exporter(collector);
  made.take(batch(6));
  await until(() => time.pending() === 1);
  await made.close(2_000);
  assert.deepEqual(made.stats(), { exported: 6, dropped: 0, refused: 0, waiting: 0 });
  assert.equal(collector.closed, 1);
  assert.equal(time.pending(), 0);

  const silent = new FakeCollector(
    (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(new Error("aborted")));
      }),
  );
  const other = exporter(silent);
  other.made.take(batch(10));
  const closing = other.made.close(2_000);
  other.time.advance(2_000);
  await closing;
  assert.deepEqual(other.made.stats(), { exported: 0, dropped: 10, refused: 0, waiting: 0 });
  await other.made.close(0);
});

test("Retry-After goes before the growing pause, in seconds or as a date", () => {
  const now = Date.UTC(2026, 0, 1);
  const pause = (failures: number, said: string, random = 0) =>
    retryPauseMs(failures, said, now, () => random);
  assert.deepEqual(
    [1, 2, 3, 9, 60].map((failures) => pause(failures, "")),
    [1_000, 2_000, 4_000, 30_000, 30_000],
  );
  assert.equal(pause(1, "", 0.5), 750);
  assert.equal(pause(5, "7"), 7_000);
  assert.equal(pause(1, new Date(now + 9_000).toUTCString()), 9_000);
  assert.equal(pause(1, new Date(now - 9_000).toUTCString()), 0);
  assert.equal(pause(1, "soon"), 1_000);
});

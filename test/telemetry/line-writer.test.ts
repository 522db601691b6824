import assert from "node:assert/strict";
import { test } from "node:test";
import { LineWriter } from "../../src/telemetry/line-writer.ts";
import { until } from "../helpers/until.ts";

interface Batch {
  readonly text: string;
  readonly done: (error: Error | null) => void;
}

function setUp(limits: { maxWaitingBytes?: number; batchBytes?: number; flushMs?: number } = {}) {
  const batches: Batch[] = [];
  const lost: number[] = [];
  const writer = new LineWriter({
    write: (chunk, done) => batches.push({ text: Buffer.from(chunk).toString(), done }),
    onLost: (lines) => lost.push(lines),
    flushMs: 60_000,
    ...limits,
  });
  return { writer, batches, lost };
}

test("lines wait for each other and go as one batch when it is large enough", () => {
  const { writer, batches } = setUp({ batchBytes: 6 });
  writer.push("ab");
  assert.equal(batches.length, 0);
  writer.push("cd");
  assert.deepEqual(
    batches.map(({ text }) => text),
    ["ab\ncd\n"],
  );
});

test("a small batch goes when its time is up", async () => {
  const { writer, batches } = setUp({ flushMs: 1 });
  writer.push("ab");
  await until(() => batches.length === 1, { what: "the batch" });
});

test("one batch is on its way at a time, and the next follows it", () => {
  const { writer, batches } = setUp({ batchBytes: 1 });
  for (const line of ["a", "b", "c"]) writer.push(line);
  assert.deepEqual(
    batches.map(({ text }) => text),
    ["a\n"],
  );
  batches[0]?.done(null);
  assert.deepEqual(
    batches.map(({ text }) => text),
    ["a\n", "b\nc\n"],
  );
});

test("a reader that is too slow costs lines, not memory", () => {
  const { writer, batches } = setUp({ batchBytes: 1, maxWaitingBytes: 10 });
  const taken = Array.from({ length: 100 }, () => writer.push("abcd"));
  assert.equal(taken.filter(Boolean).length, 2);
  batches[0]?.done(null);
  assert.equal(writer.push("abcd"), true, "there is room again");
  assert.equal(writer.push("abcd"), false);
});

test("lines of a batch that could not be written are counted as lost, and writing goes on", () => {
  const { writer, batches, lost } = setUp({ batchBytes: 4 });
  writer.push("a");
  writer.push("b");
  writer.push("c");
  batches[0]?.done(new Error("EPIPE"));
  assert.deepEqual(lost, [2]);
  assert.equal(batches[1]?.text, "c\n");
});

test("drained waits for what is on its way and what follows it", async () => {
  const { writer, batches } = setUp();
  await writer.drained();
  writer.push("a");
  let isDone = false;
  const drained = writer.drained().then(() => {
    isDone = true;
  });
  writer.push("b");
  batches[0]?.done(null);
  await Promise.resolve();
  assert.equal(isDone, false);
  batches[1]?.done(null);
  await drained;
  assert.deepEqual(
    batches.map(({ text }) => text),
    ["a\n", "b\n"],
  );
});

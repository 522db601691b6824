import assert from "node:assert/strict";
import { test } from "node:test";
import { LinkDirection, type LinkShape } from "./link-shape.ts";

const PACKETS = 10_000;

/** Numbered packets of 100 bytes, one every ms; resolves with what arrives, in order, and when. */
function send(shape: LinkShape, seed = 1, count = PACKETS) {
  const direction = new LinkDirection(seed);
  direction.shape = shape;
  const arrived: { number: number; atMs: number }[] = [];
  for (let nowMs = 0; nowMs < count || direction.nextDueMs !== null; nowMs += 1) {
    if (nowMs < count) {
      const packet = Buffer.alloc(100);
      packet.writeUInt32BE(nowMs);
      direction.take(packet, nowMs);
    }
    for (const packet of direction.due(nowMs)) {
      arrived.push({ number: packet.readUInt32BE(), atMs: nowMs });
    }
  }
  return { arrived, numbers: arrived.map(({ number }) => number), tally: direction.tally };
}

const ascending = (numbers: readonly number[]) =>
  numbers.every((number, index) => index === 0 || number > numbers[index - 1]!);

test("a link without a shape delivers all at once and in order", () => {
  const { arrived, tally } = send({});
  assert.equal(arrived.length, PACKETS);
  assert.ok(arrived.every(({ number, atMs }) => number === atMs));
  assert.deepEqual(tally, {
    sent: PACKETS,
    delivered: PACKETS,
    lost: 0,
    reordered: 0,
    duplicated: 0,
  });
});

test("delay with jitter stays within its bounds and keeps the order", () => {
  const { arrived, numbers } = send({ delayMs: 20, jitterMs: 5 });
  assert.equal(arrived.length, PACKETS);
  assert.ok(ascending(numbers));
  const delays = arrived.map(({ number, atMs }) => atMs - number);
  assert.ok(delays.every((delay) => delay >= 15 && delay <= 26));
  assert.ok(new Set(delays).size > 5);
});

test("a share is lost, by chance that the seed repeats", () => {
  const { numbers, tally } = send({ lossShare: 0.1 });
  assert.equal(numbers.length + tally.lost, PACKETS);
  assert.ok(Math.abs(tally.lost / PACKETS - 0.1) < 0.01, `${tally.lost} lost`);
  assert.deepEqual(send({ lossShare: 0.1 }).numbers, numbers);
  assert.notDeepEqual(send({ lossShare: 0.1 }, 2).numbers, numbers);
});

test("bursts lose runs of packets, as long as the model says on average", () => {
  const { numbers, tally } = send({ burst: { enter: 0.01, stay: 0.9 } });
  const runs = numbers.map((number, at) => number - (numbers[at - 1] ?? -1) - 1).filter(Boolean);
  const mean = tally.lost / runs.length;
  assert.ok(Math.abs(mean - 10) < 3, `mean length ${mean} of ${runs.length} bursts`);
});

test("what is reordered is overtaken by those behind it, and nothing is lost", () => {
  const { numbers, tally } = send({ delayMs: 3, reorderShare: 0.05, reorderMs: 4 });
  assert.equal(new Set(numbers).size, PACKETS);
  assert.equal(ascending(numbers), false);
  assert.ok(Math.abs(tally.reordered / PACKETS - 0.05) < 0.01);
  const late = numbers.filter((number, at) => at > 0 && number < numbers[at - 1]!).length;
  assert.ok(late > tally.reordered / 2, `${late} came late`);
});

test("a share arrives twice", () => {
  const { numbers, tally } = send({ duplicateShare: 0.2 });
  assert.equal(numbers.length, PACKETS + tally.duplicated);
  assert.ok(Math.abs(tally.duplicated / PACKETS - 0.2) < 0.02);
});

test("a limit of rate queues as long as there is room, and loses the rest", () => {
  // Twice of what passes, with room for half a second of it.
  const { arrived, numbers, tally } = send({ bytesPerSecond: 50_000, queueBytes: 25_000 });
  assert.ok(ascending(numbers));
  assert.ok(Math.abs(tally.lost / PACKETS - 0.5) < 0.04, `${tally.lost} lost`);
  assert.ok(arrived.every(({ number, atMs }) => atMs - number <= 505));
});

test("a cut loses what waits and what comes, until it is mended", () => {
  const direction = new LinkDirection(1);
  direction.shape = { delayMs: 50 };
  for (const nowMs of [0, 1, 2]) direction.take(Buffer.alloc(1), nowMs);
  direction.shape = { cut: true };
  direction.take(Buffer.alloc(1), 3);
  assert.deepEqual(direction.due(1_000), []);
  assert.equal(direction.nextDueMs, null);
  direction.shape = {};
  direction.take(Buffer.alloc(1), 1_001);
  assert.equal(direction.due(1_001).length, 1);
  assert.equal(direction.tally.lost, 4);
});

test("what waits is bounded, whatever the delay", () => {
  const direction = new LinkDirection(1);
  direction.shape = { delayMs: 1e9 };
  for (let at = 0; at < 30_000; at += 1) direction.take(Buffer.alloc(1), at);
  assert.equal(direction.tally.lost, 10_000);
});

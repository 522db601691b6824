import assert from "node:assert/strict";
import { test } from "node:test";
import { BusyError, ExplainQueue } from "../../daemon/explain/explain-queue.ts";
import { sparseCopy } from "../../daemon/explain/sparse-copy.ts";
import type { Explanation } from "../../src/core/explanation.ts";

type Parts = Parameters<ExplainQueue["answer"]>[0];
const PARTS = {} as Parts;

test("requests are explained one after the other, and one that fails does not stop those behind it", async () => {
  const running: string[] = [];
  let most = 0;
  const queue = new ExplainQueue(async (_, asked) => {
    running.push(String(asked));
    most = Math.max(most, running.length);
    await new Promise(setImmediate);
    running.pop();
    if (asked === "bad") throw new RangeError("bad");
    return { host: String(asked) } as Explanation;
  });
  const asked = ["a", "bad", "b", "c"].map((each) => queue.answer(PARTS, each));
  const answers = await Promise.allSettled(asked);
  assert.deepEqual(
    answers.map((each) => (each.status === "fulfilled" ? each.value.host : `${each.reason}`)),
    ["a", "RangeError: bad", "b", "c"],
  );
  assert.equal(most, 1);
});

test("beyond eight that wait a question is refused at once, and there is room again afterwards", async () => {
  const { promise, resolve } = Promise.withResolvers<Explanation>();
  const queue = new ExplainQueue(() => promise);
  const open = Array.from({ length: 9 }, () => queue.answer(PARTS, {}));
  await assert.rejects(queue.answer(PARTS, {}), BusyError);
  const answer = { host: "a" } as Explanation;
  resolve(answer);
  await Promise.all(open);
  assert.equal(await queue.answer(PARTS, {}), answer);
});

test("a copy of memory holds the bytes that are set, wherever they lie, and shares none", () => {
  for (const lengthBytes of [8, 65_536, 65_537, 200_000]) {
    const from = new SharedArrayBuffer(lengthBytes + 64);
    const bytes = new Uint8Array(from);
    const places = [0, 65_535, 65_536, lengthBytes - 1].filter((place) => place < lengthBytes);
    for (const place of places) bytes[place] = 7;
    const copy = sparseCopy(from, lengthBytes);
    assert.equal(copy.byteLength, lengthBytes);
    assert.deepEqual(Buffer.from(copy), Buffer.from(bytes.slice(0, lengthBytes)));
    bytes.fill(9);
    assert.equal(new Uint8Array(copy)[0], 7);
    assert.equal(new Uint8Array(copy)[1], 0);
  }
});

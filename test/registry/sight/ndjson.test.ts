import assert from "node:assert/strict";
import { test } from "node:test";
import { readNdjson } from "../../../src/registry/sight/ndjson.ts";

async function read(chunks: readonly Buffer[], maxLineBytes = 1_000): Promise<unknown[]> {
  const all: unknown[] = [];
  const bytes = (async function* () {
    yield* chunks;
  })();
  for await (const value of readNdjson(bytes, maxLineBytes)) all.push(value);
  return all;
}

const TEXT = Buffer.from('{"a":"\u00e4\u{1F600}"}\n[1]\n"x"\n');
const VALUES = [{ a: "\u00e4\u{1F600}" }, [1], "x"];

test("lines are read however their bytes are split", async () => {
  assert.deepEqual(await read([TEXT]), VALUES);
  for (let at = 0; at <= TEXT.length; at++) {
    assert.deepEqual(await read([TEXT.subarray(0, at), TEXT.subarray(at)]), VALUES);
  }
  assert.deepEqual(await read([...TEXT].map((byte) => Buffer.from([byte]))), VALUES);
  assert.deepEqual(await read([]), []);
});

test("what breaks off, has no end or is no JSON is refused", async () => {
  await assert.rejects(read([Buffer.from('"a"\n"b')]), /broke off/);
  await assert.rejects(read([Buffer.from("{\n")]), SyntaxError);
  await assert.rejects(read([Buffer.from("\n")]), SyntaxError);
  const endless = Array.from({ length: 20 }, () => Buffer.alloc(100, "a"));
  await assert.rejects(read(endless), /too long/);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { JsonLines } from "../../../src/kubernetes/api/json-lines.ts";

const TEXT = '{"a":"ö🎉"}\n\r\n{"b":[1,2]}\n{"c":null}\n';
const MEANT = [{ a: "ö🎉" }, { b: [1, 2] }, { c: null }];

test("lines are the same wherever the bytes are cut", () => {
  const bytes = Buffer.from(TEXT);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const lines = new JsonLines(100);
    const found = [...lines.push(bytes.subarray(0, cut)), ...lines.push(bytes.subarray(cut))];
    assert.deepEqual(found, MEANT);
    assert.equal(lines.heldBytes, 0);
  }
  const lines = new JsonLines(100);
  const found = [...bytes].flatMap((byte) => [...lines.push(Buffer.from([byte]))]);
  assert.deepEqual(found, MEANT);
});

test("a line is refused as soon as it is too long, without its end", () => {
  const lines = new JsonLines(10);
  assert.deepEqual([...lines.push(Buffer.from("123456789\n12345"))], [123456789]);
  assert.throws(() => [...lines.push(Buffer.from("678901"))], /longer than 10 bytes/);
});

test("a line that is no JSON is an error, after those before it were told", () => {
  const found: unknown[] = [];
  assert.throws(() => {
    for (const value of new JsonLines(100).push(Buffer.from('1\n{"a"\n2\n'))) found.push(value);
  }, SyntaxError);
  assert.deepEqual(found, [1]);
});

test("what has begun and not ended is known of", () => {
  const lines = new JsonLines(100);
  assert.deepEqual([...lines.push(Buffer.from('1\n{"a'))], [1]);
  assert.equal(lines.heldBytes, 3);
});

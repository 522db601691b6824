import assert from "node:assert/strict";
import { test } from "node:test";
import { HeadPrint } from "../../../src/http/h1/head-print.ts";
import { HeadReader } from "../../../src/http/h1/head-reader.ts";
import { LIMITS, latin1 } from "../../helpers/heads.ts";

const HEAD = "GET /abc HTTP/1.1\r\nHost: a\r\nX: \xe9\r\n\r\n";

test("finds its head at every place of a buffer, and in buffers at every place of memory", () => {
  const print = new HeadPrint(HEAD);
  const memory = Buffer.alloc(256);
  for (let offset = 0; offset < 9; offset++) {
    for (let start = 0; start < 9; start++) {
      const chunk = memory.subarray(offset);
      chunk.fill("z");
      chunk.write(HEAD, start, "latin1");
      assert.equal(print.matches(chunk, start, start + HEAD.length), true, `${offset}, ${start}`);
      assert.equal(print.matches(chunk, start, start + HEAD.length + 3), true);
      assert.equal(print.matches(chunk, start, start + HEAD.length - 1), false, "cut short");
      assert.equal(print.matches(chunk, start + 1, 200), false);
    }
  }
});

test("sees every byte that differs", () => {
  for (const more of ["", "1", "12", "123"]) {
    const head = `${more}${HEAD}`;
    const print = new HeadPrint(head);
    for (let at = 0; at < head.length; at++) {
      const chunk = latin1(`${head}body`);
      chunk[at] = (chunk[at] ?? 0) ^ 0x20;
      assert.equal(print.matches(chunk, 0, chunk.length), false, `byte ${at}`);
    }
  }
});

test("a reader tells each repetition, and what comes between", () => {
  const reader = new HeadReader(LIMITS, "request");
  const other = HEAD.replace("abc", "abd");
  const heads = [HEAD, HEAD, HEAD, other, HEAD, HEAD, HEAD];
  const chunk = latin1(heads.join(""));
  const seen = [];
  let at = 0;
  for (const head of heads) {
    at = reader.read(chunk, at, chunk.length);
    assert.equal(reader.text, head);
    seen.push(reader.repeated);
  }
  assert.equal(at, chunk.length);
  assert.deepEqual(seen, [false, true, true, false, false, true, true]);
});

test("a reader takes a repetition in two pieces for a new head", () => {
  const reader = new HeadReader(LIMITS, "request");
  const bytes = latin1(HEAD);
  for (let round = 0; round < 3; round++) reader.read(bytes, 0, bytes.length);
  assert.equal(reader.read(bytes, 0, 10), -1);
  assert.equal(reader.started, true);
  assert.equal(reader.read(bytes, 10, bytes.length), bytes.length);
  assert.equal(reader.text, HEAD);
  assert.equal(reader.repeated, false);
  assert.equal(reader.read(bytes, 0, bytes.length), bytes.length);
  assert.equal(reader.repeated, true);
});

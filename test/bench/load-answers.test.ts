import assert from "node:assert/strict";
import { test } from "node:test";
import type { AnswerReader } from "../../bench/load/answer.ts";
import { HttpAnswer } from "../../bench/load/http-answer.ts";
import { ConnectAnswer, TcpAnswer } from "../../bench/load/tcp-answer.ts";

const HEAD = "HTTP/1.1 200 OK\r\nServer: x\r\nCache-Control: no\r\nContent-Length: 5\r\n\r\n";

/** Reads a text in pieces of this size from one buffer that is used again, as the load does. */
function read(reader: AnswerReader, text: string, pieceBytes = text.length): string[] {
  const buffer = Buffer.alloc(Math.max(1, pieceBytes), "?");
  const seen: string[] = [];
  for (let at = 0; at < text.length; at += pieceBytes) {
    const piece = text.slice(at, at + pieceBytes);
    buffer.fill("?").write(piece, "latin1");
    seen.push(reader.read(buffer, piece.length));
    if (seen.at(-1) !== "more") break;
  }
  return seen;
}

test("an answer is whole with its last byte, however it is cut", () => {
  for (const pieceBytes of [1, 2, 7, HEAD.length, HEAD.length + 5]) {
    const reader = new HttpAnswer(5);
    for (let round = 0; round < 3; round++) {
      const seen = read(reader, `${HEAD}abcde`, pieceBytes);
      assert.equal(seen.length, Math.ceil((HEAD.length + 5) / pieceBytes));
      assert.equal(seen.at(-1), "whole");
    }
  }
});

test("names of fields are read in any case, and line ends without CR", () => {
  assert.deepEqual(read(new HttpAnswer(1), "HTTP/1.1 200 OK\r\nCONTENT-length:1 \r\n\r\nx"), [
    "whole",
  ]);
  assert.deepEqual(read(new HttpAnswer(1), "HTTP/1.1 200 OK\ncontent-length: 1\n\nx"), ["whole"]);
});

test("a body of no bytes is whole with its head", () => {
  const reader = new HttpAnswer(0);
  const head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  assert.deepEqual(read(reader, head), ["whole"]);
  assert.equal(read(reader, head, 1).at(-1), "whole");
});

test("a server that will close is noticed, and only then", () => {
  const answer = (field: string) => `HTTP/1.1 200 OK\r\n${field}\r\nContent-Length: 1\r\n\r\nx`;
  assert.deepEqual(read(new HttpAnswer(1), answer("Connection: keep-alive, Close")), ["last"]);
  assert.deepEqual(read(new HttpAnswer(1), answer("connection:close")), ["last"]);
  assert.deepEqual(read(new HttpAnswer(1), answer("Connection: keep-alive")), ["whole"]);
  assert.deepEqual(read(new HttpAnswer(1), answer("Comment: close")), ["whole"]);
});

test("anything but the expected answer is an error with a name", () => {
  const cases: [string, string][] = [
    ["HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nabcde", "status 503"],
    ["HTTP/1.1 204 No Content\r\n\r\n", "status 204"],
    ["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef", "wrong length"],
    ["HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nabcde", "wrong length"],
    [
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
      "wrong length",
    ],
    [`${HEAD}abcdef`, "garbled"],
    ["SSH-2.0-OpenSSH\r\n\r\n", "garbled"],
    ["HTTP/1.1 2000\r\n\r\n", "garbled"],
    ["HTTP/1.1 xyz\r\n\r\n", "garbled"],
  ];
  for (const [text, kind] of cases) assert.equal(read(new HttpAnswer(5), text).at(-1), kind, text);
});

test("a head without an end is given up", () => {
  const endless = `HTTP/1.1 200 OK\r\nX: ${"x".repeat(70_000)}`;
  const seen = read(new HttpAnswer(5), endless, 1_000);
  assert.equal(seen.at(-1), "garbled");
  assert.ok(seen.length < 70);
});

test("raw answers are counted by their bytes", () => {
  const reader = new TcpAnswer(10);
  assert.deepEqual(read(reader, "0123456789", 4), ["more", "more", "whole"]);
  assert.deepEqual(read(reader, "0123456789"), ["whole"]);
  assert.deepEqual(read(reader, "0123456789a"), ["garbled"]);
});

test("the answer to CONNECT is a whole 200 and nothing more", () => {
  const text = "HTTP/1.1 200 Connection established\r\n\r\n";
  assert.equal(read(new ConnectAnswer(), text, 3).at(-1), "whole");
  assert.deepEqual(read(new ConnectAnswer(), `${text}x`), ["garbled"]);
  assert.deepEqual(read(new ConnectAnswer(), "HTTP/1.1 403 Forbidden\r\n\r\n"), ["status 403"]);
  assert.deepEqual(read(new ConnectAnswer(), "nonsense\r\n\r\n"), ["garbled"]);
  assert.equal(read(new ConnectAnswer(), "x".repeat(9_000), 1_000).at(-1), "garbled");
});

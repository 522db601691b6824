import assert from "node:assert/strict";
import { test } from "node:test";
import { classify } from "../../../src/proxy/downstream/protocol.ts";

test("empty lines before a request do not hide it: servers skip them, too", () => {
  const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  for (const before of ["", "\r\n", "\n", "\r\n\r\n\r\n", "\r\r\n"]) {
    assert.equal(classify(before + request), "http", JSON.stringify(before));
    assert.equal(classify(before), "more", "nothing but empty lines says nothing yet");
    assert.equal(classify(`${before}GE`), "more");
  }
  assert.equal(classify("\r\n".repeat(5_000)), "opaque", "for ever it is not waited");
});

test("words alone are no request", () => {
  for (const line of ["GET key\r\n", "CONNECT {}\r\n", "PRI * HTTP/2.0\r\n", "\x16\x03\x01"]) {
    assert.equal(classify(line), "opaque", JSON.stringify(line));
  }
});

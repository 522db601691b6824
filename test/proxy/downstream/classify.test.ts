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
  assert.equal(classify("\r\n".repeat(5_000)), "http", "for ever it is not waited");
});

test("words alone are no request", () => {
  const lines = [
    "GET key\r\n",
    "get /memcached/key\r\n",
    "CONNECT {}\r\n",
    "PING\r\n",
    "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    "*1\r\n$4\r\n",
    "\x16\x03\x01",
    "\x00\x00\x00\x08",
    "AMQP\x00",
  ];
  for (const line of lines) assert.equal(classify(line), "opaque", JSON.stringify(line));
});

test("what may yet become a request is never opaque", () => {
  const line = "M-SEARCH http://a/b?c HTTP/1.1";
  for (let end = 1; end <= line.length; end++) {
    assert.equal(classify(line.slice(0, end)), "more", line.slice(0, end));
  }
  assert.equal(classify(`${line}\r`), "more");
  assert.equal(classify(`${line}\r\n`), "http");
  for (const long of ["A".repeat(9_000), `GET /${"a".repeat(9_000)}`]) {
    assert.equal(classify(long), "http", "the parser says what is too long");
  }
});

test("lines that lenient servers take for a request's are requests", () => {
  const lines = [
    "GET /",
    "GET  / ",
    "GET http://web/",
    "GET  /  HTTP/1.1",
    " GET / HTTP/1.1",
    "GET\t/\tHTTP/1.1",
    "GET\x1f/\x85HTTP/1.1",
    "get / http/1.1 ",
    "GET /a b HTTP/1.1",
    "GET / HTTP/2.0",
    "PRI * HTTP/2.0",
    "DESCRIBE / RTSP/1.0",
    "SOURCE / ICE/1.0",
    "CONNECT a:1",
    "CONNECT a",
    "CONNECT ",
  ];
  for (const line of lines) {
    assert.equal(classify(`${line}\r\n`), "http", JSON.stringify(line));
    assert.equal(classify(`${line}\n`), "http", JSON.stringify(line));
  }
});

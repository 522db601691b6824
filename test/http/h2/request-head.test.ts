import assert from "node:assert/strict";
import { test } from "node:test";
import { checkRequestFields } from "../../../src/http/h2/field-rules.ts";
import { requestHeadOf } from "../../../src/http/h2/request-head.ts";
import type { RequestHead } from "../../../src/http/message.ts";
import { RULES, requestOf, translated } from "../../helpers/h2-heads.ts";
import { latin1, meshErrorOf, parseRequest } from "../../helpers/heads.ts";

/** A head has to be what the HTTP/1.1 parser makes of this text, but for the scheme, which only HTTP/2 tells. */
function isLike(head: RequestHead, ...lines: string[]): void {
  const like = parseRequest([latin1(`${lines.join("\r\n")}\r\n\r\n`)]);
  like.scheme = head.scheme;
  assert.deepEqual(head, like);
  assert.deepEqual(head.fields, like.fields);
}

test("makes the head that HTTP/1.1 has for a request without content", () => {
  const head = translated(requestOf({ ":method": "GET", ":path": "/a?b" }, "accept", "*/*"), true);
  isLike(head, "GET /a?b HTTP/1.1", "Host: shop:8080", "accept: */*");
  assert.equal(head.minor, 1);
  assert.equal(head.keepAlive, true);
  assert.equal(head.form, "origin");
  assert.equal(head.scheme, "http");
});

test("takes content of unknown length for chunked, and of known length for that", () => {
  isLike(
    translated(requestOf()),
    "POST /a HTTP/1.1",
    "Host: shop:8080",
    "Transfer-Encoding: chunked",
  );
  isLike(
    translated(requestOf({}, "content-length", "5")),
    "POST /a HTTP/1.1",
    "Host: shop:8080",
    "content-length: 5",
  );
});

test("says that there is no content where the method has one", () => {
  for (const [method, length] of [
    ["POST", 0],
    ["PUT", 0],
    ["PATCH", 0],
    ["GET", -1],
    ["DELETE", -1],
  ] as const) {
    assert.equal(translated(requestOf({ ":method": method }), true).contentLength, length);
  }
  assert.equal(translated(requestOf({}, "content-length", "0"), true).contentLength, 0);
});

test("joins the pieces of a cookie", () => {
  const more = ["cookie", "a=b", "x", "y", "cookie", "", "cookie", "c=d", "cookie", "e"];
  assert.equal(translated(requestOf({}, ...more)).passed, "x: y\r\ncookie: a=b; c=d; e\r\n");
});

test("knows the fields that have a property, and passes none of them", () => {
  const known = {
    "x-request-id": "i",
    traceparent: "p",
    tracestate: "s",
    "x-forwarded-proto": "https",
    via: "2 b",
    "proxy-authorization": "z",
    te: "Trailers",
    expect: "100-continue",
  };
  const head = requestHeadOf(requestOf({}, ...Object.entries(known).flat(), "x", "y"), false);
  assert.equal(head.requestId, "i");
  assert.equal(head.traceparent, "p");
  assert.equal(head.tracestate, "s");
  assert.equal(head.forwardedProto, "https");
  assert.equal(head.via, "2 b");
  assert.equal(head.proxyAuthorization, "z");
  assert.equal(head.acceptsTrailers, true);
  assert.equal(head.expectContinue, true);
  assert.equal(head.passed, "x: y\r\n");
});

test("expects no 100 where there is no content", () => {
  assert.equal(translated(requestOf({}, "expect", "100-continue"), true).expectContinue, false);
  assert.equal(translated(requestOf({}, "expect", "100-continue")).expectContinue, true);
});

test("takes Host where there is no :authority", () => {
  const head = translated(requestOf({ ":authority": null }, "host", "Shop:1"));
  assert.equal(head.authority, "Shop:1");
  assert.equal(head.host, "shop:1");
});

test("keeps the scheme", () => {
  for (const [scheme, as] of [
    ["https", "https"],
    ["HTTPS", "https"],
    ["Http", "http"],
  ] as const) {
    assert.equal(translated(requestOf({ ":scheme": scheme })).scheme, as);
  }
});

test("takes OPTIONS of the server itself", () => {
  const head = translated(requestOf({ ":method": "OPTIONS", ":path": "*" }), true);
  isLike(head, "OPTIONS * HTTP/1.1", "Host: shop:8080");
});

test("makes a CONNECT a CONNECT", () => {
  const changes = { ":method": "CONNECT", ":scheme": null, ":path": null, ":authority": "a:443" };
  for (const fields of [requestOf(changes), requestOf(changes, "host", "A:443")]) {
    const head = translated(fields);
    isLike(head, "CONNECT a:443 HTTP/1.1", "Host: a:443");
    assert.equal(head.scheme, "");
    assert.equal(head.framing, "none");
  }
});

test("makes an extended CONNECT the GET that opens a WebSocket", () => {
  const changes = { ":method": "CONNECT", ":protocol": "websocket" };
  const head = translated(requestOf(changes, "sec-websocket-version", "13", "origin", "http://a"));
  isLike(
    head,
    "GET /a HTTP/1.1",
    "Host: shop:8080",
    "sec-websocket-version: 13",
    "origin: http://a",
    "Connection: upgrade",
    "Upgrade: websocket",
  );
  assert.equal(head.upgrade, "websocket");
  assert.deepEqual(head.connectionTokens, ["upgrade"]);
  assert.equal(head.framing, "none");
});

test("makes a head of a list that was not checked before only if it passes", () => {
  const bad = requestOf({}, "x", "y\r\nTransfer-Encoding: chunked");
  assert.equal(meshErrorOf(() => requestHeadOf(bad, false)).code, "BAD_REQUEST");
  assert.equal(requestHeadOf(requestOf({}, "x", "y"), true).passed, "x: y\r\n");
});

test("makes each head of its own list, in whatever order lists are checked", () => {
  const [first, second] = [requestOf({}, "x", "1"), requestOf({}, "x", "2")];
  assert.equal(checkRequestFields(first, RULES), null);
  assert.equal(checkRequestFields(second, RULES), null);
  assert.equal(requestHeadOf(first, true).passed, "x: 1\r\n");
  assert.equal(requestHeadOf(second, true).passed, "x: 2\r\n");
  assert.equal(checkRequestFields(first, RULES), null);
  assert.notEqual(checkRequestFields(requestOf({ ":method": null }), RULES), null);
  assert.equal(requestHeadOf(first, true).passed, "x: 1\r\n");
  // The same list with other content, as of somebody who uses his arrays again.
  first[first.length - 1] = "3";
  assert.equal(requestHeadOf(first, true).passed, "x: 3\r\n");
});

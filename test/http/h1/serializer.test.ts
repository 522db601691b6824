import assert from "node:assert/strict";
import { test } from "node:test";
import {
  localResponse,
  type RequestHeadOptions,
  type ResponseHeadOptions,
  requestHeadText,
  responseHeadText,
} from "../../../src/http/h1/serializer.ts";
import { byteByByte } from "../../helpers/chunks.ts";
import { latin1, meshErrorOf, parseRequest, parseResponse } from "../../helpers/heads.ts";

const REQUEST: RequestHeadOptions = { host: "fallback:1", upgrade: false };
const RESPONSE: ResponseHeadOptions = {
  keepAlive: true,
  minor: 1,
  framing: "length",
  upgrade: false,
};

/** What goes upstream for a request; the lines are joined by CRLF and closed by an empty line. */
function sent(lines: readonly string[], extra = "", options: Partial<RequestHeadOptions> = {}) {
  const bytes = latin1(`${lines.join("\r\n")}\r\n\r\n`);
  const text = requestHeadText(parseRequest([bytes]), extra, { ...REQUEST, ...options });
  const pieces = requestHeadText(parseRequest(byteByByte(bytes)), extra, {
    ...REQUEST,
    ...options,
  });
  assert.equal(pieces, text);
  return text.split("\r\n");
}

function answered(
  lines: readonly string[],
  options: Partial<ResponseHeadOptions> = {},
  extra = "",
  method = "GET",
) {
  const head = parseResponse([latin1(`${lines.join("\r\n")}\r\n\r\n`)], method);
  return responseHeadText(head, extra, { ...RESPONSE, ...options }).split("\r\n");
}

const GET = ["GET /a?b HTTP/1.1", "Host: A:80"];

test("writes the request line with the path, Host first, then the fields as they came", () => {
  const lines = ["GET /a?b HTTP/1.1", "Accept: x", "Host: A:80", "accept:y ", "C: \xe9"];
  const expected = ["GET /a?b HTTP/1.1", "Host: A:80", "Accept: x", "accept:y ", "C: \xe9", "", ""];
  assert.deepEqual(sent(lines), expected);
});

test("puts the extra lines at the end of the head", () => {
  assert.deepEqual(sent(GET, "via: 1.1 b\r\nx: y\r\n"), [...GET, "via: 1.1 b", "x: y", "", ""]);
});

test("rewrites absolute-form, and Host with it", () => {
  const lines = sent(["GET http://Shop:81?x HTTP/1.1", "Host: other"]);
  assert.deepEqual(lines, ["GET /?x HTTP/1.1", "Host: Shop:81", "", ""]);
});

test("upgrades HTTP/1.0 to HTTP/1.1 and gives it a Host", () => {
  const lines = sent(["GET / HTTP/1.0", "Connection: keep-alive"]);
  assert.deepEqual(lines, ["GET / HTTP/1.1", "Host: fallback:1", "", ""]);
});

test("leaves behind what was meant for this hop and what the proxy replaces", () => {
  const hop = [
    "Connection: keep-alive, X-Mine",
    "X-Mine: a",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "TE: gzip",
    "Upgrade: websocket",
    "X-Request-Id: a",
    "traceparent: a",
    "Via: a",
    "X-Forwarded-For: a",
    "X-Forwarded-Proto: a",
  ];
  assert.deepEqual(sent([...GET, ...hop]), [...GET, "", ""]);
});

test("keeps Trailer, tracestate and X-Forwarded-Host", () => {
  const kept = ["Trailer: X-Sum", "X-Forwarded-Host: b"];
  assert.deepEqual(sent([...GET, "tracestate: a=b", ...kept]), [
    ...GET,
    ...kept,
    "tracestate: a=b",
    "",
    "",
  ]);
});

test("writes framing fields anew", () => {
  assert.deepEqual(sent([...GET, "content-length:  007"]), [...GET, "Content-Length: 7", "", ""]);
  const chunked = [...GET, "Transfer-Encoding: chunked", "", ""];
  assert.deepEqual(sent([...GET, "TRANSFER-encoding:\tChunked"]), chunked);
});

test("passes on an expectation only while the client waits for it", () => {
  const expecting = [...GET, "Expect: 100-continue", "Content-Length: 3"];
  assert.deepEqual(sent(expecting), [...GET, "Content-Length: 3", "Expect: 100-continue", "", ""]);
  assert.deepEqual(sent([...GET, "Expect: 100-continue"]), [...GET, "", ""]);
});

test("passes on that trailers are welcome, as an option of the next hop", () => {
  const lines = sent([...GET, "TE: trailers, deflate;q=0.5", "Connection: TE"]);
  assert.deepEqual(lines, [...GET, "Connection: te", "TE: trailers", "", ""]);
});

test("passes on an upgrade only when told to", () => {
  const asked = [...GET, "Connection: keep-alive, Upgrade", "Upgrade: websocket", "X: y"];
  assert.deepEqual(sent(asked), [...GET, "X: y", "", ""]);
  assert.deepEqual(sent(asked, "", { upgrade: true }), [
    ...GET,
    "X: y",
    "Connection: upgrade",
    "Upgrade: websocket",
    "",
    "",
  ]);
  assert.deepEqual(sent(GET, "", { upgrade: true }), [...GET, "", ""]);
});

test("names upgrade and te together as meant for one hop", () => {
  const all = [...GET, "TE: trailers", "Connection: upgrade", "Upgrade: a"];
  assert.ok(sent(all, "", { upgrade: true }).includes("Connection: upgrade, te"));
});

test("consumes Proxy-Authorization of those who address the proxy, and of nobody else", () => {
  const field = "Proxy-Authorization: Basic YTpi";
  assert.deepEqual(sent([...GET, field]), [...GET, field, "", ""]);
  assert.deepEqual(sent(["GET http://a/ HTTP/1.1", "Host: a", field]), [
    "GET / HTTP/1.1",
    "Host: a",
    "",
    "",
  ]);
});

const OK = ["HTTP/1.1 200 OK", "Server: a"];

test("writes a response with its fields and without those of the hop", () => {
  const hop = ["Connection: keep-alive, X-Mine", "Keep-Alive: a", "X-Mine: b", "Via: 1.0 c"];
  const lines = answered(
    [...OK, ...hop, "Content-Length: 03", "X-Request-Id: d"],
    {},
    "via: e\r\n",
  );
  assert.deepEqual(lines, [...OK, "X-Request-Id: d", "Content-Length: 3", "via: e", "", ""]);
});

test("answers in HTTP/1.1 whatever the endpoint speaks", () => {
  const lines = answered(["HTTP/1.0 200 \xe9", "Content-Length: 0"]);
  assert.deepEqual(lines, ["HTTP/1.1 200 \xe9", "Content-Length: 0", "", ""]);
});

test("frames the response as it goes to this client", () => {
  const chunked = [...OK, "Transfer-Encoding: chunked"];
  assert.deepEqual(answered(chunked, { framing: "chunked" }), [...chunked, "", ""]);
  const ended = [...OK, "Connection: close", "", ""];
  assert.deepEqual(answered(chunked, { framing: "eof" }), ended);
  assert.deepEqual(answered(OK, { framing: "eof", minor: 0 }), ended);
  assert.deepEqual(answered(OK, { framing: "chunked" }), [...chunked, "", ""]);
});

test("says how long the content would have been in responses to HEAD and in 304", () => {
  const length = [...OK, "Content-Length: 5"];
  assert.deepEqual(answered(length, { framing: "none" }, "", "HEAD"), [...length, "", ""]);
  const notModified = ["HTTP/1.1 304 Not Modified", "Content-Length: 5"];
  assert.deepEqual(answered(notModified, { framing: "none" }), [...notModified, "", ""]);
  assert.deepEqual(answered(OK, { framing: "none" }, "", "HEAD"), [...OK, "", ""]);
});

test("tells the client what becomes of its connection", () => {
  const length = [...OK, "Content-Length: 5"];
  assert.deepEqual(answered(length, { keepAlive: false }), [
    ...length,
    "Connection: close",
    "",
    "",
  ]);
  const kept = [...length, "Connection: keep-alive", "", ""];
  assert.deepEqual(answered(length, { minor: 0 }), kept);
});

test("interim responses say nothing of the connection, and 101 passes only when told to", () => {
  const early = ["HTTP/1.1 103 Early Hints", "Link: a"];
  assert.deepEqual(answered(early, { framing: "none", keepAlive: false }), [...early, "", ""]);
  const switching = ["HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: a"];
  const none = { framing: "none" } as const;
  assert.deepEqual(answered(switching, { ...none, upgrade: true }), [...switching, "", ""]);
  assert.deepEqual(answered(switching, none), ["HTTP/1.1 101 Switching Protocols", "", ""]);
});

const LOCAL = { keepAlive: true, minor: 1, method: "GET" } as const;

test("makes whole responses of the proxy itself", () => {
  const text = localResponse(503, ["x-a", "b"], "no endpoint\n", LOCAL);
  const head = "HTTP/1.1 503 Service Unavailable\r\nx-a: b\r\nContent-Length: 12\r\n\r\n";
  assert.equal(text, `${head}no endpoint\n`);
  assert.equal(
    localResponse(503, ["x-a", "b"], "no endpoint\n", { ...LOCAL, method: "HEAD" }),
    head,
  );
  const parsed = parseResponse([latin1(text)]);
  assert.equal(parsed.contentLength, 12);
});

test("says in its own responses what becomes of the connection", () => {
  const closing = localResponse(400, [], "", { keepAlive: false, minor: 1, method: "" });
  assert.equal(
    closing,
    "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
  );
  assert.match(localResponse(404, [], "", { ...LOCAL, minor: 0 }), /Connection: keep-alive/);
});

test("counts the bytes of its own bodies, not their characters", () => {
  const text = localResponse(400, [], "caf\u00e9 \u20ac", LOCAL);
  assert.match(text, /Content-Length: 9\r\n/);
  assert.equal(
    latin1(text.slice(text.indexOf("\r\n\r\n") + 4)).toString("utf8"),
    "caf\u00e9 \u20ac",
  );
});

test("gives no content to responses that cannot have any", () => {
  const end = { ...LOCAL, keepAlive: false };
  assert.equal(localResponse(100, [], "x", end), "HTTP/1.1 100 Continue\r\n\r\n");
  const none = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
  assert.equal(localResponse(204, [], "x", end), none);
  const tunnel = localResponse(200, [], "", { ...LOCAL, method: "CONNECT" });
  assert.equal(tunnel, "HTTP/1.1 200 OK\r\n\r\n");
});

test("never lets a field of its own break out of its line", () => {
  for (const value of ["a\r\nX: b", "a\nb", "a\rb", "a\0b"]) {
    assert.equal(meshErrorOf(() => localResponse(400, ["x", value], "", LOCAL)).code, "INTERNAL");
  }
});

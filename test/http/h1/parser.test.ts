import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestHead, ResponseHead } from "../../../src/http/message.ts";
import { byteByByte } from "../../helpers/chunks.ts";
import { latin1, meshErrorOf, parseRequest, parseResponse } from "../../helpers/heads.ts";

/** Parses whole and byte by byte, and checks that both say the same. */
function request(text: string): RequestHead {
  const head = parseRequest([latin1(text)]);
  const again = parseRequest(byteByByte(latin1(text)));
  assert.deepEqual(again, head);
  assert.deepEqual(again.fields, head.fields);
  return head;
}

function response(text: string, method = "GET"): ResponseHead {
  const head = parseResponse([latin1(text)], method);
  const again = parseResponse(byteByByte(latin1(text)), method);
  assert.deepEqual(again, head);
  assert.deepEqual(again.fields, head.fields);
  return head;
}

const get = (...lines: string[]) =>
  request(`GET / HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`);
const ok = (...lines: string[]) =>
  response(`HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`);

test("reads an ordinary request", () => {
  const text = "GET /a?b=c HTTP/1.1\r\nHost: Catalog.Default:8080\r\nAccept: */*\r\n\r\n";
  const head = request(text);
  assert.equal(head.method, "GET");
  assert.equal(head.target, "/a?b=c");
  assert.equal(head.path, "/a?b=c");
  assert.equal(head.form, "origin");
  assert.equal(head.scheme, "");
  assert.equal(head.minor, 1);
  assert.equal(head.authority, "Catalog.Default:8080");
  assert.equal(head.host, "catalog.default:8080");
  assert.equal(head.framing, "none");
  assert.equal(head.contentLength, -1);
  assert.equal(head.keepAlive, true);
  assert.equal(head.upgrade, "");
  assert.equal(head.bytes, text.length);
  assert.deepEqual(head.fields, ["Host", "Catalog.Default:8080", "Accept", "*/*"]);
  assert.equal(head.passed, "Accept: */*\r\n");
});

test("keeps order, case and repeats of fields, and trims only their ends", () => {
  const head = get("aB:x", "AB:\t y  z \t", "C:", "D: :e:", "F: \xe9");
  const rest = ["aB", "x", "AB", "y  z", "C", "", "D", ":e:", "F", "\xe9"];
  assert.deepEqual(head.fields, ["Host", "a", ...rest]);
});

test("shares one empty list of connection tokens", () => {
  assert.equal(get().connectionTokens, get("Connection: close").connectionTokens);
});

test("knows the fields that it acts on in every case", () => {
  const head = request(
    "GET / HTTP/1.1\r\nhOST: a\r\nX-REQUEST-ID: i\r\nTraceParent: p\r\nTRACESTATE: s\r\n" +
      "x-forwarded-FOR: f\r\nX-forwarded-proto: https\r\nVIA: v\r\nte: gzip, Trailers\r\n" +
      "proxy-AUTHORIZATION: z\r\nCONTENT-length: 7\r\nexpect: 100-Continue\r\n\r\n",
  );
  assert.equal(head.host, "a");
  assert.equal(head.requestId, "i");
  assert.equal(head.traceparent, "p");
  assert.equal(head.tracestate, "s");
  assert.equal(head.forwardedFor, "f");
  assert.equal(head.forwardedProto, "https");
  assert.equal(head.via, "v");
  assert.equal(head.acceptsTrailers, true);
  assert.equal(head.proxyAuthorization, "z");
  assert.equal(head.contentLength, 7);
  assert.equal(head.expectContinue, true);
  assert.equal(head.passed, "");
});

test("does not take similar names for the ones that it acts on", () => {
  const lines = [
    "Hosts: b",
    "Hoss: b",
    "Content-Length-X: 4",
    "Content_Length: 4",
    "Transfer_Encoding: chunked",
    "Connections: close",
    "TEE: trailers",
    "Expects: x",
  ];
  const head = get(...lines);
  assert.equal(head.framing, "none");
  assert.equal(head.keepAlive, true);
  assert.equal(head.acceptsTrailers, false);
  assert.equal(head.passed, lines.map((line) => `${line}\r\n`).join(""));
});

test("joins lists that come in several fields", () => {
  const head = get("Via: a", "X-Forwarded-For: 1", "via: b", "X-Forwarded-For: 2, 3");
  assert.equal(head.via, "a, b");
  assert.equal(head.forwardedFor, "1, 2, 3");
});

test("ignores a traceparent that was sent twice, and takes the first request id", () => {
  const head = get("traceparent: a", "traceparent: b", "x-request-id: c", "x-request-id: d");
  assert.equal(head.traceparent, "");
  assert.equal(head.requestId, "c");
});

test("takes the authority of absolute-form instead of Host", () => {
  const head = request("GET HTTP://Shop:81/a?b HTTP/1.1\r\nHost: other\r\n\r\n");
  assert.equal(head.form, "absolute");
  assert.equal(head.scheme, "http");
  assert.equal(head.target, "HTTP://Shop:81/a?b");
  assert.equal(head.path, "/a?b");
  assert.equal(head.authority, "Shop:81");
  assert.equal(head.host, "shop:81");
});

for (const [line, path] of [
  ["GET http://a HTTP/1.1", "/"],
  ["GET http://a?b HTTP/1.1", "/?b"],
  ["GET https://a/ HTTP/1.1", "/"],
  ["OPTIONS http://a HTTP/1.1", "*"],
  ["OPTIONS http://a/ HTTP/1.1", "/"],
  ["OPTIONS * HTTP/1.1", "*"],
  ["GET //b/c HTTP/1.1", "//b/c"],
  ["GET /%41%c3?%zz&\\ HTTP/1.1", "/%41%c3?%zz&\\"],
  ['GET /<a>["b"]{c}|^` HTTP/1.1', '/<a>["b"]{c}|^`'],
  ["CONNECT b:443 HTTP/1.1", "b:443"],
] as const) {
  test(`sends ${path} upstream for ${line}`, () => {
    assert.equal(request(`${line}\r\nHost: a\r\n\r\n`).path, path);
  });
}

for (const value of ["a", "A_b-c~.d.", "10.0.0.1:1", "[::1]", "[2001:DB8::1]:65535", "a:65535"]) {
  test(`accepts the Host ${value}`, () => {
    const head = request(`GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`);
    assert.equal(head.authority, value);
    assert.equal(head.host, value.toLowerCase());
  });
}

test("CONNECT has no content and takes its authority from the target", () => {
  const head = request("CONNECT [::1]:443 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  assert.equal(head.form, "authority");
  assert.equal(head.framing, "none");
  assert.equal(head.host, "[::1]:443");
});

test("HTTP/1.0 needs no Host, closes unless asked otherwise, and cannot upgrade or expect", () => {
  const plain = request("GET / HTTP/1.0\r\n\r\n");
  assert.equal(plain.minor, 0);
  assert.equal(plain.host, "");
  assert.equal(plain.keepAlive, false);
  const asked = request(
    "POST / HTTP/1.0\r\nConnection: Keep-Alive, Upgrade\r\nUpgrade: websocket\r\n" +
      "Content-Length: 1\r\nExpect: 100-continue\r\n\r\n",
  );
  assert.equal(asked.keepAlive, true);
  assert.equal(asked.upgrade, "");
  assert.equal(asked.expectContinue, false);
});

test("a minor version above 1 counts as 1", () => {
  assert.equal(request("GET / HTTP/1.2\r\nHost: a\r\n\r\n").minor, 1);
  assert.equal(response("HTTP/1.9 200 OK\r\nContent-Length: 0\r\n\r\n").minor, 1);
});

test("frames requests by length or by chunks", () => {
  assert.equal(get("Content-Length: 0").framing, "length");
  assert.equal(get("Content-Length: 007").contentLength, 7);
  const largest = get("Content-Length: 9007199254740991");
  assert.equal(largest.contentLength, Number.MAX_SAFE_INTEGER);
  assert.equal(get("Transfer-Encoding: Chunked").framing, "chunked");
});

test("waits for 100-continue only where content follows", () => {
  assert.equal(get("Expect: 100-continue", "Content-Length: 1").expectContinue, true);
  assert.equal(get("Expect: 100-continue", "Transfer-Encoding: chunked").expectContinue, true);
  assert.equal(get("Expect: 100-continue", "Content-Length: 0").expectContinue, false);
  assert.equal(get("Expect: 100-continue").expectContinue, false);
});

test("close wins over keep-alive", () => {
  assert.equal(get("Connection: keep-alive, Close").keepAlive, false);
  assert.equal(get("Connection: close", "Connection: keep-alive").keepAlive, false);
  assert.equal(ok("Content-Length: 0", "Connection: close").keepAlive, false);
});

test("offers an upgrade only where Connection names it and no content follows", () => {
  const connection = "Connection: keep-alive, Upgrade";
  assert.equal(get(connection, "Upgrade: WebSocket").upgrade, "WebSocket");
  assert.equal(get(connection, "Upgrade: a", "Upgrade: b").upgrade, "a, b");
  assert.equal(get(connection, "Upgrade: a", "Content-Length: 0").upgrade, "a");
  assert.equal(get(connection, "Upgrade: a", "Content-Length: 1").upgrade, "");
  assert.equal(get("Upgrade: websocket").upgrade, "");
  assert.equal(get(connection).upgrade, "");
});

test("takes a request that would switch to h2c for an ordinary one", () => {
  const lines = ["Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk"];
  for (const value of ["h2c", "H2C", "websocket, h2c", "h2c,websocket"]) {
    const head = get(...lines, `Upgrade: ${value}`);
    assert.equal(head.upgrade, "");
    assert.equal(head.passed, "");
  }
});

test("drops the fields that Connection names, wherever they are", () => {
  const head = get("X-Hop: a", "X-End: b", "Connection: close, x-hop ,, X-OTHER", "x-HOP: c");
  assert.deepEqual(head.connectionTokens, ["x-hop", "x-other"]);
  assert.equal(head.passed, "X-End: b\r\n");
});

test("Connection cannot strip what is meant for the other end", () => {
  const lines = ["Cookie: a", "Authorization: b", "X-Real-IP: c", "Content-Type: d"];
  const names = "cookie, authorization, x-real-ip, content-type, host, content-length, tracestate";
  const head = get(...lines, "Content-Length: 3", "tracestate: e", `Connection: ${names}`);
  assert.deepEqual(head.connectionTokens, []);
  assert.equal(head.passed, lines.map((line) => `${line}\r\n`).join(""));
  assert.equal(head.contentLength, 3);
  assert.equal(head.tracestate, "e");
});

test("Connection may say that Proxy-Authorization ends here", () => {
  const head = get("Proxy-Authorization: a", "Connection: proxy-authorization");
  assert.equal(head.proxyAuthorization, "");
});

test("reads an ordinary response", () => {
  const text =
    "HTTP/1.1 404 Not Found\r\nServer: nginx\r\nContent-Length: 3\r\nVia: 1.0 b\r\n" +
    "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nX-Request-Id: i\r\n\r\n";
  const head = response(text);
  assert.equal(head.status, 404);
  assert.equal(head.reason, "Not Found");
  assert.equal(head.minor, 1);
  assert.equal(head.framing, "length");
  assert.equal(head.contentLength, 3);
  assert.equal(head.keepAlive, true);
  assert.equal(head.via, "1.0 b");
  assert.equal(head.bytes, text.length);
  assert.equal(head.passed, "Server: nginx\r\nX-Request-Id: i\r\n");
  assert.equal(head.fields.length, 12);
});

test("a response needs no reason, and may have one in any charset", () => {
  assert.equal(response("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n").reason, "");
  assert.equal(response("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n").reason, "");
  assert.equal(response("HTTP/1.1 200 \xe9\t!\r\nContent-Length: 0\r\n\r\n").reason, "\xe9\t!");
});

test("frames responses by RFC 9112 section 6.3", () => {
  const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
  const neither = "HTTP/1.1 200 OK\r\n\r\n";
  assert.equal(response(chunked).framing, "chunked");
  assert.equal(response(length).framing, "length");
  assert.equal(response(neither).framing, "eof");
  for (const text of [chunked, length, neither]) {
    assert.equal(response(text, "HEAD").framing, "none");
    assert.equal(response(text, "CONNECT").framing, "none");
    assert.equal(response(text.replace("200", "304")).framing, "none");
  }
  assert.equal(response(length.replace("200", "502"), "CONNECT").framing, "length");
  assert.equal(response(length, "HEAD").contentLength, 5);
  assert.equal(response(length.replace("200", "304")).contentLength, 5);
});

test("interim responses and 204 have no content, and a length of 0 there says nothing", () => {
  for (const status of [100, 103, 204]) {
    const head = response(`HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n\r\n`);
    assert.equal(head.framing, "none");
    assert.equal(head.contentLength, -1);
  }
});

test("a connection whose response ends with it carries no further one", () => {
  assert.equal(ok("Connection: keep-alive").keepAlive, false);
  assert.equal(response("HTTP/1.1 200 OK\r\n\r\n", "HEAD").keepAlive, true);
});

test("an HTTP/1.0 response must ask to keep the connection", () => {
  const text = "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n";
  assert.equal(response(`${text}\r\n`).keepAlive, false);
  assert.equal(response(`${text}Connection: keep-alive\r\n\r\n`).keepAlive, true);
});

test("reads the protocol that 101 switches to", () => {
  const text = "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
  assert.equal(response(text).upgrade, "websocket");
});

test("quotes hostile text in errors, shortened and in printable ASCII", () => {
  const name = `X\xe9"${"a".repeat(100)}(`;
  const { message } = meshErrorOf(() => get(`${name}: b`));
  assert.match(message, /"X\\xe9\\"a{61}\.\.\."/);
  assert.match(message, /^[\x20-\x7e]*$/);
});

test("a repeated field that is empty adds nothing to its list", () => {
  const fields = "Upgrade: a\r\nUpgrade:\r\nVia: 1.1 b\r\nVia: \r\n";
  const head = parseRequest([
    latin1(`GET / HTTP/1.1\r\nHost: c\r\nConnection: upgrade\r\n${fields}\r\n`),
  ]);
  assert.equal(head.upgrade, "a");
  assert.equal(head.via, "1.1 b");
});

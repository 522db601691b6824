import assert from "node:assert/strict";
import { test } from "node:test";
import { checkRequestFields } from "../../../src/http/h2/field-rules.ts";
import { requestFieldsOf } from "../../../src/http/h2/request-fields.ts";
import { RULES, upstreamText } from "../../helpers/h2-heads.ts";
import { latin1, parseRequest } from "../../helpers/heads.ts";

const START = "POST /a?b HTTP/1.1\r\nHost: Shop:8080\r\n";
const PSEUDO = [":method", "POST", ":scheme", "http", ":authority", "Shop:8080", ":path", "/a?b"];

/** The fields of a head with these lines; they have to pass the rules of their receiver. */
function fieldsOf(...lines: string[]): string[] {
  const fields = requestFieldsOf(
    `${START}${lines.map((line) => `${line}\r\n`).join("")}\r\n`,
    "http",
  );
  assert.equal(checkRequestFields(fields, RULES), null);
  assert.deepEqual(fields.slice(0, 8), PSEUDO);
  return fields.slice(8);
}

test("puts the request line and Host into pseudo-fields, and names into lower case", () => {
  assert.deepEqual(fieldsOf("User-Agent: a", "X-B:c", "x-empty:", "Content-Length: 5"), [
    ...["user-agent", "a", "x-b", "c", "x-empty", "", "content-length", "5"],
  ]);
});

test("trims values, and keeps what is inside", () => {
  assert.deepEqual(fieldsOf("A:  b\tc \t", "D: \t", "E: :f: "), ["a", "b\tc", "d", "", "e", ":f:"]);
});

test("keeps a no-break space, which is no white space of HTTP", () => {
  assert.deepEqual(fieldsOf("A: \xa0b\xa0"), ["a", "\xa0b\xa0"]);
});

test("leaves out what belongs to a connection", () => {
  const lines = [
    "Connection: close, X-Hop",
    "X-Hop: a",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "Transfer-Encoding: chunked",
    "Upgrade: h2c",
    "TE: gzip",
  ];
  assert.deepEqual(fieldsOf(...lines, "X-End: b"), ["x-end", "b"]);
});

test("keeps TE for trailers", () => {
  assert.deepEqual(fieldsOf("Connection: te", "TE: trailers"), ["te", "trailers"]);
  assert.deepEqual(fieldsOf("TE: Trailers"), ["te", "trailers"]);
  assert.deepEqual(fieldsOf("Connection: upgrade, te", "Upgrade: h2c", "TE: trailers"), [
    ...["te", "trailers"],
  ]);
});

test("lets Connection take nothing that is meant for the end", () => {
  assert.deepEqual(fieldsOf("Connection: authorization, cookie", "Authorization: a", "Cookie: b"), [
    ...["authorization", "a", "cookie", "b"],
  ]);
});

test("looks at nothing behind the head", () => {
  const text = `${START}A: b\r\n\r\nC: d\r\n\r\n`;
  assert.deepEqual(requestFieldsOf(text, "https").slice(8), ["a", "b"]);
  assert.equal(requestFieldsOf(text, "https")[3], "https");
});

test("leaves :authority out where there is no Host", () => {
  assert.deepEqual(requestFieldsOf("GET / HTTP/1.1\r\nHost: \r\nA: b\r\n\r\n", "http"), [
    ...[":method", "GET", ":scheme", "http", ":path", "/", "a", "b"],
  ]);
});

test("makes a CONNECT of :method and :authority", () => {
  const fields = requestFieldsOf("CONNECT a:1 HTTP/1.1\r\nHost: b\r\nVia: c\r\n\r\n", "http");
  assert.deepEqual(fields, [":method", "CONNECT", ":authority", "a:1", "via", "c"]);
  assert.equal(checkRequestFields(fields, RULES), null);
});

test("makes the opening of a WebSocket an extended CONNECT", () => {
  const head = parseRequest([
    latin1(
      "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" +
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ),
  ]);
  const fields = requestFieldsOf(upstreamText(head), "http");
  assert.equal(checkRequestFields(fields, RULES), null);
  assert.deepEqual(fields.slice(0, 12), [
    ...[":method", "CONNECT", ":scheme", "http", ":authority", "a", ":path", "/chat"],
    ...[":protocol", "websocket", "sec-websocket-version", "13"],
  ]);
  assert.equal(fields.includes("sec-websocket-key"), false);
});

test("forgets what an earlier head had", () => {
  requestFieldsOf(`${START}Connection: upgrade, x\r\nUpgrade: websocket\r\nX: y\r\n\r\n`, "http");
  assert.deepEqual(fieldsOf("X: y"), ["x", "y"]);
});

test("knows more names than it remembers", () => {
  for (let at = 0; at < 5_000; at++) {
    assert.deepEqual(fieldsOf(`X-${at}: a`, `Y${"y".repeat(80)}: b`), [
      ...[`x-${at}`, "a", `y${"y".repeat(80)}`, "b"],
    ]);
  }
});

/** Heads whose begins are kept in one place: they differ by a multiple of the number of places. */
const IDS = "x-request-id: 12345678\r\n";

test("takes what it knows of a head's begin only for that begin and that scheme", () => {
  const text = `${START}A: b\r\n${IDS}\r\n`;
  const expected = (scheme: string, value: string) => [
    ...[":method", "POST", ":scheme", scheme, ":authority", "Shop:8080", ":path", "/a?b"],
    ...["a", value, "x-request-id", "12345678"],
  ];
  for (const scheme of ["http", "http", "https", "https", "http"] as const) {
    assert.deepEqual(requestFieldsOf(text, scheme), expected(scheme, "b"));
  }
  for (const value of ["c", "c", "b", "c"]) {
    const other = text.replace("A: b", `A: ${value}`);
    assert.deepEqual(requestFieldsOf(other, "http"), expected("http", value));
  }
});

test("lets lines behind the ids change those before them", () => {
  const begin = `${START}X-Hop: b\r\n${IDS}`;
  const plain = `${begin}Y: ${"y".repeat(40)}\r\n\r\n`;
  const pad = (line: string) => `${begin}${line}\r\nY: ${"y".repeat(40 - line.length - 2)}\r\n\r\n`;
  for (const line of ["Connection: x-hop", "Connection: X-Hop, a"]) {
    assert.equal(requestFieldsOf(plain, "http").includes("x-hop"), true);
    assert.equal(pad(line).length, plain.length);
    assert.equal(requestFieldsOf(pad(line), "http").includes("x-hop"), false);
  }
  assert.equal(requestFieldsOf(plain, "http")[1], "POST");
  assert.equal(requestFieldsOf(pad("Upgrade: websocket"), "http")[1], "CONNECT");
});

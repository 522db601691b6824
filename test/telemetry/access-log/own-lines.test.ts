import assert from "node:assert/strict";
import { test } from "node:test";
import { jsonLine, textLine } from "../../../src/telemetry/access-log/own-lines.ts";
import { makeEndpoint, makeFacts, makeService, makeWorkload } from "../make-facts.ts";

const END = Date.UTC(2026, 10, 20, 12, 0, 0, 100);
const full = makeFacts({
  source: makeWorkload("web"),
  service: makeService("catalog"),
  endpoint: makeEndpoint("h/catalog-1"),
  durationMs: 100,
  queueMs: 0.25,
  status: 502,
  error: "UPSTREAM_RESET",
});

/** Names that clients would choose to forge a line, a field, or a terminal's state. */
const HOSTILE = [
  '/"} {"status":200',
  "/a\r\n2026-01-01T00:00:00.000Z 200 - forged",
  "/\u0000\u0007\u001b[2J",
  "/\u007f\u0085\u2028\u2029\u202e",
  "/\ud800 lone",
  "/\\",
  "/a b=c status=200",
  `/${"\u00e9".repeat(3)}`,
];

test("the JSON line holds every fact of the exchange", () => {
  assert.deepEqual(JSON.parse(jsonLine(full, END)), {
    time: "2026-11-20T12:00:00.000Z",
    entry: "captured",
    protocol: "http",
    source: "default/web",
    sourceAddress: "10.0.0.5",
    service: "default/catalog",
    endpoint: "h/catalog-1",
    endpointAddress: "10.0.0.9:8080",
    method: "GET",
    authority: "catalog",
    path: "/",
    status: 502,
    httpVersion: "HTTP/1.1",
    upstreamHttpVersion: "HTTP/1.1",
    grpcStatus: null,
    flag: "UC",
    error: "UPSTREAM_RESET",
    requestBytes: 10,
    responseBytes: 1000,
    durationMs: 100,
    queueMs: 0.25,
    upstreamMs: 1.5,
    proxyMs: 0.04,
    attempts: 1,
    requestId: "11111111-2222-4333-8444-555555555555",
    traceId: "0af7651916cd43dd8448eb211c80319c",
  });
});

test("what is not known is null in JSON and a dash in text", () => {
  const line = JSON.parse(jsonLine(makeFacts({ traceparent: "" }), END));
  assert.deepEqual(
    [line.source, line.service, line.endpoint, line.endpointAddress, line.error, line.flag],
    [null, null, null, null, null, "-"],
  );
  assert.equal(line.traceId, "");
  assert.match(textLine(makeFacts(), END), / source=- .* service=- endpoint=- to=- .* error=- /);
});

test("the text line says what, who and how much", () => {
  assert.equal(
    textLine(full, END),
    '2026-11-20T12:00:00.000Z 502 UC "GET / @ catalog" source=default/web from=10.0.0.5 service=default/catalog endpoint=h/catalog-1 to=10.0.0.9:8080 entry=captured version=HTTP/1.1 upstreamVersion=HTTP/1.1 in=10 out=1000 ms=100 queue=0.25 upstream=1.5 proxy=0.04 attempts=1 error=UPSTREAM_RESET request=11111111-2222-4333-8444-555555555555 trace=0af7651916cd43dd8448eb211c80319c',
  );
});

test("no value can forge a line or a field, or send anything but printable ASCII", () => {
  for (const text of HOSTILE) {
    for (const name of ["target", "authority", "method", "requestId", "sourceAddress"] as const) {
      const facts = makeFacts({ [name]: text });
      const json = jsonLine(facts, END);
      assert.match(json, /^[\x20-\x7e]+$/, name);
      const field = name === "target" ? "path" : name;
      assert.equal(JSON.parse(json)[field], text);
      const line = textLine(facts, END);
      assert.match(line, /^[\x20-\x7e]+$/, name);
      const bare = line.replace(/"(?:[^"\\]|\\.)*"/g, "Q");
      assert.equal(bare.match(/ status=| b=/), null, "a value outside of quotes holds a field");
      assert.equal(bare.split(" ").length, 22, bare);
    }
  }
});

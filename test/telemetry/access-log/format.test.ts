import assert from "node:assert/strict";
import test from "node:test";
import { CODES } from "../../../src/core/errors.ts";
import type { ExchangeDetails } from "../../../src/core/exchange-details.ts";
import { LogFormatError, type OPERATORS, parseLogFormat } from "../../../src/core/log-format.ts";
import { compileFormat } from "../../../src/telemetry/access-log/compile-format.ts";
import { makeEndpoint, makeFacts, makeService } from "../make-facts.ts";

const END = Date.UTC(2026, 10, 20, 12, 0, 0, 100);
const details = (more: Partial<ExchangeDetails> = {}): ExchangeDetails => ({
  request: {
    fields: [
      "Host",
      "catalog",
      "User-Agent",
      "curl/8",
      "X-Forwarded-For",
      "10.9.9.9",
      "A",
      "1",
      "a",
      "2",
    ],
    bytes: 90,
  },
  response: { fields: ["Server", "nginx"], bytes: 40 },
  trailers: "x-sum: abc\r\n",
  requestEndMs: 3,
  firstByteMs: 41,
  failure: "",
  serverName: "db.example",
  client: {
    remoteAddress: "10.0.0.5",
    remotePort: 40_000,
    localAddress: "127.0.0.1",
    localPort: 4_140,
  },
  upstream: {
    remoteAddress: "10.0.0.9",
    remotePort: 8_080,
    localAddress: "10.0.0.1",
    localPort: 50_000,
  },
  destination: { host: "10.96.0.1", port: 80 },
  identity: "spiffe://cluster.local/ns/default/sa/web",
  ...more,
});
const facts = makeFacts({
  service: makeService("catalog"),
  endpoint: makeEndpoint("h/catalog-1"),
  target: "/products?page=2",
  durationMs: 100,
  details: details(),
});

function line(format: string, some = facts, encoding: "json" | "text" = "text"): string {
  return compileFormat(parseLogFormat(format, encoding), "node-a").line(some, END);
}

/** As people's tools read Istio's lines: by the quotes and the spaces between. */
const ISTIO_LINE =
  /^\[([^\]]+)\] "(\S+) (\S+) (\S+)" (\d+) (\S+) (\S+) (\S+) "([^"]*)" (\d+) (\d+) (\d+) (\S+) "([^"]*)" "([^"]*)" "([^"]*)" "([^"]*)" "([^"]*)" (\S+) (\S+) (\S+) (\S+) (\S+) (\S+)$/;

test("Istio's default format, with the line end that it has there, gives a line that its parsers read", () => {
  const parsed = ISTIO_LINE.exec(line("istio"));
  assert.deepEqual(parsed?.slice(1), [
    ...["2026-11-20T12:00:00.000Z", "GET", "/products?page=2", "HTTP/1.1", "200", "-"],
    ...["via_upstream", "-", "-", "10", "1000", "100", "2", "10.9.9.9", "curl/8"],
    ...["11111111-2222-4333-8444-555555555555", "catalog", "10.0.0.9:8080", "default/catalog"],
    ...["10.0.0.1:50000", "10.96.0.1:80", "10.0.0.5:40000", "db.example", "default"],
  ]);
  assert.equal(line("%PROTOCOL%\n"), "HTTP/1.1");
});

test("Envoy's default format stands for itself, and Istio's JSON keeps numbers and says null", () => {
  assert.match(line("envoy"), /^\[2026-11-20T12:00:00\.000Z\] "GET .*" 200 - 10 1000 100 2 ".*"$/);
  const record = JSON.parse(line("istio", makeFacts(), "json"));
  assert.deepEqual(
    [record.response_code, record.duration, record.response_flags, record.upstream_host],
    [200, 2, null, null],
  );
});

test("a failure has Envoy's flag, and its details in Envoy's words", () => {
  const failed = makeFacts({
    status: 502,
    error: "TLS_FAILED",
    details: details({ failure: "bad certificate" }),
  });
  assert.equal(
    line("%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON%", failed),
    "UF upstream_reset_before_response_started{remote_connection_failure|TLS_error} bad certificate",
  );
  const own = makeFacts({ status: 301, details: details({ response: null }) });
  assert.equal(line("%RESPONSE_CODE_DETAILS%", own), "direct_response");
});

/** What each operator makes of the facts above; `TIME` is the default form. */
const VALUES: Readonly<Record<keyof typeof OPERATORS, [argument: string, value: string]>> = {
  START_TIME: ["(%d/%b/%Y:%H:%M:%S %z)", "20/Nov/2026:12:00:00 +0000"],
  EMIT_TIME: ["(%s.%3f)", "1795176000.100"],
  REQ: ["(a)", "1,2"],
  RESP: ["(X-NONE?SERVER)", "nginx"],
  TRAILER: ["(X-SUM)", "abc"],
  PROTOCOL: ["", "HTTP/1.1"],
  UPSTREAM_PROTOCOL: ["", "HTTP/1.1"],
  RESPONSE_CODE: ["", "200"],
  RESPONSE_CODE_DETAILS: ["", "via_upstream"],
  RESPONSE_FLAGS: ["", "-"],
  CONNECTION_TERMINATION_DETAILS: ["", "-"],
  UPSTREAM_TRANSPORT_FAILURE_REASON: ["", "-"],
  BYTES_RECEIVED: ["", "10"],
  BYTES_SENT: ["", "1000"],
  REQUEST_HEADERS_BYTES: ["", "90"],
  RESPONSE_HEADERS_BYTES: ["", "40"],
  DURATION: ["", "100"],
  REQUEST_DURATION: ["", "2"],
  RESPONSE_DURATION: ["", "40"],
  RESPONSE_TX_DURATION: ["", "60"],
  UPSTREAM_HOST: ["", "10.0.0.9:8080"],
  UPSTREAM_REMOTE_ADDRESS: ["", "10.0.0.9:8080"],
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ["", "10.0.0.9"],
  UPSTREAM_REMOTE_PORT: ["", "8080"],
  UPSTREAM_LOCAL_ADDRESS: ["", "10.0.0.1:50000"],
  UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: ["", "10.0.0.1"],
  UPSTREAM_LOCAL_PORT: ["", "50000"],
  UPSTREAM_CLUSTER: ["", "default/catalog"],
  UPSTREAM_CLUSTER_RAW: ["", "default/catalog"],
  UPSTREAM_REQUEST_ATTEMPT_COUNT: ["", "1"],
  UPSTREAM_PEER_URI_SAN: ["", "spiffe://cluster.local/ns/default/sa/catalog"],
  DOWNSTREAM_LOCAL_ADDRESS: ["", "10.96.0.1:80"],
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: ["", "10.96.0.1"],
  DOWNSTREAM_LOCAL_PORT: ["", "80"],
  DOWNSTREAM_REMOTE_ADDRESS: ["", "10.0.0.5:40000"],
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ["", "10.0.0.5"],
  DOWNSTREAM_REMOTE_PORT: ["", "40000"],
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: ["", "10.0.0.5:40000"],
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: ["", "10.0.0.5"],
  DOWNSTREAM_DIRECT_REMOTE_PORT: ["", "40000"],
  DOWNSTREAM_PEER_URI_SAN: ["", "spiffe://cluster.local/ns/default/sa/web"],
  REQUESTED_SERVER_NAME: ["", "db.example"],
  ROUTE_NAME: ["", "VirtualService shop/catalog#1"],
  GRPC_STATUS: ["(SNAKE_STRING)", "DEADLINE_EXCEEDED"],
  GRPC_STATUS_NUMBER: ["", "4"],
  TRACE_ID: ["", "0af7651916cd43dd8448eb211c80319c"],
  CONNECTION_ID: ["", "1"],
  STREAM_ID: ["", "11111111-2222-4333-8444-555555555555"],
  HOSTNAME: ["", "node-a"],
};

for (const [name, [argument, value]] of Object.entries(VALUES)) {
  test(`%${name}${argument}% is ${value}, and a dash or a number where nothing is known`, () => {
    const identity = "spiffe://cluster.local/ns/default/sa/catalog";
    const some = {
      ...facts,
      grpcStatus: 4,
      security: "mutual_tls" as const,
      endpoint: { ...makeEndpoint("h/catalog-1"), identity },
      route: "VirtualService shop/catalog#1",
    };
    const text = line(`%${name}${argument}%`, some);
    assert.equal(name === "CONNECTION_ID" ? text.replace(/^\d+$/, "1") : text, value);
    assert.match(line(`%${name}${argument}%`, makeFacts({ upstreamVersion: 0 })), /^[\x20-\x7e]+$/);
  });
}

test("lines that read no head do not ask for one", () => {
  const needs = (format: string) => compileFormat(parseLogFormat(format, "text"), "h").details;
  assert.equal(needs("%START_TIME% %REQ(:METHOD)% %RESPONSE_CODE% %ROUTE_NAME%"), false);
  assert.equal(needs("%REQ(USER-AGENT)%"), true);
  assert.equal(needs("istio"), true);
  for (const [name, [argument]] of Object.entries(VALUES)) {
    const with0 = line(`%${name}${argument}%`);
    const without = line(`%${name}${argument}%`, { ...facts, details: null });
    if (with0 !== without) assert.equal(needs(`%${name}${argument}%`), true, name);
  }
});

test("GRPC_STATUS has Envoy's three forms", () => {
  const call = makeFacts({ grpcStatus: 4 });
  assert.equal(
    line("%GRPC_STATUS% %GRPC_STATUS(CAMEL_STRING)% %GRPC_STATUS(NUMBER)%", call),
    "DeadlineExceeded DeadlineExceeded 4",
  );
  assert.equal(line("%GRPC_STATUS% %TRAILER(GRPC-STATUS)%", makeFacts({ grpcStatus: 0 })), "OK 0");
});

test("a length cuts a value, two signs are one, and a JSON object nests", () => {
  assert.equal(line("%REQ(USER-AGENT):4% 100%%"), "curl 100%");
  const format = '{"a":{"path":"%REQ(:PATH):3%"},"b":"x-%DURATION%","c":"plain"}';
  assert.deepEqual(JSON.parse(line(format)), { a: { path: "/pr" }, b: "x-100", c: "plain" });
});

test("no value of a client can end a line, close a quote or be anything but printable ASCII", () => {
  for (const target of ['/" 200 "', "/a\r\nforged", "/\u001b[2J", "/\u00e9\u202e", "/\\"]) {
    const hostile = makeFacts({
      target,
      authority: target,
      details: details({ request: { fields: ["user-agent", target], bytes: 1 } }),
    });
    const text = line("istio", hostile);
    assert.match(text, /^[\x20-\x7e]+$/);
    assert.match(text.replace("200 - via", "-"), /^[^"]*("[^"]*"[^"]*)*$/);
    const record = JSON.parse(line('{"path":"%REQ(:PATH)%"}', hostile));
    assert.equal(record.path, target);
  }
});

const REFUSED: readonly [format: string, reason: RegExp][] = [
  ["a %NOPE% b", /"%NOPE% b" at character 3: this operator is not known/],
  ["%ENVIRONMENT(HOME)%", /at character 1: the environment may hold secrets/],
  ["%DYNAMIC_METADATA(istio.mixer:status)%", /no such metadata/],
  ["%FILTER_STATE(a)%", /no filter state/],
  ["100%", /"%" at character 4 begins no operator/],
  ["%REQ%", /a header's name belongs into the parentheses/],
  ["%REQ(a b)%", /a header's name/],
  ["%PROTOCOL(x)%", /takes nothing in parentheses/],
  ["%START_TIME(%Q)%", /%Q is no conversion/],
  ["%GRPC_STATUS(LOUD)%", /one of CAMEL_STRING, SNAKE_STRING, NUMBER/],
  ["a\nb", /character 2 is no printable ASCII/],
  ["{", /is no JSON/],
  ['{"a":{"b":"%NOPE%"}}', /^a\.b: "%NOPE%" at character 1/],
  ['{"a":1}', /^a: must be a text/],
  [`%PROTOCOL%${" ".repeat(20_000)}`, /longer than/],
];
for (const [format, reason] of REFUSED) {
  test(`refuses ${format.slice(0, 40).trim()} and says where`, () => {
    assert.throws(
      () => parseLogFormat(format, "text"),
      (error: Error) => error instanceof LogFormatError && reason.test(error.message),
    );
  });
}

/** Short flags of Envoy's documentation ("Access logging", RESPONSE_FLAGS), and our own. */
const ENVOY_FLAGS = new Set(
  "UH UF UO NR URX NC DT DC LH UT LR UR UC DI FI RL UAEX RLSE IH SI DPE UPE UMSDR RFCF NFCF OM DF DO DR UDO".split(
    " ",
  ),
);
const OWN_FLAGS = new Set(["LOOP", "JWT", "DENY", "TLS", "INT"]);

test("every flag is one of Envoy's, or one of the few that it has no word for", () => {
  for (const [code, { flag }] of Object.entries(CODES)) {
    assert.ok(ENVOY_FLAGS.has(flag) || OWN_FLAGS.has(flag), `${code}: ${flag}`);
  }
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { localResponse } from "../../../src/http/h1/serializer.ts";
import { checkResponseFields } from "../../../src/http/h2/field-rules.ts";
import { responseFieldsOf } from "../../../src/http/h2/response-fields.ts";
import { responseHeadOf, switchedHeadOf } from "../../../src/http/h2/response-head.ts";
import type { ResponseHead } from "../../../src/http/message.ts";
import { answerAgain, requestOf, translated } from "../../helpers/h2-heads.ts";
import { latin1, meshErrorOf, parseResponse } from "../../helpers/heads.ts";

const REQUEST = translated(requestOf(), true);

/** The head of a list that passes, after it was shown that a client of HTTP/1.1 reads one response with that meaning. */
function headOf(fields: readonly string[], method = "GET", last = false): ResponseHead {
  assert.equal(checkResponseFields(fields), null);
  const head = responseHeadOf(fields, method, last);
  const again = answerAgain(head, REQUEST, method);
  for (const name of ["status", "reason", "framing", "contentLength", "passed"] as const) {
    assert.equal(again[name], head[name], name);
  }
  return head;
}

describe("a response of HTTP/2 as a head", () => {
  it("is what the HTTP/1.1 parser gives", () => {
    const head = headOf([":status", "200", "server", "a", "set-cookie", "b", "set-cookie", "c"]);
    const text =
      "HTTP/1.1 200 OK\r\nserver: a\r\nset-cookie: b\r\nset-cookie: c\r\nTransfer-Encoding: chunked\r\n\r\n";
    const like = parseResponse([latin1(text)]);
    assert.deepEqual(head, like);
    assert.deepEqual(head.fields, like.fields);
    assert.equal(head.keepAlive, true);
    assert.equal(head.minor, 1);
  });

  const framings = [
    ["200", "GET", false, [], "chunked", -1],
    ["200", "GET", true, [], "length", 0],
    ["200", "GET", false, ["content-length", "5"], "length", 5],
    ["200", "GET", true, ["content-length", "0"], "length", 0],
    ["200", "HEAD", true, ["content-length", "5"], "none", 5],
    ["200", "HEAD", true, [], "none", -1],
    ["200", "HEAD", false, [], "none", -1],
    ["304", "GET", true, ["content-length", "5"], "none", 5],
    ["304", "GET", false, [], "none", -1],
    ["204", "GET", true, [], "none", -1],
    ["204", "GET", false, [], "none", -1],
    ["200", "CONNECT", false, [], "none", -1],
    ["403", "CONNECT", false, [], "chunked", -1],
    ["103", "GET", false, ["link", "a"], "none", -1],
    ["599", "GET", true, [], "length", 0],
  ] as const;
  for (const [status, method, last, more, framing, length] of framings) {
    it(`has its end by ${framing}: ${status} to ${method}, last ${last}, ${more.join(" ")}`, () => {
      const head = headOf([":status", status, ...more], method, last);
      assert.equal(head.framing, framing);
      assert.equal(head.contentLength, length);
    });
  }

  const refused: (readonly [string, string[], RegExp])[] = [
    ["a line in a value", [":status", "200", "x", "y\r\nSet-Cookie: z"], /value .* of x/],
    ["a line in a name", [":status", "200", "x: y\r\nz", "a"], /field name/],
    ["a line in :status", [":status", "200 OK\r\nX: y"], /:status/],
    ["no :status", ["x", "y"], /no :status/],
    ["nothing", [], /no :status/],
    ["two :status", [":status", "200", ":status", "200"], /":status" where none/],
    [":status behind a field", ["x", "y", ":status", "200"], /no :status/],
    [":status 101", [":status", "101"], /:status "101"/],
    [":status 600", [":status", "600"], /:status "600"/],
    [":status of two digits", [":status", "20"], /:status "20"/],
    [":path in a response", [":status", "200", ":path", "/"], /":path" where none/],
    ["transfer-encoding", [":status", "200", "transfer-encoding", "chunked"], /transfer-encoding/],
    ["connection", [":status", "200", "connection", "close"], /connection/],
    ["upgrade", [":status", "200", "upgrade", "h2c"], /upgrade/],
    ["te", [":status", "200", "te", "trailers"], /te/],
    [
      "two lengths",
      [":status", "200", "content-length", "5", "content-length", "5"],
      /more than one/,
    ],
    ["a bad length", [":status", "200", "content-length", "5a"], /content-length "5a"/],
    ["a name in upper case", [":status", "200", "Server", "a"], /field name "Server"/],
  ];
  for (const [attack, fields, names] of refused) {
    it(`is malformed with ${attack}`, () => {
      assert.match(checkResponseFields(fields) ?? "it passes", names);
      const error = meshErrorOf(() => responseHeadOf(fields, "GET", false));
      assert.equal(error.code, "UPSTREAM_PROTOCOL");
    });
  }

  it("is refused where its length is not what comes", () => {
    for (const [status, last] of [
      ["200", true],
      ["204", true],
      ["204", false],
      ["103", false],
    ] as const) {
      const fields = [":status", status, "content-length", "5"];
      const error = meshErrorOf(() => responseHeadOf(fields, "GET", last));
      assert.equal(error.code, "UPSTREAM_PROTOCOL", status);
    }
  });

  it("grants a WebSocket as 101", () => {
    const fields = [
      ":status",
      "200",
      "sec-websocket-protocol",
      "chat",
      "sec-websocket-accept",
      "x",
    ];
    assert.equal(checkResponseFields(fields), null);
    const head = switchedHeadOf(fields, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert.equal(head.status, 101);
    assert.equal(head.upgrade, "websocket");
    assert.equal(
      head.passed,
      "sec-websocket-protocol: chat\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
    );
  });
});

describe("a response of HTTP/1.1 as fields", () => {
  const of = (...lines: string[]) => responseFieldsOf(`${lines.join("\r\n")}\r\n\r\n`);

  it("has its status and its names in lower case", () => {
    const fields = of("HTTP/1.1 404 Not Found", "Content-Length: 5", "Server:a", "Set-Cookie: b");
    assert.equal(checkResponseFields(fields), null);
    assert.deepEqual(fields, [
      ...[":status", "404", "content-length", "5", "server", "a", "set-cookie", "b"],
    ]);
  });

  it("has nothing that belongs to a connection", () => {
    const fields = of(
      "HTTP/1.1 200 OK",
      "Connection: close, X-Hop",
      "X-Hop: a",
      "Keep-Alive: timeout=5",
      "Transfer-Encoding: chunked",
      "Upgrade: h2c",
      "X-End: b",
    );
    assert.deepEqual(fields, [":status", "200", "x-end", "b"]);
  });

  it("may be interim", () => {
    assert.deepEqual(of("HTTP/1.1 100 Continue"), [":status", "100"]);
    const hints = of("HTTP/1.1 103 Early Hints", "Link: </a>");
    assert.deepEqual(hints, [":status", "103", "link", "</a>"]);
  });

  it("may have no reason", () => {
    assert.deepEqual(of("HTTP/1.1 200 ", "A: b"), [":status", "200", "a", "b"]);
    assert.deepEqual(of("HTTP/1.1 200", "A: b"), [":status", "200", "a", "b"]);
  });

  it("is 200 where a WebSocket is granted", () => {
    const fields = of(
      "HTTP/1.1 101 Switching Protocols",
      "Sec-WebSocket-Accept: x",
      "Sec-WebSocket-Protocol: chat",
      "Connection: upgrade",
      "Upgrade: websocket",
    );
    assert.equal(checkResponseFields(fields), null);
    assert.deepEqual(fields, [":status", "200", "sec-websocket-protocol", "chat"]);
  });

  it("may be the proxy's own, with its content behind it", () => {
    const options = { keepAlive: false, minor: 1, method: "GET" } as const;
    const text = localResponse(503, ["x-hostmesh-error", "A"], "no: endpoint\r\n", options);
    const fields = responseFieldsOf(text);
    assert.deepEqual(fields, [":status", "503", "x-hostmesh-error", "A", "content-length", "14"]);
  });

  it("is known again only as a whole", () => {
    const text = `HTTP/1.1 200 OK\r\nA: b\r\n\r\n`;
    const more = `${text.slice(0, -2)}C: ${"d".repeat(64 - "C: \r\n".length)}\r\n\r\n`;
    assert.equal(more.length, text.length + 64);
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(responseFieldsOf(text), [":status", "200", "a", "b"]);
      assert.equal(responseFieldsOf(more).length, 6);
      assert.equal(responseFieldsOf(`${text}${"e".repeat(64)}`).length, 4);
    }
  });

  it("is the same list where it comes again", () => {
    assert.deepEqual(of("HTTP/1.1 200 OK", "A: b"), [":status", "200", "a", "b"]);
    assert.equal(of("HTTP/1.1 200 OK", "A: b"), of("HTTP/1.1 200 OK", "A: b"));
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MeshError } from "../../src/core/errors.ts";
import { checkRequestFields, checkResponseFields } from "../../src/http/h2/field-rules.ts";
import { HpackDecoder } from "../../src/http/h2/hpack/decoder.ts";
import { HpackEncoder } from "../../src/http/h2/hpack/encoder.ts";
import { requestFieldsOf } from "../../src/http/h2/request-fields.ts";
import { requestHeadOf } from "../../src/http/h2/request-head.ts";
import { responseFieldsOf } from "../../src/http/h2/response-fields.ts";
import { responseHeadOf } from "../../src/http/h2/response-head.ts";
import type { RequestHead } from "../../src/http/message.ts";
import { downstreamHead } from "../../src/proxy/rewrite.ts";
import {
  answerAgain,
  RULES,
  readAgain,
  requestOf,
  translated,
  upstreamText,
} from "../helpers/h2-heads.ts";
import { decode, encode } from "../http/h2/hpack/blocks.ts";
import { fields, textOf, value } from "./arbitraries.ts";
import { check } from "./check.ts";

const RUNS = 600;

const known = fc.subarray([
  ["te", "trailers"],
  ["content-length", "77"],
  ["expect", "100-continue"],
  ["cookie", "a=b", "cookie", "c"],
  ["x-request-id", "i"],
  ["traceparent", "p"],
  ["via", "1.1 b", "via", "2 c"],
]);
const request = fc
  .record({
    ":method": fc.constantFrom("GET", "POST", "PUT", "x!y", "OPTIONS"),
    ":scheme": fc.constantFrom("http", "https"),
    ":authority": fc.constantFrom("a", "A.b:8080", "[::1]:1", "10.0.0.1"),
    ":path": textOf("ab/~{}|?&=;@:", 0, 16).map((rest) => `/${rest}`),
  })
  .chain((pseudo) =>
    fc.tuple(fields, known, fields).map((parts) => requestOf(pseudo, ...parts.flat(2))),
  );

/** The fields without a meaning to a proxy. */
function others(list: readonly string[]): string[] {
  return list.filter((_, at) => list[at - (at % 2)]!.startsWith("q-"));
}

function meaningOf(head: RequestHead): unknown[] {
  const { method, path, authority, host, passed, framing, contentLength } = head;
  const { acceptsTrailers, expectContinue, upgrade } = head;
  return [
    ...[method, path, authority, host, passed, framing, contentLength],
    ...[acceptsTrailers, expectContinue, upgrade],
  ];
}

test("a request goes from HTTP/2 to HTTP/1.1 and back to HTTP/2 without a loss", () => {
  const property = fc.property(request, (list) => {
    const head = translated(list);
    const again = requestFieldsOf(upstreamText(head), head.scheme === "https" ? "https" : "http");
    assert.deepEqual(again.slice(0, 8), list.slice(0, 8));
    assert.deepEqual(others(again), others(list));
    const block = encode(new HpackEncoder(), again);
    const decoder = new HpackDecoder({ tableBytes: 4_096, listBytes: 1e9, fields: 1e6 });
    const back = requestHeadOf(decode(decoder, block), false);
    assert.deepEqual(meaningOf(back), meaningOf(head));
  });
  check(property, RUNS);
});

test("a response goes from HTTP/2 to HTTP/1.1 and back to HTTP/2 without a loss", () => {
  const asked = translated(requestOf(), true);
  const status = fc.integer({ min: 200, max: 599 }).map(String);
  const property = fc.property(
    status,
    fields,
    fc.constantFrom("GET", "HEAD"),
    (code, pairs, method) => {
      const list = [":status", code, ...pairs.flat()];
      assert.equal(checkResponseFields(list), null);
      const head = responseHeadOf(list, method, false);
      answerAgain(head, asked, method);
      const again = responseFieldsOf(downstreamHead(head, asked, true, 2));
      assert.equal(checkResponseFields(again), null);
      assert.deepEqual(again, [...list, "via", "2.0 hostmesh"]);
    },
  );
  check(property, RUNS);
});

test("whatever the fields hold, a request is refused or is one request with one meaning", () => {
  const nasty = fc.oneof(
    value,
    fc
      .array(fc.constantFrom("\r\n", "\n", "\r", "\0", ":", " ", "GET / HTTP/1.1", "chunked", "a"))
      .map((parts) => parts.join("")),
  );
  const name = fc.oneof(
    fc.constantFrom(
      "transfer-encoding",
      "content-length",
      "host",
      "connection",
      "te",
      "x",
      "cookie",
      ":path",
      "upgrade",
    ),
    nasty,
  );
  const changes = fc.dictionary(
    fc.constantFrom(":method", ":path", ":authority", ":scheme"),
    nasty,
    { maxKeys: 2 },
  );
  const property = fc.property(
    changes,
    fc.array(fc.tuple(name, nasty), { maxLength: 3 }),
    fc.boolean(),
    (pseudo, pairs, last) => {
      const list = requestOf(pseudo, ...pairs.flat());
      if (checkRequestFields(list, RULES) !== null) return;
      try {
        const head = requestHeadOf(list, last);
        const again = readAgain(upstreamText(head));
        assert.deepEqual(
          [again.method, again.path, again.host, again.framing, again.passed],
          [...[head.method, head.path, head.host, head.framing, head.passed]],
        );
      } catch (error) {
        if (!(error instanceof MeshError)) throw error;
      }
    },
  );
  check(property, RUNS);
});

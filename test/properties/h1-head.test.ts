import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { requestHeadText, responseHeadText } from "../../src/http/h1/serializer.ts";
import { checkForwardedRequest, checkForwardedResponse } from "../helpers/forwarded-heads.ts";
import { latin1, parseRequest, parseResponse } from "../helpers/heads.ts";
import { anyName, cut, places, textOf, value } from "./arbitraries.ts";
import { check } from "./check.ts";

const RUNS = 600;

const spaces = textOf(" \t", 0, 3);
const field = fc.tuple(anyName, spaces, value, spaces).map(([name, before, text, behind]) => ({
  line: `${name}:${before}${text}${behind}\r\n`,
  pair: [name, text],
}));
const ordinary = fc.array(field, { maxLength: 8 });

const method = fc.constantFrom("GET", "POST", "PUT", "M-SEARCH", "x!y");
const path = textOf("abc/~{}|^\"'.;=&+@:", 0, 12);
const query = fc.option(textOf('abc/?%\\"&=', 0, 12));
const target = fc
  .tuple(path, query)
  .map(([of, behind]) => `/${of}${behind === null ? "" : `?${behind}`}`);
const host = fc.constantFrom("a", "A.b:8080", "[::1]:1", "10.0.0.1");
const framing = fc.oneof(
  fc.constant(""),
  fc.constant("Transfer-Encoding: chunked\r\n"),
  fc.nat().map((length) => `content-length: ${length}\r\n`),
);

test("a request is read as it was written, however it is split, and written the same again", () => {
  const property = fc.property(
    fc.record({ method, target, host, framing, before: ordinary, behind: ordinary }),
    places,
    ({ before, behind, ...parts }, at) => {
      const lines = (fields: typeof before) => fields.map(({ line }) => line).join("");
      const text =
        `${parts.method} ${parts.target} HTTP/1.1\r\n${lines(before)}` +
        `Host: ${parts.host}\r\n${parts.framing}${lines(behind)}\r\n`;
      const head = parseRequest(cut(latin1(text), at));
      assert.equal(head.method, parts.method);
      assert.equal(head.path, parts.target);
      assert.equal(head.authority, parts.host);
      assert.equal(head.passed, lines(before) + lines(behind));
      const own = head.fields.filter(
        (_, index) => (head.fields[index - (index % 2)] ?? "")[0] === "Q",
      );
      assert.deepEqual(
        own,
        [...before, ...behind].flatMap(({ pair }) => pair),
      );
      checkForwardedRequest(head);
      const again = requestHeadText(head, "", { host: "", upgrade: false });
      assert.deepEqual(parseRequest(cut(latin1(again), at)).passed, head.passed);
    },
  );
  check(property, RUNS);
});

test("a response is read as it was written, however it is split, and written the same again", () => {
  const property = fc.property(
    fc.integer({ min: 200, max: 599 }).filter((status) => status !== 204),
    value,
    framing,
    ordinary,
    places,
    (status, reason, framed, fields, at) => {
      const lines = fields.map(({ line }) => line).join("");
      const head = parseResponse(
        cut(latin1(`HTTP/1.1 ${status} ${reason}\r\n${framed}${lines}\r\n`), at),
      );
      assert.equal(head.status, status);
      assert.equal(head.reason, reason);
      assert.equal(head.passed, lines);
      checkForwardedResponse(head, "GET");
      const options = { keepAlive: true, minor: 1, framing: head.framing, upgrade: false } as const;
      const again = parseResponse(cut(latin1(responseHeadText(head, "", options)), at));
      assert.deepEqual(
        [again.status, again.reason, again.framing, again.contentLength],
        [...[head.status, head.reason, head.framing, head.contentLength]],
      );
    },
  );
  check(property, RUNS);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../../src/core/random.ts";
import { HeadReader } from "../../../src/http/h1/head-reader.ts";
import { byteByByte, everySplit, randomChunks } from "../../helpers/chunks.ts";
import { LIMITS, latin1, meshErrorOf, readHead } from "../../helpers/heads.ts";

const HEAD = "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\n";

test("finds the end of a head between other bytes", () => {
  const reader = new HeadReader(LIMITS, "request");
  const chunk = latin1(`xx${HEAD}body\r\n\r\n`);
  assert.equal(reader.read(chunk, 2, chunk.length), 2 + HEAD.length);
  assert.equal(reader.text, HEAD);
  assert.equal(reader.started, false);
});

test("does not look behind the end that it is told", () => {
  const reader = new HeadReader(LIMITS, "request");
  const chunk = latin1(HEAD);
  assert.equal(reader.read(chunk, 0, chunk.length - 1), -1);
  assert.equal(reader.started, true);
  assert.equal(reader.read(latin1("\nrest"), 0, 5), 1);
  assert.equal(reader.text, HEAD);
});

test("reads pipelined heads one after the other", () => {
  const reader = new HeadReader(LIMITS, "request");
  const second = HEAD.replace("/", "/2");
  const chunk = latin1(HEAD + second + second.slice(0, 9));
  let at = reader.read(chunk, 0, chunk.length);
  assert.equal(reader.text, HEAD);
  at = reader.read(chunk, at, chunk.length);
  assert.equal(reader.text, second);
  assert.equal(reader.read(chunk, at, chunk.length), -1);
  const rest = latin1(second.slice(9));
  assert.equal(reader.read(rest, 0, rest.length), rest.length);
  assert.equal(reader.text, second);
});

test("reads a head however it is cut", () => {
  for (const chunks of [byteByByte(latin1(HEAD)), ...everySplit(latin1(HEAD))]) {
    assert.equal(readHead(chunks, "request"), HEAD);
    assert.equal(readHead(chunks, "response"), HEAD);
  }
});

test("reads a head that is larger than the first look", () => {
  const large = `GET / HTTP/1.1\r\nHost: a\r\nX: ${"b".repeat(40_000)}\r\n\r\n`;
  const random = seeded(1);
  assert.equal(readHead([latin1(`${large}body`)], "request"), large);
  for (let round = 0; round < 5; round++) {
    assert.equal(readHead(randomChunks(latin1(large), random, 5_000), "request"), large);
  }
});

test("is not started by nothing", () => {
  const reader = new HeadReader(LIMITS, "request");
  assert.equal(reader.read(latin1(""), 0, 0), -1);
  assert.equal(reader.started, false);
});

test("skips a few empty lines before a request, and does not count them as its start", () => {
  for (const bytes of [latin1(`\r\n${HEAD}`), latin1(`\r\n\r\n\r\n\r\n${HEAD}`)]) {
    assert.equal(readHead([bytes], "request"), HEAD);
    for (const chunks of [byteByByte(bytes), ...everySplit(bytes)]) {
      assert.equal(readHead(chunks, "request"), HEAD);
    }
  }
  const reader = new HeadReader(LIMITS, "request");
  assert.equal(reader.read(latin1("\r\n"), 0, 2), -1);
  assert.equal(reader.started, false);
});

test("counts empty lines for each request alone", () => {
  const reader = new HeadReader(LIMITS, "request");
  for (let round = 0; round < 10; round++) {
    assert.equal(reader.read(latin1("\r\n"), 0, 2), -1);
    assert.equal(reader.read(latin1(HEAD), 0, HEAD.length), HEAD.length);
  }
});

test("forgets a part of a head on reset", () => {
  const reader = new HeadReader(LIMITS, "request");
  reader.read(latin1("POST "), 0, 5);
  assert.equal(reader.started, true);
  reader.reset();
  assert.equal(reader.started, false);
  assert.equal(reader.read(latin1(HEAD), 0, HEAD.length), HEAD.length);
  assert.equal(reader.text, HEAD);
});

for (const [what, part, names] of [
  ["bare LF", "GET / HTTP/1.1\nHost", /bare LF/],
  ["bare CR", "GET / HTTP/1.1\rHost", /bare CR/],
  ["bare CR in a field", "GET / HTTP/1.1\r\nHost: a\rb", /bare CR/],
  ["bare LF for the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\nb", /bare LF/],
  ["control character", "GET / HTTP/1.1\r\nHost: a\0", /control character 0/],
  ["CR CR", "\r\rGET", /bare CR/],
] as const) {
  test(`refuses a ${what} before the head has come to its end`, () => {
    for (const chunks of [[latin1(part)], byteByByte(latin1(part))]) {
      const error = meshErrorOf(() => readHead(chunks, "request"));
      assert.equal(error.code, "BAD_REQUEST");
      assert.match(error.message, names);
      assert.equal(meshErrorOf(() => readHead(chunks, "response")).code, "UPSTREAM_PROTOCOL");
    }
  });
}

for (const [what, part, code] of [
  ["request line", "a".repeat(LIMITS.requestLineBytes + 1), "REQUEST_LINE_TOO_LONG"],
  ["head", `a\r\n${"a".repeat(LIMITS.headBytes - 2)}`, "HEAD_TOO_LARGE"],
] as const) {
  test(`refuses a ${what} without end as soon as it is over its limit`, () => {
    for (const chunks of [[latin1(part)], byteByByte(latin1(part))]) {
      assert.equal(meshErrorOf(() => readHead(chunks, "request")).code, code);
    }
    assert.equal(readHead([latin1(part.slice(0, -1))], "request"), null);
  });
}

test("a response has no limit for its first line alone", () => {
  const text = `HTTP/1.1 200 ${"a".repeat(LIMITS.requestLineBytes)}\r\n\r\n`;
  assert.equal(readHead([latin1(text)], "response"), text);
  assert.equal(readHead(byteByByte(latin1(text)), "response"), text);
});

test("the work for a head in 1-byte chunks grows with its size only", (t) => {
  let work = 0;
  const count = (bytes: number) => {
    work += bytes;
  };
  const plain = Buffer.prototype.toString;
  t.mock.method(Buffer.prototype, "toString", function (this: Buffer, ...args: never[]) {
    const [, start = 0, end = this.length] = args as unknown[] as [string?, number?, number?];
    count(end - start);
    return plain.apply(this, args);
  });
  const copy = Buffer.prototype.copy;
  t.mock.method(Buffer.prototype, "copy", function (this: Buffer, ...args: unknown[]) {
    const [, , from = 0, to = this.length] = args as [Buffer, number?, number?, number?];
    count(to - from);
    return copy.apply(this, args as Parameters<typeof copy>);
  });
  const index = Buffer.prototype.indexOf;
  t.mock.method(Buffer.prototype, "indexOf", function (this: Buffer, ...args: unknown[]) {
    count(this.length);
    return index.apply(this, args as Parameters<typeof index>);
  });
  const watched = (bytes: Buffer) =>
    new Proxy(bytes, {
      get(target, key) {
        if (typeof key === "string" && /^[0-9]+$/.test(key)) count(1);
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  for (const size of [1_000, 30_000]) {
    work = 0;
    const reader = new HeadReader(LIMITS, "request");
    const bytes = latin1(`GET / HTTP/1.1\r\n${"A: b\r\n".repeat(size / 6)}\r\n`);
    const ends = byteByByte(bytes).map((chunk) => reader.read(watched(chunk), 0, 1));
    assert.deepEqual(ends.slice(-2), [-1, 1]);
    assert.ok(work >= bytes.length, "the work is not counted");
    assert.ok(work < 5 * bytes.length, `${work} units of work for ${bytes.length} bytes`);
  }
});

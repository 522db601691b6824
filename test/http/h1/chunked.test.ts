import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../../src/core/random.ts";
import { ChunkedDecoder } from "../../../src/http/h1/chunked.ts";
import { byteByByte, everySplit, randomChunks } from "../../helpers/chunks.ts";
import { latin1, meshErrorOf } from "../../helpers/heads.ts";

const LIMITS = { trailerBytes: 1_000, headerCount: 10 };
const NEXT = "GET / HTTP/1.1\r\n";

interface Decoded {
  readonly payload: string;
  readonly payloadBytes: number;
  /** What was recognised as part of the body. */
  readonly coded: string;
  readonly done: boolean;
}

function decode(chunks: readonly Buffer[], side: "request" | "response" = "request"): Decoded {
  const decoder = new ChunkedDecoder(LIMITS, side);
  let payload = "";
  let coded = "";
  for (const chunk of chunks) {
    const buffer = Buffer.concat([latin1("0\r\n"), chunk, latin1("0\r\n\r\n")]);
    const end = decoder.feed(buffer, 3, 3 + chunk.length, (from, start, to) => {
      payload += from.toString("latin1", start, to);
    });
    coded += buffer.toString("latin1", 3, end);
    if (!decoder.done) assert.equal(end, 3 + chunk.length, "bytes were left over");
  }
  return { payload, payloadBytes: decoder.payloadBytes, coded, done: decoder.done };
}

/** What the sample shows, its coded form, and its payload. */
const GOOD: (readonly [what: string, coded: string, payload: string])[] = [
  ["an empty body", "0\r\n\r\n", ""],
  ["one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello"],
  [
    "two chunks and hexadecimal sizes",
    "A\r\n0123456789\r\nb\r\nhello world\r\n0\r\n\r\n",
    "0123456789hello world",
  ],
  [
    "line ends and sizes inside the data",
    "9\r\n\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n",
    "\r\n0\r\n\r\n\r\n",
  ],
  ["leading zeros", "0005\r\nhello\r\n000\r\n\r\n", "hello"],
  ["extensions", '5;a;b=c;d="e \\" ;f"\r\nhello\r\n0;g\r\n\r\n', "hello"],
  ["bad whitespace around extensions", "5 ; a = b\r\nhello\r\n0\r\n\r\n", "hello"],
  ["trailers", "5\r\nhello\r\n0\r\nX-Sum: 1\r\ny:\t2 \r\n\r\n", "hello"],
];

for (const [what, coded, payload] of GOOD) {
  test(`decodes ${what}, whole, byte by byte and at every split`, () => {
    const bytes = latin1(coded + NEXT);
    for (const chunks of [[bytes], byteByByte(bytes), ...everySplit(bytes)]) {
      const payloadBytes = payload.length;
      assert.deepEqual(decode(chunks), { payload, payloadBytes, coded, done: true });
    }
  });

  test(`is not done before the last byte of ${what}`, () => {
    for (const [first] of everySplit(latin1(coded))) assert.equal(decode([first!]).done, false);
  });
}

test("decodes large bodies in chunks of any size", () => {
  const random = seeded(7);
  const payload = Buffer.from(Array.from({ length: 100_000 }, () => Math.floor(random() * 256)));
  const parts = randomChunks(payload, random, 9_000).map((part) =>
    Buffer.concat([latin1(`${part.length.toString(16)}\r\n`), part, latin1("\r\n")]),
  );
  const bytes = Buffer.concat([...parts, latin1("0\r\n\r\n")]);
  for (let round = 0; round < 5; round++) {
    const decoded = decode(randomChunks(bytes, random, 20_000));
    assert.equal(decoded.done, true);
    assert.equal(decoded.payload, payload.toString("latin1"));
    assert.equal(decoded.coded, bytes.toString("latin1"));
  }
});

test("takes the largest size without reading its data", () => {
  const decoder = new ChunkedDecoder(LIMITS, "request");
  const bytes = latin1("1fffffffffffff\r\nabc");
  assert.equal(decoder.feed(bytes, 0, bytes.length), bytes.length);
  assert.equal(decoder.payloadBytes, 3);
});

test("can be used again after reset, in whatever state it was", () => {
  const decoder = new ChunkedDecoder(LIMITS, "request");
  for (const [first] of everySplit(latin1("5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"))) {
    decoder.feed(first!, 0, first!.length);
    decoder.reset();
    assert.equal(decoder.done, false);
    assert.equal(decoder.payloadBytes, 0);
    const bytes = latin1("2\r\nab\r\n0\r\n\r\nrest");
    assert.equal(decoder.feed(bytes, 0, bytes.length), bytes.length - 4);
    assert.equal(decoder.payloadBytes, 2);
    decoder.reset();
  }
});

test("takes nothing more once it is done", () => {
  const decoder = new ChunkedDecoder(LIMITS, "request");
  const bytes = latin1("0\r\n\r\n");
  decoder.feed(bytes, 0, bytes.length);
  assert.equal(decoder.feed(bytes, 0, bytes.length), 0);
});

const trailer = (line: string) => `0\r\n${line}\r\n\r\n`;

const BAD: (readonly [what: string, coded: string, names: RegExp])[] = [
  ["no size", "\r\nhello\r\n0\r\n\r\n", /without a hexadecimal digit/],
  ["a size with a prefix", "0x5\r\nhello\r\n0\r\n\r\n", /"x5" behind a chunk size/],
  ["a size with a plus sign", "+5\r\nhello\r\n0\r\n\r\n", /without a hexadecimal digit/],
  ["a negative size", "-5\r\nhello\r\n0\r\n\r\n", /without a hexadecimal digit/],
  ["a space before the size", " 5\r\nhello\r\n0\r\n\r\n", /without a hexadecimal digit/],
  ["a space behind the size", "5 \r\nhello\r\n0\r\n\r\n", /" " behind a chunk size/],
  ["a size that is no number", "g\r\nhello\r\n0\r\n\r\n", /without a hexadecimal digit/],
  ["an underscore in the size", "1_0\r\nhello\r\n0\r\n\r\n", /"_0" behind a chunk size/],
  ["a size of 2^53", "20000000000000\r\n", /beyond 2\^53/],
  ["a size of 2^64 + 5", "10000000000000005\r\nhello\r\n0\r\n\r\n", /beyond 2\^53/],
  ["endless zeros", `${"0".repeat(17)}\r\n\r\n`, /beyond 2\^53/],
  ["a bare LF behind the size", "5\nhello\r\n0\r\n\r\n", /control character behind a chunk size/],
  ["a bare CR behind the size", "5\rhello\r\n0\r\n\r\n", /no CRLF behind the chunk size/],
  ["a NUL behind the size", "5\0\r\nhello\r\n0\r\n\r\n", /control character behind a chunk size/],
  ["a bare LF in an extension", "5;a\nhello\r\n0\r\n\r\n", /control character behind a chunk/],
  ["a bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n", /no CRLF behind the chunk size/],
  ["an extension without a name", "5;\r\nhello\r\n0\r\n\r\n", /";" behind a chunk size/],
  ["an extension without a semicolon", "5 a\r\nhello\r\n0\r\n\r\n", /behind a chunk size/],
  ["an extension with an open quote", '5;a="b\r\nhello\r\n0\r\n\r\n', /behind a chunk size/],
  ["an extension that is too long", `5;${"a".repeat(256)}\r\n`, /more than 256 bytes/],
  ["more data than announced", "5\r\nhello!\r\n0\r\n\r\n", /no CRLF behind the chunk data/],
  ["less data than announced", "7\r\nhello\r\n0\r\n\r\n", /no CRLF behind the chunk data/],
  ["a bare LF behind the data", "5\r\nhello\n0\r\n\r\n", /no CRLF behind the chunk data/],
  ["a bare CR behind the data", "5\r\nhello\r0\r\n\r\n", /no CRLF behind the chunk data/],
  ["a bare LF at the end", "0\r\n\n", /control character in a trailer/],
  ["a bare CR at the end", "0\r\n\rX", /no CRLF behind a trailer line/],
  ["no line behind the last chunk", "0\r\nGET / HTTP/1.1\r\n\r\n", /trailer line "GET/],
  ["a trailer with space before the colon", trailer("X : a"), /trailer line "X : a"/],
  ["a folded trailer", trailer("X: a\r\n b"), /trailer line " b"/],
  ["a trailer without a name", trailer(": a"), /trailer line/],
  ["a trailer with NUL", trailer("X: \0"), /control character in a trailer/],
  ["a trailer with a bare LF", trailer("X: a\nY: b"), /control character in a trailer/],
  ["a trailer with a bare CR", trailer("X: a\rY: b"), /no CRLF behind a trailer line/],
  ["Content-Length in the trailers", trailer("content-length: 5"), /"content-length" in the tr/],
  ["Transfer-Encoding in the trailers", trailer("Transfer-Encoding: chunked"), /in the trailers/],
  ["Host in the trailers", trailer("Host: a"), /"Host" in the trailers/],
  ["Authorization in the trailers", trailer("X: a\r\nAuthorization: b"), /in the trailers/],
  ["Set-Cookie in the trailers", trailer("Set-Cookie: a=b"), /in the trailers/],
  ["an identity in the trailers", trailer("X-Forwarded-Client-Cert: a"), /in the trailers/],
  ["one spelt otherwise", trailer("x_forwarded_client_cert: a"), /in the trailers/],
  ["X-Forwarded-For in the trailers", trailer("X-Forwarded-For: ::1"), /in the trailers/],
  ["trailers that are too many", trailer(Array(11).fill("X: a").join("\r\n")), /more than 10 tr/],
  ["trailers that are too large", trailer(`X: ${"a".repeat(1_000)}`), /more than 1000 bytes/],
];

for (const [what, coded, names] of BAD) {
  test(`refuses ${what}, whole and byte by byte`, () => {
    for (const chunks of [[latin1(coded)], byteByByte(latin1(coded))]) {
      const error = meshErrorOf(() => decode(chunks));
      assert.equal(error.code, "BAD_REQUEST");
      assert.match(error.message, names);
      assert.equal(meshErrorOf(() => decode(chunks, "response")).code, "UPSTREAM_PROTOCOL");
    }
  });
}

test("takes exactly as many and as large trailers as it may", () => {
  const many = latin1(trailer(Array(10).fill("X: a").join("\r\n")));
  assert.equal(decode([many]).done, true);
  const large = latin1(trailer(`X: ${"a".repeat(1_000 - "X: \r\n\r\n".length)}`));
  assert.equal(decode([large]).done, true);
});

test("does not touch the bytes of chunk data", () => {
  const data = latin1("x".repeat(50_000));
  let touched = 0;
  const bytes = new Proxy(Buffer.concat([latin1("c350\r\n"), data, latin1("\r\n0\r\n\r\n")]), {
    get(target, key) {
      touched++;
      return Reflect.get(target, key, target);
    },
  });
  const decoder = new ChunkedDecoder(LIMITS, "request");
  const ranges: number[] = [];
  assert.equal(
    decoder.feed(bytes, 0, 50_013, (_, start, to) => ranges.push(start, to)),
    50_013,
  );
  assert.equal(decoder.done, true);
  assert.deepEqual(ranges, [6, 50_006]);
  assert.ok(touched > 0 && touched < 20, `${touched} accesses`);
});

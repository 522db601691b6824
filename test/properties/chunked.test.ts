import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ChunkedDecoder } from "../../src/http/h1/chunked.ts";
import { chunkOf, trailerSection } from "../../src/http/h2/chunk-coding.ts";
import { anyName, bytes, cut, places, textOf, value } from "./arbitraries.ts";
import { check } from "./check.ts";

const RUNS = 600;
const LIMITS = { trailerBytes: 10_000, headerCount: 100 };

const trailers = fc.array(
  fc.tuple(anyName, value).map(([name, text]) => `${name}: ${text}\r\n`),
  { maxLength: 4 },
);
const token = textOf("abcXYZ019!#$%&'*+-.^_`|~", 1, 8);
const quoted = textOf("ab;,= \t\x80\xff", 0, 8).map((text) => `"${text}\\""`);
const extension = fc
  .tuple(token, fc.option(fc.oneof(token, quoted)), fc.constantFrom("", " ", "\t"))
  .map(
    ([name, of, space]) => `${space};${space}${name}${of === null ? "" : `${space}=${space}${of}`}`,
  );
const rest = bytes.map((octets) => Buffer.concat([Buffer.from("GET / "), octets]));

/** Feeds the coded bytes with others behind them, in pieces; the end has to be that of the coded ones. */
function checkDecoded(
  coded: Buffer,
  behind: Buffer,
  at: readonly number[],
  expected: { readonly payload: Buffer; readonly trailers: string },
): void {
  const decoder = new ChunkedDecoder(LIMITS, "request");
  const payload: Buffer[] = [];
  let end = 0;
  for (const chunk of cut(Buffer.concat([coded, behind]), at)) {
    assert.equal(decoder.done && end < coded.length, false);
    end += decoder.feed(chunk, 0, chunk.length, (from, start, to) => {
      payload.push(Buffer.from(from.subarray(start, to)));
    });
  }
  assert.equal(decoder.done, true);
  assert.equal(end, coded.length);
  assert.deepEqual(Buffer.concat(payload), expected.payload);
  assert.equal(decoder.payloadBytes, expected.payload.length);
  assert.equal(decoder.trailers, expected.trailers);
}

test("what our encoder writes is decoded as it was, to its very end, however it is split", () => {
  const property = fc.property(
    fc.array(bytes),
    trailers,
    rest,
    places,
    (parts, lines, behind, at) => {
      const coded: Buffer[] = [];
      const keep = ({ bytes: from, end }: { bytes: Buffer; end: number }) =>
        coded.push(Buffer.from(from.subarray(0, end)));
      for (const part of parts) keep(chunkOf(part, 0, part.length, false));
      if (lines.length === 0) keep(chunkOf(Buffer.alloc(0), 0, 0, true));
      else keep(trailerSection(lines.join("")));
      const payload = Buffer.concat(parts);
      checkDecoded(Buffer.concat(coded), behind, at, { payload, trailers: lines.join("") });
    },
  );
  check(property, RUNS);
});

test("so is what other encoders write, with leading zeros, upper case and extensions", () => {
  const chunk = fc.tuple(
    bytes.filter(({ length }) => length > 0),
    fc.nat(6),
    fc.boolean(),
    fc.array(extension, { maxLength: 3 }),
  );
  const property = fc.property(
    fc.array(chunk),
    trailers,
    rest,
    places,
    (chunks, lines, behind, at) => {
      const coded = chunks.flatMap(([payload, zeros, isUpper, extensions]) => {
        const size = payload.length.toString(16);
        const line = `${"0".repeat(zeros)}${isUpper ? size.toUpperCase() : size}${extensions.join("")}\r\n`;
        return [Buffer.from(line, "latin1"), payload, Buffer.from("\r\n")];
      });
      coded.push(Buffer.from(`0\r\n${lines.join("")}\r\n`, "latin1"));
      const payload = Buffer.concat(chunks.map(([part]) => part));
      checkDecoded(Buffer.concat(coded), behind, at, { payload, trailers: lines.join("") });
    },
  );
  check(property, RUNS);
});

import assert from "node:assert/strict";
import { MeshError } from "../../../src/core/errors.ts";
import { ChunkedDecoder } from "../../../src/http/h1/chunked.ts";
import { byteByByte, randomChunks } from "../../helpers/chunks.ts";
import { mutator } from "../mutate.ts";
import { requestsOf } from "../node-parser.ts";
import { kindOf, scaleOf } from "../outcome.ts";
import { below, randomOf } from "../random-of.ts";
import type { Target } from "../target.ts";

const LIMITS = { trailerBytes: 1_000, headerCount: 10 };
const HEAD = "POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const NEXT = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n";

const TOKENS = [
  ...[
    "\r\n",
    "\r",
    "\n",
    "0\r\n\r\n",
    "0\r\n",
    "5\r\nhello\r\n",
    ";",
    ";a=b",
    ';a="b\\"c"',
    " ",
    "\t",
  ],
  ...[
    "\r\n\r\n",
    "X-Sum: 1\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    ":",
    "\0",
  ],
  ...["00000000000000005", "FFFFFFFF", "0x5", "-5", "+5", "5 ", " 5", "5\n", '"', "=", NEXT],
];

interface Decoded {
  readonly payload: string;
  readonly payloadBytes: number;
  readonly end: number;
  readonly done: boolean;
  readonly trailers: string;
  readonly error: string;
}

function decoded(chunks: readonly Buffer[]): Decoded {
  const decoder = new ChunkedDecoder(LIMITS, "request");
  const memory = Buffer.allocUnsafe(8 + Math.max(0, ...chunks.map((chunk) => chunk.length)));
  let payload = "";
  let end = 0;
  let error = "";
  try {
    for (const chunk of chunks) {
      // Among bytes that would make an end of it.
      memory.fill("0\r\n\r\n");
      chunk.copy(memory, 3);
      const next = decoder.feed(memory, 3, 3 + chunk.length, (from, start, to) => {
        assert.ok(start >= 3 && start <= to && to <= 3 + chunk.length);
        payload += from.toString("latin1", start, to);
      });
      assert.ok(decoder.done || next === 3 + chunk.length, "bytes were left over");
      end += next - 3;
    }
  } catch (thrown) {
    assert.ok(thrown instanceof MeshError, `threw ${thrown}`);
    assert.equal(thrown.code, "BAD_REQUEST");
    error = thrown.message;
  }
  const { payloadBytes, done, trailers } = decoder;
  return { payload, payloadBytes, end: error === "" ? end : -1, done, trailers, error };
}

/** Node may refuse what is odd, but must not see another end: then somebody's content would be a request. */
function checkNodeAgrees(body: string, payload: string): void {
  const [first, second] = requestsOf(HEAD + body + NEXT);
  assert.equal(first?.start, "POST /first");
  if (first.complete) {
    assert.equal(first.body, payload);
    assert.deepEqual(second, { start: "GET /second", body: "", complete: true });
  } else {
    assert.equal(second, undefined);
    assert.match(body, /[;\t ]/, "Node refuses a plain body");
  }
}

/**
 * `ChunkedDecoder`: throws nothing but `MeshError`; any split of the bytes gives the same content and the same end; and
 * where it sees an end Node's own parser, which endpoints read our bytes with, sees the same one.
 */
export const chunked: Target = {
  name: "chunked",
  mutate: mutator(TOKENS),
  run(input) {
    const random = randomOf(input);
    const whole = decoded([input]);
    assert.deepEqual(decoded(randomChunks(input, random, 1 + below(random, 30))), whole);
    if (input.length < 300) assert.deepEqual(decoded(byteByByte(input)), whole);
    if (whole.done) {
      assert.equal(whole.payload.length, whole.payloadBytes);
      const body = input.toString("latin1", 0, whole.end);
      checkNodeAgrees(body, whole.payload);
    }
    const { done, error, payloadBytes, trailers } = whole;
    return `${done} ${kindOf(error)} ${scaleOf(payloadBytes)} ${scaleOf(trailers.length)}`;
  },
};

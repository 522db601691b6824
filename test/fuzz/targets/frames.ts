import assert from "node:assert/strict";
import { PROTOCOL_ERROR } from "../../../src/http/h2/codes.ts";
import { ConnectionError, StreamError } from "../../../src/http/h2/errors.ts";
import { FrameReader } from "../../../src/http/h2/frame-reader.ts";
import { byteByByte, randomChunks } from "../../helpers/chunks.ts";
import { FrameLog } from "../../helpers/h2-frames.ts";
import { mutateFrames } from "../mutate-frames.ts";
import { kindOf, scaleOf } from "../outcome.ts";
import { below, randomOf } from "../random-of.ts";
import type { Target } from "../target.ts";

/** Small, so that they are met. */
const LIMITS = { frameBytes: 2_048, blockBytes: 3_000, continuations: 4 };

interface Read {
  /** The calls, a line each. */
  readonly calls: string;
  /** Of the `ConnectionError`; "" without one. */
  readonly error: string;
  readonly insideBlock: boolean;
}

/** Throws, as a session does, in the midst of the reading. */
function object(line: string): void {
  const [kind, id, value] = line.split(" ");
  if (kind === "window" && value === "0") throw new StreamError(Number(id), PROTOCOL_ERROR, "0");
  if (kind === "headers" && id === "5") throw new StreamError(5, PROTOCOL_ERROR, "stream 5");
  if (kind === "push") throw new ConnectionError(PROTOCOL_ERROR, "push");
}

function read(chunks: readonly Buffer[]): Read {
  const log = new FrameLog({ joins: true });
  log.during = object;
  const reader = new FrameReader(log, LIMITS);
  const memory = Buffer.allocUnsafe(8 + Math.max(0, ...chunks.map((chunk) => chunk.length)));
  let error = "";
  for (const chunk of chunks) {
    // Among other bytes, and gone behind the call, as in a read buffer.
    memory.fill(0xee);
    chunk.copy(memory, 3);
    try {
      reader.read(memory, 3, 3 + chunk.length);
    } catch (thrown) {
      assert.ok(thrown instanceof ConnectionError, `threw ${thrown}`);
      assert.equal(error, "", "an error behind an error");
      error = `${thrown.code} ${thrown.message}`;
    }
  }
  return { calls: log.lines.join("\n"), error, insideBlock: reader.insideBlock };
}

/** `FrameReader`: throws nothing but `ConnectionError`, and any split of the bytes gives the same calls. */
export const frames: Target = {
  name: "frames",
  mutate: mutateFrames,
  run(input) {
    const random = randomOf(input);
    const whole = read([input]);
    assert.deepEqual(read(randomChunks(input, random, 1 + below(random, 60))), whole);
    if (input.length < 200) assert.deepEqual(read(byteByByte(input)), whole);
    const kinds = whole.calls.split("\n").map((line) => line.split(" ", 1)[0]);
    return `${[...new Set(kinds)].sort().join()} ${scaleOf(kinds.length)} ${kindOf(whole.error)} ${whole.insideBlock}`;
  },
};

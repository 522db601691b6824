import type { Socket } from "node:net";
import { type Random, seeded } from "../../../src/core/random.ts";

/** No multiple of any buffer size: the same place of two buffers never has the same content. */
const PERIOD = 1_048_573;
const LONGEST = 262_144;

/** Twice the period and more, so that any piece up to `LONGEST` can be cut out of it. */
const PATTERN = (() => {
  const random = seeded(20_261_120);
  const once = Buffer.from(Uint8Array.from({ length: PERIOD }, () => random() * 256));
  return Buffer.concat([once, once.subarray(0, LONGEST)]);
})();

export type Framing = "length" | "chunked";

export interface Content {
  readonly size: number;
  readonly framing: Framing;
  /** Where in the pattern it begins: streams that begin elsewhere differ at every position. */
  readonly shift: number;
}

/** Writes content that is different at every position, in pieces of random size. */
export function sendPattern(
  socket: Socket,
  { size, framing, shift }: Content,
  random: Random,
): void {
  let position = 0;
  const go = (): void => {
    while (position < size) {
      const length = Math.min(size - position, 1 + Math.floor(random() * LONGEST));
      const at = (shift + position) % PERIOD;
      const piece = PATTERN.subarray(at, at + length);
      position += length;
      socket.cork();
      if (framing === "chunked") socket.write(`${length.toString(16)}\r\n`);
      socket.write(piece);
      if (framing === "chunked") socket.write(position === size ? "\r\n0\r\n\r\n" : "\r\n");
      socket.uncork();
      if (socket.writableNeedDrain) {
        socket.once("drain", go);
        return;
      }
    }
  };
  go();
}

/** Compares content with the pattern; throws at the first byte that is wrong. */
export class PatternCheck {
  position = 0;
  readonly #shift: number;

  constructor(shift: number) {
    this.#shift = shift;
  }

  take(chunk: Buffer, start: number, end: number): void {
    for (let from = start; from < end; ) {
      const length = Math.min(end - from, LONGEST);
      const at = (this.#shift + this.position) % PERIOD;
      if (chunk.compare(PATTERN, at, at + length, from, from + length) !== 0) {
        throw new Error(`wrong content behind position ${this.position}`);
      }
      from += length;
      this.position += length;
    }
  }
}

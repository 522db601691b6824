import type { Random } from "../../src/core/random.ts";
import { CLIENT_PREFACE, FRAME_HEADER_BYTES } from "../../src/http/h2/codes.ts";
import { mutator } from "./mutate.ts";
import { below, pick } from "./random-of.ts";
import { MAX_INPUT_BYTES, type Mutator } from "./target.ts";

const PREFACE = Buffer.from(CLIENT_PREFACE, "latin1");
const MOST_EDITS = 4;
const MOST_REPEATS = 60;

const bytesOnly = mutator([]);

/** Frames with their headers, and what is left at the end. */
function split(input: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  let at = input.subarray(0, PREFACE.length).equals(PREFACE) ? PREFACE.length : 0;
  while (at < input.length) {
    const next =
      at + FRAME_HEADER_BYTES > input.length
        ? input.length
        : Math.min(input.length, at + FRAME_HEADER_BYTES + input.readUIntBE(at, 3));
    frames.push(input.subarray(at, next));
    at = next;
  }
  return frames;
}

/** Changes the header's fields or the payload, whose length then is right again. */
function changed(frame: Buffer, payloads: readonly Buffer[], random: Random): Buffer {
  if (frame.length < FRAME_HEADER_BYTES) return frame;
  const copy = Buffer.from(frame);
  switch (below(random, 5)) {
    case 0:
      copy[3] = below(random, 12);
      return copy;
    case 1:
      copy[4]! ^= pick(random, [1, 4, 8, 0x20, 0x40]);
      return copy;
    case 2:
      copy.writeUInt32BE(pick(random, [0, 1, 2, 3, 5, 7, 9, 101, 0x7fff_ffff, 0x8000_0001]), 5);
      return copy;
    default: {
      const payload = bytesOnly(frame.subarray(FRAME_HEADER_BYTES), payloads, random);
      copy.writeUIntBE(payload.length, 0, 3);
      return Buffer.concat([copy.subarray(0, FRAME_HEADER_BYTES), payload]);
    }
  }
}

function editFrames(frames: Buffer[], others: readonly Buffer[], random: Random): void {
  const at = below(random, frames.length);
  const frame = frames[at]!;
  switch (below(random, 7)) {
    case 0:
      frames.splice(at, 1);
      break;
    case 1: {
      const times = 1 + below(random, random() < 0.8 ? 2 : MOST_REPEATS);
      frames.splice(at, 0, ...Array.from({ length: times }, () => frame));
      break;
    }
    case 2:
      frames.splice(below(random, frames.length), 0, ...frames.splice(at, 1));
      break;
    case 3: {
      const theirs = split(pick(random, others));
      if (theirs.length > 0) frames.splice(at, 0, pick(random, theirs));
      break;
    }
    default:
      frames[at] = changed(frame, others, random);
  }
}

/** Adds, takes away, reorders and changes whole frames; one time in four it is blind to them. */
export const mutateFrames: Mutator = (input, others, random) => {
  if (random() < 0.25) return bytesOnly(input, others, random);
  const hasPreface = input.subarray(0, PREFACE.length).equals(PREFACE);
  const frames = split(input);
  for (let count = 1 + below(random, MOST_EDITS); count > 0 && frames.length > 0; count--) {
    editFrames(frames, others, random);
  }
  const all = hasPreface ? [PREFACE, ...frames] : frames;
  return Buffer.concat(all).subarray(0, MAX_INPUT_BYTES);
};

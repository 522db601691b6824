import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../src/core/random.ts";
import { closeFrame, WebSocketFrames } from "../../src/http/websocket-frames.ts";
import { FRAME_CASES, type FrameSpec, websocketFrame } from "../helpers/websocket-frames.ts";

const LENGTHS = [0, 1, 125, 126, 127, 128, 255, 256, 65_535, 65_536, 70_001];
const FRAMES: readonly FrameSpec[] = LENGTHS.map((length) => ({
  opcode: 2,
  // What would be headers and Close frames, were it not payload.
  payload: Buffer.alloc(length, 0x88),
}));

/** Where the frames of these bytes end, as they are found piece by piece. */
function boundaries(bytes: Buffer, pieces: (left: number) => number): number[] {
  const frames = new WebSocketFrames();
  const found: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + pieces(bytes.length - at));
    while (at < end) {
      if (frames.isBetween) found.push(at);
      // Behind the first byte, lest it stops where it is.
      at = frames.follow(bytes, at, at + 1, false);
      at = frames.follow(bytes, at, end, true);
    }
  }
  if (frames.isBetween) found.push(bytes.length);
  return found;
}

function offsets(frames: readonly FrameSpec[], isMasked: boolean): number[] {
  let at = 0;
  return [0, ...frames.map((frame) => (at += websocketFrame(frame, isMasked).length))];
}

for (const isMasked of [false, true]) {
  const who = isMasked ? "a client" : "a server";

  test(`frames of ${who} are found at every length, whatever the pieces`, () => {
    const random = seeded(5);
    const some = [...FRAMES, ...FRAMES].sort(() => random() - 0.5);
    const bytes = Buffer.concat(some.map((frame) => websocketFrame(frame, isMasked)));
    const expected = offsets(some, isMasked);
    for (const pieces of [
      (left: number) => left,
      () => 1,
      () => 7,
      () => 1 + Math.floor(random() * 40_000),
    ]) {
      assert.deepEqual(boundaries(bytes, pieces), expected);
    }
  });

  test(`frames of ${who} are found at every split of their headers`, () => {
    for (const length of [0, 5, 125, 126, 300]) {
      for (const longForm of [false, true]) {
        const frames = [{ opcode: 1, payload: "x".repeat(length), longForm }, { opcode: 9 }];
        const bytes = Buffer.concat(frames.map((frame) => websocketFrame(frame, isMasked)));
        const expected = offsets(frames, isMasked);
        for (let split = 1; split < bytes.length; split++) {
          let isFirst = true;
          const pieces = (left: number) => {
            const size = isFirst ? split : left;
            isFirst = false;
            return size;
          };
          assert.deepEqual(boundaries(bytes, pieces), expected, `${length} at ${split}`);
        }
      }
    }
  });

  test(`of ${who} only a Close frame is one`, () => {
    for (const { name, frames } of FRAME_CASES) {
      const track = new WebSocketFrames();
      for (const frame of frames) {
        const bytes = websocketFrame(frame, isMasked);
        track.follow(bytes, 0, bytes.length, false);
        if (frame.announced !== undefined) break;
        assert.equal(track.isBetween, true, name);
        const isClose = frame.opcode === 8;
        if (isClose) assert.equal(track.sawClose, true, name);
      }
      const hasClose = frames.some(({ opcode }) => opcode === 8);
      assert.equal(track.sawClose, hasClose, name);
    }
  });
}

test("it stops at the first place where a frame may begin, and not within one", () => {
  const bytes = Buffer.concat([
    websocketFrame({ opcode: 1, payload: "hello", fin: false }, true),
    websocketFrame({ opcode: 0, payload: "!" }, true),
  ]);
  const frames = new WebSocketFrames();
  assert.equal(frames.follow(bytes, 0, bytes.length, true), 0);
  assert.equal(frames.follow(bytes, 0, 3, false), 3);
  assert.equal(frames.isBetween, false);
  assert.equal(frames.follow(bytes, 3, bytes.length, true), 11);
  assert.equal(frames.isBetween, true);
});

test("an impossible length is never over", () => {
  const frames = new WebSocketFrames();
  const header = Buffer.from([0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255]);
  frames.follow(header, 0, header.length, false);
  const much = Buffer.alloc(1_000_000);
  for (let round = 0; round < 100; round++) frames.follow(much, 0, much.length, true);
  assert.equal(frames.isBetween, false);
});

test("a Close frame is as RFC 6455 section 5.5.1 has it", () => {
  assert.equal(closeFrame(1001, "", false), "\x88\x02\x03\xe9");
  const plain = Buffer.from(closeFrame(1001, "bye", false), "latin1");
  assert.deepEqual([...plain], [0x88, 5, 0x03, 0xe9, 0x62, 0x79, 0x65]);
  const seen = new Set<string>();
  for (let round = 0; round < 20; round++) {
    const masked = Buffer.from(closeFrame(1001, "bye", true), "latin1");
    assert.deepEqual([masked.length, masked[0], masked[1]], [11, 0x88, 0x85]);
    const mask = masked.subarray(2, 6);
    seen.add(mask.toString("hex"));
    const payload = masked.subarray(6).map((byte, at) => byte ^ (mask[at % 4] ?? 0));
    assert.deepEqual([...payload], [...plain.subarray(2)]);
  }
  assert.ok(seen.size > 1, "nobody can foresee the mask");
});

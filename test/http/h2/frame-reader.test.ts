import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Random, seeded } from "../../../src/core/random.ts";
import {
  ENHANCE_YOUR_CALM,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FLAG_PADDED,
  FLAG_PRIORITY,
  FRAME_CONTINUATION,
  FRAME_DATA,
  FRAME_GOAWAY,
  FRAME_HEADERS,
  FRAME_PING,
  FRAME_PRIORITY,
  FRAME_PUSH_PROMISE,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_SIZE_ERROR,
  FRAME_WINDOW_UPDATE,
  PROTOCOL_ERROR,
} from "../../../src/http/h2/codes.ts";
import { ConnectionError, StreamError } from "../../../src/http/h2/errors.ts";
import { FrameReader } from "../../../src/http/h2/frame-reader.ts";
import { byteByByte, everySplit, randomChunks } from "../../helpers/chunks.ts";
import { FrameLog, frame } from "../../helpers/h2-frames.ts";

const LIMITS = { frameBytes: 16_384, blockBytes: 32_768, continuations: 4 };
const WHOLE = FLAG_END_HEADERS;

interface Outcome {
  lines: string[];
  /** The code of the `ConnectionError`, -1 without one. */
  code: number;
  insideBlock: boolean;
}

/** Feeds the chunks as a connection does: in a memory that is used again for each, at an offset. */
function feed(chunks: readonly Buffer[], log: FrameLog, limits = LIMITS): Outcome {
  const reader = new FrameReader(log, limits);
  const memory = Buffer.alloc(Math.max(...chunks.map((chunk) => chunk.length), 0) + 7);
  let code = -1;
  try {
    for (const chunk of chunks) {
      memory.fill(0xee);
      chunk.copy(memory, 3);
      reader.read(memory, 3, 3 + chunk.length);
    }
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    code = error.code;
  }
  return { lines: log.lines, code, insideBlock: reader.insideBlock };
}

/** What is read of the bytes in one chunk; in two, and byte by byte, the same has to come out. */
function read(...frames: readonly Buffer[]): Outcome {
  const bytes = Buffer.concat(frames);
  const ways = bytes.length < 600 ? [...everySplit(bytes), byteByByte(bytes)] : [];
  for (const chunks of [[bytes], ...ways]) {
    const joined = feed(chunks, new FrameLog({ joins: true }));
    assert.deepEqual(joined, feed([bytes], new FrameLog({ joins: true })));
  }
  return feed([bytes], new FrameLog());
}

/** The calls for frames that are right. */
function lines(...frames: readonly Buffer[]): string[] {
  const { lines: found, code } = read(...frames);
  assert.equal(code, -1);
  return found;
}

/** The frames end the connection with this code, and nothing was told but what came before. */
function refuses(code: number, frames: readonly Buffer[], before: readonly string[] = []): void {
  const found = read(...frames);
  assert.deepEqual({ lines: found.lines, code: found.code }, { lines: before, code });
}

const padded = (padding: number, content: string) =>
  Buffer.concat([
    Buffer.from([padding]),
    Buffer.from(content, "latin1"),
    Buffer.alloc(Math.max(0, padding)),
  ]);

describe("the frame reader hands over", () => {
  it("DATA, its end, and frames without content", () => {
    assert.deepEqual(
      lines(
        frame(FRAME_DATA, 0, 1, "hello"),
        frame(FRAME_DATA, FLAG_END_STREAM, 1),
        frame(FRAME_DATA, 0, 3),
      ),
      ['data 1 "hello" flow 5', 'data 1 "" flow 0 last', 'data 3 "" flow 0'],
    );
  });

  it("padded DATA without the padding, which counts for the windows", () => {
    assert.deepEqual(
      lines(
        frame(FRAME_DATA, FLAG_PADDED | FLAG_END_STREAM, 1, padded(3, "abc")),
        frame(FRAME_DATA, FLAG_PADDED, 3, padded(0, "")),
        frame(FRAME_DATA, FLAG_PADDED, 5, padded(255, "")),
        frame(FRAME_DATA, FLAG_PADDED, 7, padded(0, "x")),
      ),
      ['data 1 "abc" flow 7 last', 'data 3 "" flow 1', 'data 5 "" flow 256', 'data 7 "x" flow 2'],
    );
  });

  it("pieces of DATA as they come, the last one when the padding is complete", () => {
    const bytes = frame(FRAME_DATA, FLAG_PADDED | FLAG_END_STREAM, 1, padded(2, "abcd"));
    const cuts = [9, 10, 12, 14, 15, 16];
    const chunks = cuts.map((cut, at) => bytes.subarray(cuts[at - 1] ?? 0, cut));
    assert.deepEqual(feed(chunks, new FrameLog()).lines, [
      'data 1 "ab" flow 3',
      'data 1 "cd" flow 2',
      'data 1 "" flow 1',
      'data 1 "" flow 1 last',
    ]);
  });

  it("a field block of one frame, padded, with a priority, or empty", () => {
    const priority = [0x80, 0, 0, 9, 200];
    assert.deepEqual(
      lines(
        frame(FRAME_HEADERS, WHOLE, 1, "block"),
        frame(FRAME_HEADERS, WHOLE | FLAG_PADDED | FLAG_END_STREAM, 3, padded(4, "abc")),
        frame(FRAME_HEADERS, WHOLE | FLAG_PRIORITY, 5, [...priority, 0x61]),
        frame(FRAME_HEADERS, WHOLE | FLAG_PRIORITY | FLAG_PADDED, 7, [1, ...priority, 0x62, 0]),
        frame(FRAME_HEADERS, WHOLE, 9),
        frame(FRAME_HEADERS, WHOLE | FLAG_PRIORITY, 11, priority),
      ),
      [
        'headers 1 "block" on -1',
        'headers 3 "abc" on -1 last',
        'headers 5 "a" on 9',
        'headers 7 "b" on 9',
        'headers 9 "" on -1',
        'headers 11 "" on 9',
      ],
    );
  });

  it("a field block of several frames as one, with what its HEADERS said", () => {
    const flags = FLAG_PADDED | FLAG_END_STREAM | FLAG_PRIORITY;
    assert.deepEqual(
      lines(
        frame(FRAME_HEADERS, flags, 1, [2, 0, 0, 0, 3, 16, 0x61, 0x62, 0, 0]),
        frame(FRAME_CONTINUATION, 0, 1),
        frame(FRAME_CONTINUATION, 0, 1, "cd"),
        frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 1, "ef"),
        frame(FRAME_HEADERS, 0, 3),
        frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 3, "x"),
        frame(FRAME_HEADERS, 0, 5, "y"),
        frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 5),
      ),
      ['headers 1 "abcdef" on 3 last', 'headers 3 "x" on -1', 'headers 5 "y" on -1'],
    );
  });

  it("frames of the connection", () => {
    assert.deepEqual(
      lines(
        frame(FRAME_SETTINGS, 0, 0),
        frame(FRAME_SETTINGS, 0, 0, [0, 1, 0, 0, 16, 0, 0, 4, 0xff, 0xff, 0xff, 0xff]),
        frame(FRAME_SETTINGS, 1, 0),
        frame(FRAME_PING, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]),
        frame(FRAME_PING, 1, 0, "abcdefgh"),
        frame(FRAME_WINDOW_UPDATE, 0, 0, [0x80, 0, 0, 5]),
        frame(FRAME_GOAWAY, 0, 0, [0x80, 0, 0, 7, 0xff, 0, 0, 1]),
        frame(FRAME_GOAWAY, 0, 0, [0, 0, 0, 7, 0, 0, 0, 0, 0x68, 0xe9]),
      ),
      [
        "settings ",
        "settings 1=4096 4=4294967295",
        "settings ack",
        "ping 0102030405060708",
        "ping ack 6162636465666768",
        "window 0 5",
        'goaway 7 4278190081 ""',
        'goaway 7 0 "h\xe9"',
      ],
    );
  });

  it("frames of streams, and window updates of nothing", () => {
    assert.deepEqual(
      lines(
        frame(FRAME_PRIORITY, 0, 3, [0x80, 0, 0, 1, 7]),
        frame(FRAME_RST_STREAM, 0, 3, [0, 0, 0, 8]),
        frame(FRAME_WINDOW_UPDATE, 0, 3, [0, 0, 0, 0]),
        frame(FRAME_WINDOW_UPDATE, 0, 3, [0x7f, 0xff, 0xff, 0xff]),
        frame(FRAME_PUSH_PROMISE, FLAG_END_HEADERS, 3, [0, 0, 0, 2, 0x88]),
      ),
      ["priority 3 on 1", "reset 3 8", "window 3 0", "window 3 2147483647", "push 3"],
    );
  });

  it("the debug data of a GOAWAY cut to 256 characters", () => {
    const long = Buffer.alloc(9_000, "d");
    const found = lines(
      frame(FRAME_GOAWAY, 0, 0, Buffer.concat([Buffer.alloc(8), long])),
      frame(FRAME_SETTINGS, 1, 0),
    );
    assert.deepEqual(found, [`goaway 0 0 "${"d".repeat(256)}"`, "settings ack"]);
  });

  it("types that are unknown by their number, wherever they are", () => {
    assert.deepEqual(
      lines(frame(0x0a, 0xff, 0, "payload"), frame(0xff, 0, 77), frame(FRAME_SETTINGS, 1, 0)),
      ["unknown 10", "unknown 255", "settings ack"],
    );
  });

  it("frames with flags that mean nothing there, and the reserved bit of the stream id", () => {
    const reserved = frame(FRAME_DATA, 0xf6, 1, "a");
    reserved[5] = 0x80;
    assert.deepEqual(
      lines(reserved, frame(FRAME_PING, 0xfe, 0, "abcdefgh"), frame(FRAME_SETTINGS, 0xff, 0)),
      ['data 1 "a" flow 1', "ping 6162636465666768", "settings ack"],
    );
  });

  it("a frame of just the largest size", () => {
    const found = lines(frame(FRAME_DATA, 0, 1, Buffer.alloc(16_384, "x")));
    assert.equal(found[0], `data 1 "${"x".repeat(16_384)}" flow 16384`);
  });
});

describe("the frame reader ends the connection for", () => {
  it("a frame above its limit, when its header is there", () => {
    for (const type of [FRAME_DATA, FRAME_HEADERS, FRAME_SETTINGS, FRAME_GOAWAY, 0x20]) {
      refuses(FRAME_SIZE_ERROR, [frame(type, 0, 1, Buffer.alloc(16_385)).subarray(0, 9)]);
    }
    refuses(FRAME_SIZE_ERROR, [Buffer.from("ffffff000000000001", "hex")]);
  });

  it("frames of a stream on stream 0", () => {
    refuses(PROTOCOL_ERROR, [frame(FRAME_DATA, 0, 0, "x")]);
    refuses(PROTOCOL_ERROR, [frame(FRAME_HEADERS, WHOLE, 0, "x")]);
    refuses(PROTOCOL_ERROR, [frame(FRAME_PRIORITY, 0, 0, [0, 0, 0, 1, 1])]);
    refuses(PROTOCOL_ERROR, [frame(FRAME_RST_STREAM, 0, 0, [0, 0, 0, 1])]);
    refuses(PROTOCOL_ERROR, [frame(FRAME_PUSH_PROMISE, WHOLE, 0, [0, 0, 0, 2])]);
    refuses(PROTOCOL_ERROR, [frame(FRAME_CONTINUATION, WHOLE, 0, "x")]);
  });

  it("frames of the connection on a stream", () => {
    refuses(PROTOCOL_ERROR, [frame(FRAME_SETTINGS, 0, 1)]);
    refuses(PROTOCOL_ERROR, [frame(FRAME_SETTINGS, 1, 1)]);
    refuses(PROTOCOL_ERROR, [frame(FRAME_PING, 0, 1, "abcdefgh")]);
    refuses(PROTOCOL_ERROR, [frame(FRAME_GOAWAY, 0, 1, Buffer.alloc(8))]);
  });

  it("frames of a wrong size", () => {
    const wrong: [type: number, flags: number, streamId: number, sizes: number[]][] = [
      [FRAME_DATA, FLAG_PADDED, 1, [0]],
      [FRAME_HEADERS, FLAG_PADDED | WHOLE, 1, [0]],
      [FRAME_HEADERS, FLAG_PRIORITY | WHOLE, 1, [0, 4]],
      [FRAME_HEADERS, FLAG_PADDED | FLAG_PRIORITY | WHOLE, 1, [0, 5]],
      [FRAME_RST_STREAM, 0, 1, [0, 3, 5, 8]],
      [FRAME_SETTINGS, 0, 0, [1, 5, 7, 11]],
      [FRAME_SETTINGS, 1, 0, [1, 6]],
      [FRAME_PUSH_PROMISE, WHOLE, 1, [0, 3]],
      [FRAME_PING, 0, 0, [0, 7, 9, 16]],
      [FRAME_GOAWAY, 0, 0, [0, 7]],
      [FRAME_WINDOW_UPDATE, 0, 0, [0, 3, 5]],
      [FRAME_WINDOW_UPDATE, 0, 1, [0, 3, 5]],
    ];
    for (const [type, flags, streamId, sizes] of wrong) {
      for (const size of sizes) {
        refuses(FRAME_SIZE_ERROR, [frame(type, flags, streamId, Buffer.alloc(size))]);
      }
    }
  });

  it("padding as long as the payload or longer", () => {
    refuses(PROTOCOL_ERROR, [frame(FRAME_DATA, FLAG_PADDED, 1, [1])]);
    refuses(PROTOCOL_ERROR, [frame(FRAME_DATA, FLAG_PADDED, 1, [5, 0, 0, 0, 0])]);
    refuses(PROTOCOL_ERROR, [frame(FRAME_HEADERS, FLAG_PADDED | WHOLE, 1, [3, 0, 0])]);
    const flags = FLAG_PADDED | FLAG_PRIORITY | WHOLE;
    refuses(PROTOCOL_ERROR, [frame(FRAME_HEADERS, flags, 1, [1, 0, 0, 0, 3, 16])]);
  });

  it("any other frame within a field block, also one of an unknown type", () => {
    const open = frame(FRAME_HEADERS, 0, 1, "a");
    for (const type of [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 255]) {
      refuses(PROTOCOL_ERROR, [open, frame(type, FLAG_END_HEADERS, 1, "abcdefgh")]);
    }
    refuses(PROTOCOL_ERROR, [open, frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 3, "b")]);
    refuses(PROTOCOL_ERROR, [open, frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 0, "b")]);
  });

  it("CONTINUATION without a field block, or behind its end", () => {
    refuses(PROTOCOL_ERROR, [frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 1, "a")]);
    const whole = frame(FRAME_HEADERS, WHOLE, 1, "a");
    const more = frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 1, "b");
    refuses(PROTOCOL_ERROR, [whole, more], ['headers 1 "a" on -1']);
  });

  it("too many CONTINUATION frames, empty ones too (CVE-2024-27316)", () => {
    const open = frame(FRAME_HEADERS, 0, 1, "a");
    const more = (payload: string) => frame(FRAME_CONTINUATION, 0, 1, payload);
    const end = frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 1);
    assert.deepEqual(lines(open, more(""), more("b"), more(""), end), ['headers 1 "ab" on -1']);
    refuses(ENHANCE_YOUR_CALM, [open, more(""), more(""), more(""), more(""), end]);
    refuses(ENHANCE_YOUR_CALM, [open, more("b"), more("c"), more("d"), more("e"), end]);
  });

  it("a field block above its limit, before its bytes have come", () => {
    const limits = { ...LIMITS, blockBytes: 10 };
    const long = frame(FRAME_HEADERS, WHOLE, 1, "0123456789a");
    assert.equal(feed([long.subarray(0, 9)], new FrameLog(), limits).code, ENHANCE_YOUR_CALM);
    const [head, fits, exceeds] = [
      frame(FRAME_HEADERS, 0, 1, "01234"),
      frame(FRAME_CONTINUATION, WHOLE, 1, "56789"),
      frame(FRAME_CONTINUATION, WHOLE, 1, "56789a"),
    ];
    const whole = feed([Buffer.concat([head, fits])], new FrameLog(), limits);
    assert.deepEqual(whole.lines, ['headers 1 "0123456789" on -1']);
    const found = feed([head, exceeds.subarray(0, 9)], new FrameLog(), limits);
    assert.deepEqual([found.code, found.lines], [ENHANCE_YOUR_CALM, []]);
  });

  it("hundreds of settings in one frame (CVE-2020-11080)", () => {
    assert.equal(lines(frame(FRAME_SETTINGS, 0, 0, Buffer.alloc(64 * 6))).length, 1);
    refuses(ENHANCE_YOUR_CALM, [frame(FRAME_SETTINGS, 0, 0, Buffer.alloc(65 * 6))]);
  });

  it("HTTP/1.1 in place of frames", () => {
    refuses(FRAME_SIZE_ERROR, [Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n")]);
  });
});

describe("behind what is wrong", () => {
  it("a PRIORITY of a wrong size costs its stream only, and the next frame is read", () => {
    for (const size of [0, 4, 6]) {
      assert.deepEqual(
        lines(frame(FRAME_PRIORITY, 0, 3, Buffer.alloc(size)), frame(FRAME_SETTINGS, 1, 0)),
        [`stream error 3 ${FRAME_SIZE_ERROR} PRIORITY of ${size} bytes`, "settings ack"],
      );
    }
  });

  it("the next frame is read after a stream error of the handler", () => {
    const frames = Buffer.concat([
      frame(FRAME_HEADERS, WHOLE | FLAG_PADDED, 1, padded(5, "ab")),
      frame(FRAME_HEADERS, 0, 1, "a"),
      frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 1, "c"),
      frame(FRAME_WINDOW_UPDATE, 0, 1, [0, 0, 0, 0]),
      frame(FRAME_RST_STREAM, 0, 1, [0, 0, 0, 0]),
      frame(FRAME_DATA, FLAG_END_STREAM, 1, "whole"),
      frame(0x33, 0, 1, "ignored"),
      frame(FRAME_PING, 0, 0, "abcdefgh"),
    ]);
    for (const chunks of [[frames], byteByByte(frames)]) {
      const log = new FrameLog({ joins: true });
      log.during = (line) => {
        if (/^(headers|window|reset|unknown)|^data.*last$/.test(line))
          throw new StreamError(1, 5, line);
      };
      assert.deepEqual(feed(chunks, log).lines, [
        'headers 1 "ab" on -1',
        'stream error 1 5 headers 1 "ab" on -1',
        'headers 1 "ac" on -1',
        'stream error 1 5 headers 1 "ac" on -1',
        "window 1 0",
        "stream error 1 5 window 1 0",
        "reset 1 0",
        "stream error 1 5 reset 1 0",
        'data 1 "whole" flow 5 last',
        'stream error 1 5 data 1 "whole" flow 5 last',
        "unknown 51",
        "stream error 1 5 unknown 51",
        "ping 6162636465666768",
      ]);
    }
  });

  it("the rest of a DATA frame that was refused still counts for the window of the connection", () => {
    const log = new FrameLog();
    log.during = (line) => {
      if (line.includes('"a"')) throw new StreamError(1, 3, "no room");
    };
    const bytes = frame(FRAME_DATA, 0, 1, "abc");
    feed([bytes.subarray(0, 10), bytes.subarray(10), frame(FRAME_SETTINGS, 1, 0)], log);
    assert.deepEqual(log.lines, [
      'data 1 "a" flow 1',
      "stream error 1 3 no room",
      'data 1 "bc" flow 2',
      "settings ack",
    ]);
  });

  it("nothing is read any more after a connection error, the reader's or the handler's", () => {
    const ack = frame(FRAME_SETTINGS, 1, 0);
    for (const wrong of [frame(FRAME_DATA, 0, 0), frame(FRAME_PUSH_PROMISE, 0, 1, "abcd")]) {
      const log = new FrameLog();
      log.during = (line) => {
        if (line.startsWith("push")) throw new ConnectionError(PROTOCOL_ERROR, line);
      };
      const reader = new FrameReader(log, LIMITS);
      const bytes = Buffer.concat([ack, wrong, ack]);
      assert.throws(() => reader.read(bytes, 0, bytes.length), { code: PROTOCOL_ERROR });
      reader.read(ack, 0, ack.length);
      assert.deepEqual(
        log.lines.filter((line) => !line.startsWith("push")),
        ["settings ack"],
      );
    }
  });

  it("a connection error that the handler throws for a stream error ends the reading too", () => {
    const log = new FrameLog();
    log.during = (line) => {
      if (line.startsWith("stream error")) throw new ConnectionError(ENHANCE_YOUR_CALM, "enough");
    };
    const bytes = [frame(FRAME_PRIORITY, 0, 3), frame(FRAME_SETTINGS, 1, 0)];
    assert.equal(feed([Buffer.concat(bytes)], log).code, ENHANCE_YOUR_CALM);
    assert.equal(log.lines.length, 1);
  });
});

describe("a field block that is not complete", () => {
  it("is known from its header on, until its last byte", () => {
    const log = new FrameLog();
    const reader = new FrameReader(log, LIMITS);
    const bytes = Buffer.concat([
      frame(FRAME_HEADERS, 0, 1, "ab"),
      frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 1, "c"),
    ]);
    const inside = byteByByte(bytes).map((byte) => {
      reader.read(byte, 0, 1);
      return reader.insideBlock;
    });
    assert.deepEqual(inside, [...new Array(8).fill(false), ...new Array(12).fill(true), false]);
  });

  it("is no longer held once the connection is given up", () => {
    const { insideBlock } = read(
      frame(FRAME_HEADERS, 0, 1, "a"),
      frame(FRAME_PING, 0, 0, "abcdefgh"),
    );
    assert.equal(insideBlock, false);
  });
});

/** A frame that is right, or nearly so. */
function randomFrame(random: Random): Buffer {
  const below = (limit: number) => Math.floor(random() * limit);
  const bytes = (size: number) => Buffer.from(Array.from({ length: size }, () => below(256)));
  const streamId = 1 + 2 * below(3);
  switch (below(10)) {
    case 0:
      return frame(FRAME_DATA, below(2), streamId, bytes(below(40)));
    case 1: {
      const padding = below(9);
      const content = bytes(below(12));
      const payload = Buffer.concat([Buffer.from([padding]), content, Buffer.alloc(padding)]);
      return frame(below(2), below(2) | FLAG_PADDED | WHOLE, streamId, payload);
    }
    case 2:
      return Buffer.concat([
        frame(FRAME_HEADERS, below(2), streamId, bytes(below(900))),
        frame(FRAME_CONTINUATION, 0, streamId, bytes(below(700))),
        frame(FRAME_CONTINUATION, WHOLE, streamId, bytes(below(9))),
      ]);
    case 3:
      return frame(FRAME_HEADERS, WHOLE | FLAG_PRIORITY | below(2), streamId, bytes(5 + below(30)));
    case 4:
      return frame(FRAME_SETTINGS, 0, 0, bytes(6 * below(5)));
    case 5:
      return frame(FRAME_GOAWAY, 0, 0, bytes(8 + below(400)));
    case 6:
      return frame(FRAME_WINDOW_UPDATE, 0, below(2) * streamId, bytes(4));
    case 7:
      return frame(FRAME_PRIORITY, 0, streamId, bytes(random() < 0.5 ? 5 : below(9)));
    case 8:
      return frame(FRAME_RST_STREAM, 0, streamId, bytes(4));
    default:
      return frame(10 + below(20), below(256), below(4), bytes(below(20)));
  }
}

/** The same calls and the same error, whatever the chunks. */
function hasOneMeaning(bytes: Buffer, random: Random, seed: number): void {
  const outcome = (chunks: readonly Buffer[]) => {
    const log = new FrameLog({ joins: true });
    log.during = (line) => {
      if (line.startsWith("headers 3")) throw new StreamError(3, PROTOCOL_ERROR, "not this one");
    };
    return feed(chunks, log);
  };
  const whole = outcome([bytes]);
  assert.deepEqual(outcome(byteByByte(bytes)), whole, `seed ${seed}, byte by byte`);
  for (const longest of [5, 30, 700]) {
    assert.deepEqual(outcome(randomChunks(bytes, random, longest)), whole, `seed ${seed}`);
  }
}

describe("any split of the bytes gives the same calls", () => {
  it("for frames that are right", () => {
    for (let seed = 1; seed <= 150; seed++) {
      const random = seeded(seed);
      const frames = Array.from({ length: 12 }, () => randomFrame(random));
      hasOneMeaning(Buffer.concat(frames), random, seed);
    }
  });

  it("for frames that are garbled or cut off, and nothing but a ConnectionError is thrown", () => {
    for (let seed = 1; seed <= 400; seed++) {
      const random = seeded(seed);
      const frames = Array.from({ length: 6 }, () => randomFrame(random));
      const bytes = Buffer.concat(frames);
      for (let edits = 1 + Math.floor(random() * 3); edits > 0; edits--) {
        bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      }
      hasOneMeaning(bytes.subarray(0, Math.ceil(random() * bytes.length)), random, seed);
    }
  });

  it("for noise", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = seeded(seed);
      const bytes = Buffer.from(Array.from({ length: 300 }, () => Math.floor(random() * 256)));
      // Small lengths and types that exist: else the first header would end everything.
      for (let at = 0; at < 60; at += 1) if (random() < 0.6) bytes[at] = Math.floor(random() * 10);
      hasOneMeaning(bytes, random, seed);
    }
  });
});

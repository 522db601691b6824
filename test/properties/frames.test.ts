import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Conn } from "../../src/http/conn.ts";
import { FrameReader } from "../../src/http/h2/frame-reader.ts";
import { HpackDecoder } from "../../src/http/h2/hpack/decoder.ts";
import { HpackEncoder } from "../../src/http/h2/hpack/encoder.ts";
import { Outbox } from "../../src/http/h2/outbox.ts";
import { MemorySocket } from "../fuzz/memory-socket.ts";
import { FrameLog } from "../helpers/h2-frames.ts";
import { bytes, cut, fields, places } from "./arbitraries.ts";
import { check } from "./check.ts";

const RUNS = 600;
const READER = { frameBytes: 16_384, blockBytes: 1_000_000, continuations: 10_000 };
const NOBODY = { onBytes() {}, onFin() {}, onDrain() {}, onClose() {} };

const id = fc.integer({ min: 1, max: 0x7fff_ffff });
const word = fc.nat({ max: 0x7fff_ffff });
const code = fc.integer({ min: 0, max: 0xffff_ffff });
const setting = fc.tuple(fc.integer({ min: 0, max: 0xffff }), code);
const text = bytes.map((octets) => octets.toString("latin1"));
const content = fc.oneof(
  bytes,
  fc.nat(16_384).map((size) => Buffer.alloc(size, "content ")),
);

/** Writes down the field blocks as they are decoded. */
class DecodedLog extends FrameLog {
  readonly #decoder = new HpackDecoder({ tableBytes: 4_096, listBytes: 1e9, fields: 1e6 });

  constructor() {
    super({ joins: true });
  }

  override onHeaders(on: number, block: Buffer, start: number, end: number, last: boolean): void {
    this.fields(on, this.#decoder.decode(block, start, end), last);
  }

  fields(on: number, list: readonly string[], last: boolean): void {
    const line = Buffer.from(JSON.stringify(list), "latin1");
    super.onHeaders(on, line, 0, line.length, last, -1);
  }
}

/** Writes a frame, and tells what a reader has to say of it. */
type Step = (outbox: Outbox, encoder: HpackEncoder, expected: DecodedLog) => void;

const headers = fc.tuple(id, fields, fc.boolean(), fc.constantFrom(16_384, 1, 7, 100)).map(
  ([on, pairs, last, frameBytes]): Step =>
    (outbox, encoder, expected) => {
      outbox.headers(on, pairs.flat(), encoder, last, frameBytes);
      expected.fields(on, pairs.flat(), last);
    },
);

const data = fc.tuple(id, content, fc.boolean()).map(
  ([on, chunk, last]): Step =>
    (outbox, _, expected) => {
      outbox.data(on, chunk, 0, chunk.length, last);
      expected.onData(on, chunk, 0, chunk.length, chunk.length, last);
    },
);

const reset = fc.tuple(id, code).map(
  ([on, why]): Step =>
    (outbox, _, expected) => {
      outbox.reset(on, why);
      expected.onReset(on, why);
    },
);

const settings = fc.array(setting, { maxLength: 64 }).map(
  (entries): Step =>
    (outbox, _, expected) => {
      outbox.settings(entries);
      expected.onSettings(
        entries.map(([name]) => name),
        entries.map(([, value]) => value),
      );
    },
);

const settingsAck = fc.constant<Step>((outbox, _, expected) => {
  outbox.settingsAck();
  expected.onSettingsAck();
});

const ping = fc.tuple(fc.boolean(), fc.uint8Array({ minLength: 8, maxLength: 8 })).map(
  ([isAck, octets]): Step =>
    (outbox, _, expected) => {
      outbox.ping(isAck, Buffer.from(octets));
      expected.onPing(isAck, Buffer.from(octets), 0);
    },
);

const goaway = fc.tuple(word, code, text).map(([last, why, debug]): Step => {
  return (outbox, _, expected) => {
    outbox.goaway(last, why, debug);
    expected.onGoaway(last, why, debug.slice(0, 256));
  };
});

const windowUpdate = fc.tuple(word, word).map(
  ([on, by]): Step =>
    (outbox, _, expected) => {
      outbox.windowUpdate(on, by);
      expected.onWindowUpdate(on, by);
    },
);

const step = fc.oneof(headers, data, reset, settings, settingsAck, ping, goaway, windowUpdate);

test("frames that are written are read as they were, however the bytes are split", () => {
  const property = fc.property(fc.array(step, { maxLength: 20 }), places, (steps, at) => {
    const socket = new MemorySocket(false);
    const outbox = new Outbox(new Conn(NOBODY, () => socket.socket, false));
    const encoder = new HpackEncoder();
    const expected = new DecodedLog();
    for (const write of steps) write(outbox, encoder, expected);
    outbox.flush();
    const found = new DecodedLog();
    const reader = new FrameReader(found, READER);
    for (const chunk of cut(Buffer.concat(socket.sent), at)) reader.read(chunk, 0, chunk.length);
    socket.destroy();
    assert.deepEqual(found.lines, expected.lines);
    assert.equal(reader.insideBlock, false);
  });
  check(property, RUNS);
});

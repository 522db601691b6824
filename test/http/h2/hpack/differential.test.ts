import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { type Duplex, duplexPair } from "node:stream";
import { test } from "node:test";
import { seeded } from "../../../../src/core/random.ts";
import { HpackDecoder } from "../../../../src/http/h2/hpack/decoder.ts";
import { HpackEncoder } from "../../../../src/http/h2/hpack/encoder.ts";
import { until } from "../../../helpers/until.ts";
import { randomFields } from "./random-fields.ts";

/** The peer is nghttp2, which node:http2 is made of, over a stream in memory. */
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS = 4;
const HEADERS = 1;
const CONTINUATION = 9;
const END_STREAM = 1;
const END_HEADERS = 4;
const ACK = 1;
const BLOCKS = 300;
const LIMITS = { tableBytes: 65_536, listBytes: 1_000_000, fields: 1_000 };

function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

function tableSetting(bytes: number): Buffer {
  const payload = Buffer.alloc(6);
  payload.writeUInt16BE(1, 0);
  payload.writeUInt32BE(bytes, 2);
  return payload;
}

/** Calls back for every whole frame. */
function readFrames(
  from: Duplex,
  preface: string,
  onFrame: (type: number, flags: number, payload: Buffer) => void,
): void {
  let bytes = Buffer.alloc(0);
  let skip = preface.length;
  from.on("data", (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length < skip) return;
    bytes = bytes.subarray(skip);
    skip = 0;
    while (bytes.length >= 9) {
      const end = 9 + bytes.readUIntBE(0, 3);
      if (bytes.length < end) return;
      onFrame(bytes[3]!, bytes[4]!, bytes.subarray(9, end));
      bytes = bytes.subarray(end);
    }
  });
}

/** As Node gives and takes them: it joins or refuses a name that comes twice, and judges what some values say. */
function distinct(fields: readonly string[]): string[] {
  const seen = new Set(["te", "content-length"]);
  const kept: string[] = [];
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!;
    if (seen.has(name)) continue;
    seen.add(name);
    kept.push(name, fields[at + 1]!);
  }
  return kept;
}

const PSEUDO = [":method", "GET", ":scheme", "http", ":authority", "cart.shop"];

for (const tableBytes of [0, 120, 4_096, 65_536]) {
  test(`decodes what nghttp2 encodes with a table of ${tableBytes} octets`, async () => {
    const [near, far] = duplexPair();
    const random = seeded(tableBytes);
    const decoder = new HpackDecoder({ ...LIMITS, tableBytes });
    const decoded: (readonly string[])[] = [];
    let block = Buffer.alloc(0);
    let isAcknowledged = false;
    readFrames(far, PREFACE, (type, flags, payload) => {
      if (type === SETTINGS && (flags & ACK) !== 0) {
        decoder.settingsAcknowledged();
        isAcknowledged = true;
      }
      if (type !== HEADERS && type !== CONTINUATION) return;
      block = Buffer.concat([block, payload]);
      if ((flags & END_HEADERS) === 0) return;
      decoded.push(decoder.decode(block, 0, block.length));
      block = Buffer.alloc(0);
    });
    const session = http2.connect("http://cart.shop", { createConnection: () => near });
    const sent: (readonly string[])[] = [];
    const request = (): void => {
      const path = sent.length % 3 === 0 ? "/" : `/items/${sent.length}`;
      const fields = distinct(randomFields(random));
      sent.push([...PSEUDO, ":path", path, ...fields]);
      const headers: http2.OutgoingHttpHeaders = { ":method": "GET", ":scheme": "http" };
      headers[":authority"] = "cart.shop";
      headers[":path"] = path;
      for (let at = 0; at < fields.length; at += 2) headers[fields[at]!] = fields[at + 1]!;
      session.request(headers, { endStream: true }).on("error", () => {});
    };
    // Some before our SETTINGS, when the default holds.
    for (let count = 0; count < 10; count++) request();
    await until(() => decoded.length === sent.length);
    far.write(frame(SETTINGS, 0, 0, tableSetting(tableBytes)));
    far.write(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
    await until(() => isAcknowledged);
    while (sent.length < BLOCKS) {
      for (let count = 0; count < 10; count++) request();
      await until(() => decoded.length === sent.length);
    }
    assert.deepEqual(decoded, sent);
    session.destroy();
  });

  test(`nghttp2 decodes what we encode with its table of ${tableBytes} octets`, async () => {
    const [near, far] = duplexPair();
    const random = seeded(tableBytes + 1);
    const session = http2.performServerHandshake(near, {
      settings: { headerTableSize: tableBytes, maxHeaderListSize: 1_000_000 },
    });
    const decoded: (readonly string[])[] = [];
    session.on("stream", (stream, _headers, _flags, rawHeaders: string[]) => {
      stream.on("error", () => {});
      decoded.push(rawHeaders);
    });
    let failure: unknown = null;
    session.on("error", (error) => {
      failure = error;
    });
    const encoder = new HpackEncoder({ tableBytes: 16_384 });
    let isAnnounced = false;
    readFrames(far, "", (type, flags) => {
      if (type === SETTINGS && (flags & ACK) === 0) isAnnounced = true;
    });
    const sent: (readonly string[])[] = [];
    const request = (): void => {
      const path = sent.length % 3 === 0 ? "/" : `/items/${sent.length}`;
      const fields = [...PSEUDO, ":path", path, ...distinct(randomFields(random, 400))];
      const out = Buffer.alloc(HpackEncoder.maxBytes(fields));
      const block = out.subarray(0, encoder.encode(fields, out, 0));
      far.write(frame(HEADERS, END_STREAM | END_HEADERS, 2 * sent.length + 1, block));
      sent.push(fields);
    };
    far.write(Buffer.concat([Buffer.from(PREFACE), frame(SETTINGS, 0, 0, Buffer.alloc(0))]));
    await until(() => isAnnounced);
    far.write(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
    encoder.setPeerTableBytes(tableBytes);
    while (sent.length < BLOCKS) {
      for (let count = 0; count < 10; count++) request();
      await until(() => decoded.length === sent.length || failure !== null);
      assert.equal(failure, null);
    }
    assert.deepEqual(decoded, sent);
    session.destroy();
    if (!session.destroyed) await once(session, "close");
  });
}

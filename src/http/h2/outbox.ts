import { copyBuffers, Loan } from "../buffers.ts";
import type { Conn } from "../conn.ts";
import { type GatheredWriter, gatheredWrites } from "../gathered-writes.ts";
import { Kept } from "../kept.ts";
import {
  FLAG_ACK,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FRAME_CONTINUATION,
  FRAME_DATA,
  FRAME_GOAWAY,
  FRAME_HEADER_BYTES,
  FRAME_HEADERS,
  FRAME_PING,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_WINDOW_UPDATE,
} from "./codes.ts";
import { HpackEncoder } from "./hpack/encoder.ts";

/** With so many bytes a write costs little for each: they need not wait for more. One record of TLS. */
const FULL_BYTES = 16_384;

/** Bytes of one write: a little less than 64 KiB, for the reason that `READ_BYTES` of src/http/buffers.ts has. */
const WRITE_BYTES = 61_440;

/** From so many bytes on, a connection whose kernel takes no more is congested. Above `WRITE_BYTES`. */
const CONGESTED_BYTES = 65_536;

/** Of the debug data in a GOAWAY. */
const MAX_DEBUG_CHARS = 256;

const NOTHING = Buffer.alloc(0);

/**
 * Writes the frames of one connection (RFC 9113 sections 4 and 6): all its streams' frames of one turn of the event loop
 * leave in one write at its end, or in several full ones; under load those of a few turns (`GatheredWrites`). Everything is copied at once into a buffer of a pool, which is
 * cheaper than a write of its own even for a full frame; the buffer goes back when the kernel has the bytes.
 *
 * While the kernel takes no more, frames gather in one buffer however many turns that lasts, so that a peer that does not
 * read costs what it is sent and not a buffer for every few bytes. Then `onDrain` of the connection's handler is called
 * when all is out; it may come twice. Frames for a connection that is closed are dropped.
 *
 * Nothing else may write to the connection behind the first frame. `flush` comes before its `end` or `destroy`.
 */
export class Outbox implements GatheredWriter {
  readonly #conn: Conn;
  /** Frames that are gathered, `#used` bytes of them. */
  #buffer: Buffer | null = null;
  #used = 0;
  /** Of `#buffer`, once it has to stay for longer than a turn. */
  #held: Kept | null = null;
  /** Buffers that the socket still writes from. */
  readonly #unsent: Loan[] = [];
  /** Will `onGathered` be called? */
  #isQueued = false;
  /** Is `#onWritten` on its way? */
  #asked = false;
  /** Did the last write have to wait? Under TLS each does. */
  #isSlow = false;

  constructor(conn: Conn) {
    this.#conn = conn;
  }

  /** Bytes that are not handed to the kernel: gathered here, or waiting in the connection. */
  get pendingBytes(): number {
    return this.#used + this.#conn.pendingBytes;
  }

  /** More is waiting than should be: `onDrain` of the connection's handler is sure to come. */
  get congested(): boolean {
    // What is gathered and nothing more leaves in this turn: nobody would be told.
    return this.#conn.socket.writableLength > 0 && this.pendingBytes >= CONGESTED_BYTES;
  }

  /**
   * HEADERS, and CONTINUATION for what exceeds the peer's `frameBytes` (RFC 9113 sections 6.2 and 6.10). The block is
   * encoded now: the encoder's table has to change in the order of the frames.
   */
  headers(
    streamId: number,
    fields: readonly string[],
    encoder: HpackEncoder,
    last: boolean,
    frameBytes: number,
  ): void {
    const mostBytes = HpackEncoder.maxBytes(fields);
    if (FRAME_HEADER_BYTES + mostBytes > WRITE_BYTES) {
      const block = Buffer.allocUnsafe(mostBytes);
      const size = encoder.encode(fields, block, 0);
      this.#splitBlock(streamId, block.subarray(0, size), last, frameBytes);
      return;
    }
    const out = this.#reserve(FRAME_HEADER_BYTES + mostBytes);
    const start = this.#used + FRAME_HEADER_BYTES;
    const end = encoder.encode(fields, out, start);
    if (end - start > frameBytes) {
      this.#splitBlock(streamId, Buffer.from(out.subarray(start, end)), last, frameBytes);
      return;
    }
    const flags = FLAG_END_HEADERS | (last ? FLAG_END_STREAM : 0);
    writeHead(out, this.#used, end - start, FRAME_HEADERS, flags, streamId);
    this.#used = end;
  }

  #splitBlock(streamId: number, block: Buffer, last: boolean, frameBytes: number): void {
    let type = FRAME_HEADERS;
    let flags = last ? FLAG_END_STREAM : 0;
    let at = 0;
    do {
      const next = Math.min(at + frameBytes, block.length);
      if (next === block.length) flags |= FLAG_END_HEADERS;
      this.#begin(next - at, 0, type, flags, streamId);
      this.#copy(block, at, next);
      type = FRAME_CONTINUATION;
      flags = 0;
      at = next;
    } while (at < block.length);
  }

  /** One DATA frame with `chunk[start, end)`, at most as long as the peer's frames may be (RFC 9113 section 6.1). */
  data(streamId: number, chunk: Buffer, start: number, end: number, last: boolean): void {
    this.#begin(end - start, 0, FRAME_DATA, last ? FLAG_END_STREAM : 0, streamId);
    this.#copy(chunk, start, end);
  }

  /** RST_STREAM (RFC 9113 section 6.4). */
  reset(streamId: number, code: number): void {
    const out = this.#begin(4, 4, FRAME_RST_STREAM, 0, streamId);
    out.writeUInt32BE(code, this.#used - 4);
  }

  /** SETTINGS (RFC 9113 section 6.5). */
  settings(entries: readonly (readonly [id: number, value: number])[]): void {
    const length = 6 * entries.length;
    const out = this.#begin(length, length, FRAME_SETTINGS, 0, 0);
    let at = this.#used - length;
    for (const [id, value] of entries) {
      at = out.writeUInt16BE(id, at);
      at = out.writeUInt32BE(value, at);
    }
  }

  /** The acknowledgement of the peer's SETTINGS (RFC 9113 section 6.5.3). */
  settingsAck(): void {
    this.#begin(0, 0, FRAME_SETTINGS, FLAG_ACK, 0);
  }

  /** PING with the 8 octets from `start` (RFC 9113 section 6.7). */
  ping(isAck: boolean, bytes: Buffer, start = 0): void {
    const out = this.#begin(8, 8, FRAME_PING, isAck ? FLAG_ACK : 0, 0);
    bytes.copy(out, this.#used - 8, start, start + 8);
  }

  /** GOAWAY; `debug` is cut to 256 latin1 characters (RFC 9113 section 6.8). */
  goaway(lastStreamId: number, code: number, debug: string): void {
    const text = debug.slice(0, MAX_DEBUG_CHARS);
    const length = 8 + text.length;
    const out = this.#begin(length, length, FRAME_GOAWAY, 0, 0);
    const at = this.#used - length;
    out.writeUInt32BE(lastStreamId, at);
    out.writeUInt32BE(code, at + 4);
    out.write(text, at + 8, "latin1");
  }

  /** WINDOW_UPDATE, of the connection where `streamId` is 0 (RFC 9113 section 6.9). */
  windowUpdate(streamId: number, increment: number): void {
    const out = this.#begin(4, 4, FRAME_WINDOW_UPDATE, 0, streamId);
    out.writeUInt32BE(increment, this.#used - 4);
  }

  /** Writes what is gathered now and not at the end of the turn. */
  flush(): void {
    this.#ship();
  }

  /**
   * Begins a frame of `length` bytes. `inPlace` bytes behind its header lie in one piece: they end at `#used` of the buffer
   * that is returned.
   */
  #begin(length: number, inPlace: number, type: number, flags: number, streamId: number): Buffer {
    const out = this.#reserve(FRAME_HEADER_BYTES + inPlace);
    writeHead(out, this.#used, length, type, flags, streamId);
    this.#used += FRAME_HEADER_BYTES + inPlace;
    return out;
  }

  #copy(chunk: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      const out = this.#reserve(1);
      const next = Math.min(end, at + WRITE_BYTES - this.#used);
      chunk.copy(out, this.#used, at, next);
      this.#used += next - at;
      at = next;
    }
  }

  /** A buffer with room for `bytes`, at most `WRITE_BYTES`, at `#used`. */
  #reserve(bytes: number): Buffer {
    if (this.#used + bytes > WRITE_BYTES) this.#ship();
    if (this.#isQueued) gatheredWrites.note();
    else {
      this.#isQueued = true;
      gatheredWrites.add(this);
    }
    this.#buffer ??= copyBuffers.take();
    return this.#buffer;
  }

  get isFull(): boolean {
    return this.#used >= FULL_BYTES;
  }

  onGathered(): void {
    this.#isQueued = false;
    const { share, socket, closed } = this.#conn;
    if (closed || socket.writableEnded || socket.writableLength === 0) {
      this.#ship();
    } else if (this.#buffer !== null) {
      if (share !== null) this.#held ??= new Kept(share, this.#buffer.length);
      this.#ask();
    }
  }

  #ship(): void {
    const buffer = this.#buffer;
    if (buffer === null) return;
    const bytes = buffer.subarray(0, this.#used);
    this.#buffer = null;
    this.#used = 0;
    this.#held?.drop();
    this.#held = null;
    const { share, socket, closed } = this.#conn;
    if (closed || socket.writableEnded) {
      copyBuffers.give(buffer);
      return;
    }
    this.#conn.flush();
    // Writes mostly are at once, and a callback costs more than such a write; behind one that was not it is wanted.
    if (this.#isSlow && !this.#asked) {
      this.#asked = true;
      socket.write(bytes, this.#onWritten);
    } else {
      socket.write(bytes);
    }
    this.#isSlow = socket.writableLength > 0;
    if (this.#isSlow) {
      this.#unsent.push(new Loan(buffer, share));
      this.#ask();
    } else {
      copyBuffers.give(buffer);
    }
  }

  /** Has `#onWritten` called when all that was written so far is out. */
  #ask(): void {
    if (this.#asked) return;
    this.#asked = true;
    const { socket } = this.#conn;
    // Behind the end nothing may be written; a second `end` does nothing but call back.
    if (socket.writableEnded) socket.end(this.#onWritten);
    else socket.write(NOTHING, this.#onWritten);
  }

  readonly #onWritten = (): void => {
    this.#asked = false;
    const { socket, closed, handler } = this.#conn;
    if (!closed && socket.writableLength > 0) {
      this.#ask();
      return;
    }
    while (this.#unsent.length > 0) this.#unsent.pop()?.giveBack();
    // A turn that is not over goes on gathering.
    if (!this.#isQueued) this.#ship();
    if (!closed && socket.writableLength === 0) handler.onDrain();
  };
}

/** The nine octets before a payload (RFC 9113 section 4.1). */
function writeHead(
  out: Buffer,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  out[at] = length >>> 16;
  out[at + 1] = length >>> 8;
  out[at + 2] = length;
  out[at + 3] = type;
  out[at + 4] = flags;
  out[at + 5] = streamId >>> 24;
  out[at + 6] = streamId >>> 16;
  out[at + 7] = streamId >>> 8;
  out[at + 8] = streamId;
}

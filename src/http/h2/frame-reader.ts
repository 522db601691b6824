import { BlockBuffer } from "./block-buffer.ts";
import {
  ENHANCE_YOUR_CALM,
  FLAG_ACK,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FLAG_PADDED,
  FRAME_CONTINUATION,
  FRAME_DATA,
  FRAME_GOAWAY,
  FRAME_HEADER_BYTES,
  FRAME_HEADERS,
  FRAME_PING,
  FRAME_PRIORITY,
  FRAME_PUSH_PROMISE,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_WINDOW_UPDATE,
  PROTOCOL_ERROR,
} from "./codes.ts";
import { ConnectionError, StreamError } from "./errors.ts";
import type { FrameHandler } from "./frame-handler.ts";
import { checkFrame, checkSequence, prefixBytes, tooLarge } from "./frame-rules.ts";

/** Limits of what a peer may send in one piece. */
export interface FrameLimits {
  /** Payload of a frame: our SETTINGS_MAX_FRAME_SIZE. */
  readonly frameBytes: number;
  /** A field block over all its frames, as it is coded. */
  readonly blockBytes: number;
  /** CONTINUATION frames of one field block. */
  readonly continuations: number;
}

/** Entries of one SETTINGS frame: each is work, and there are seven that mean something (CVE-2020-11080). */
const MAX_SETTINGS = 64;

/** Of the debug data in a GOAWAY. */
const MAX_DEBUG_BYTES = 256;

/** The largest part that is needed in one piece: a full SETTINGS. */
const PIECE_BYTES = 6 * MAX_SETTINGS;

const EMPTY: Buffer = Buffer.alloc(0);

/** Where in a frame the reader stands. */
const HEAD = 0;
/** Pad length and priority. */
const PREFIX = 1;
const DATA = 2;
const BLOCK = 3;
/** A frame whose payload is small and read at once. */
const CONTROL = 4;
const SKIP = 5;
/** An error was thrown that leaves nothing to go on with. */
const BROKEN = 6;

/**
 * Reads the frames of one peer (RFC 9113 sections 4 and 6), without its connection preface, and does every check that needs
 * no knowledge of streams. Content of DATA is handed over in place as it arrives; of other frames only what is cut by the
 * end of a chunk is copied. Memory is bounded by the limits, and grows with what has come, not with what is announced.
 */
export class FrameReader {
  readonly #handler: FrameHandler;
  readonly #limits: FrameLimits;
  #state = HEAD;
  /** Position in the chunk that is being read. */
  #at = 0;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  /** What is to come of the payload, or of the part of it that the state names. */
  #left = 0;
  /** Padding, or what else is behind that part. */
  #behind = 0;
  /** The pad length octet of DATA, until a piece takes it along. */
  #unreported = 0;
  /** A part that is needed in one piece and was cut: allocated by the first. */
  #piece: Buffer = EMPTY;
  #pieceBytes = 0;
  /** Where the piece lies that was completed. */
  #pieceStart = 0;
  /** Stream of the field block that has begun; 0: none. */
  #blockStreamId = 0;
  #isBlockLast = false;
  #dependsOn = -1;
  readonly #block: BlockBuffer;
  #continuations = 0;

  constructor(handler: FrameHandler, limits: FrameLimits) {
    this.#handler = handler;
    this.#limits = limits;
    this.#block = new BlockBuffer(limits.blockBytes);
  }

  /** Has a field block begun, and its end has not come? */
  get insideBlock(): boolean {
    return this.#blockStreamId !== 0;
  }

  /**
   * Takes `chunk[start, end)`; the chunk is not kept. Any split of the bytes gives the same calls, but for where pieces of
   * DATA are cut. Throws `ConnectionError`, and whatever else the handler throws but for `StreamError`; what comes then is
   * ignored.
   */
  read(chunk: Buffer, start: number, end: number): void {
    this.#at = start;
    // Each state is left before the handler is called, so that the reading goes on behind whatever was wrong.
    while (this.#at < end && this.#state !== BROKEN) {
      try {
        this.#readFrames(chunk, end);
      } catch (error) {
        if (!(error instanceof StreamError)) {
          this.#break();
          throw error;
        }
        this.#report(error);
      }
    }
  }

  #report(error: StreamError): void {
    try {
      this.#handler.onStreamError(error);
    } catch (thrown) {
      this.#break();
      throw thrown;
    }
  }

  #break(): void {
    this.#state = BROKEN;
    this.#block.clear();
    this.#blockStreamId = 0;
  }

  #readFrames(chunk: Buffer, end: number): void {
    while (this.#at < end) {
      if (this.#state === HEAD) this.#readHead(chunk, end);
      else this.#readPayload(chunk, end);
    }
  }

  #readHead(chunk: Buffer, end: number): void {
    const head = this.#gather(chunk, end, FRAME_HEADER_BYTES);
    if (head === null) return;
    const at = this.#pieceStart;
    const length = (head[at]! << 16) | (head[at + 1]! << 8) | head[at + 2]!;
    const type = head[at + 3]!;
    const flags = head[at + 4]!;
    const streamId = id(head, at + 5);
    if (length > this.#limits.frameBytes) {
      throw tooLarge(length, head.toString("latin1", at, at + FRAME_HEADER_BYTES));
    }
    if (this.#blockStreamId !== 0 || type === FRAME_CONTINUATION) {
      checkSequence(type, streamId, this.#blockStreamId);
    }
    this.#type = type;
    this.#flags = flags;
    this.#streamId = streamId;
    this.#expect(SKIP, length, 0);
    checkFrame(type, length, flags, streamId);
    this.#begin(type, length, flags);
    // Payloads without a byte are complete with their header.
    if (this.#state !== HEAD) this.#readPayload(chunk, end);
  }

  /** `bytes` are to come for the state, and `behind` bytes of the same frame that are skipped. */
  #expect(state: number, bytes: number, behind: number): void {
    this.#state = state === SKIP && bytes === 0 ? HEAD : state;
    this.#left = bytes;
    this.#behind = behind;
  }

  #begin(type: number, length: number, flags: number): void {
    switch (type) {
      case FRAME_DATA:
      case FRAME_HEADERS: {
        if (type === FRAME_HEADERS) this.#beginBlock(flags);
        const prefix = prefixBytes(type, flags);
        if (prefix > 0) this.#expect(PREFIX, prefix, length - prefix);
        else this.#beginContent(length, 0);
        break;
      }
      case FRAME_CONTINUATION:
        this.#continuations += 1;
        if (this.#continuations > this.#limits.continuations) {
          throw new ConnectionError(
            ENHANCE_YOUR_CALM,
            `more than ${this.#limits.continuations} CONTINUATION frames`,
          );
        }
        this.#beginContent(length, 0);
        break;
      case FRAME_SETTINGS:
        if (length > PIECE_BYTES) {
          throw new ConnectionError(ENHANCE_YOUR_CALM, `${length / 6} settings in one frame`);
        }
        this.#expect(CONTROL, length, 0);
        break;
      case FRAME_GOAWAY: {
        const taken = Math.min(length, 8 + MAX_DEBUG_BYTES);
        this.#expect(CONTROL, taken, length - taken);
        break;
      }
      case FRAME_PUSH_PROMISE:
        this.#handler.onPushPromise(this.#streamId);
        break;
      case FRAME_PRIORITY:
      case FRAME_RST_STREAM:
      case FRAME_PING:
      case FRAME_WINDOW_UPDATE:
        this.#expect(CONTROL, length, 0);
        break;
      default:
        this.#handler.onUnknown(type);
    }
  }

  #beginBlock(flags: number): void {
    this.#blockStreamId = this.#streamId;
    this.#isBlockLast = (flags & FLAG_END_STREAM) !== 0;
    this.#dependsOn = -1;
    this.#continuations = 0;
  }

  /** Behind the prefix: the content of DATA or a fragment of a field block. */
  #beginContent(bytes: number, padding: number): void {
    if (this.#type === FRAME_DATA) {
      this.#expect(DATA, bytes, padding);
      return;
    }
    this.#block.mustHold(bytes);
    this.#expect(BLOCK, bytes, padding);
  }

  #readPayload(chunk: Buffer, end: number): void {
    switch (this.#state) {
      case PREFIX:
        this.#readPrefix(chunk, end);
        break;
      case DATA:
        this.#readData(chunk, end);
        break;
      case BLOCK:
        this.#readFragment(chunk, end);
        break;
      case CONTROL:
        this.#readControl(chunk, end);
        break;
      case SKIP: {
        const skipped = Math.min(this.#left, end - this.#at);
        this.#at += skipped;
        this.#expect(SKIP, this.#left - skipped, 0);
        break;
      }
    }
  }

  #readPrefix(chunk: Buffer, end: number): void {
    const prefix = this.#gather(chunk, end, this.#left);
    if (prefix === null) return;
    const isPadded = (this.#flags & FLAG_PADDED) !== 0;
    const padding = isPadded ? prefix[this.#pieceStart]! : 0;
    if (this.#left >= 5) this.#dependsOn = id(prefix, this.#pieceStart + (isPadded ? 1 : 0));
    const content = this.#behind - padding;
    if (content < 0) throw new ConnectionError(PROTOCOL_ERROR, "more padding than payload");
    if (this.#type === FRAME_DATA) this.#unreported = 1;
    this.#beginContent(content, padding);
    this.#readPayload(chunk, end);
  }

  #readData(chunk: Buffer, end: number): void {
    const from = this.#at;
    const content = Math.min(this.#left, end - from);
    const padding = Math.min(this.#behind, end - from - content);
    const left = this.#left - content;
    const behind = this.#behind - padding;
    const isDone = left + behind === 0;
    if (content + padding === 0 && !isDone) return;
    const flowBytes = content + padding + this.#unreported;
    this.#unreported = 0;
    this.#at = from + content + padding;
    this.#expect(isDone ? HEAD : DATA, left, behind);
    const last = isDone && (this.#flags & FLAG_END_STREAM) !== 0;
    this.#handler.onData(this.#streamId, chunk, from, from + content, flowBytes, last);
  }

  #readFragment(chunk: Buffer, end: number): void {
    const from = this.#at;
    const isLastFrame = (this.#flags & FLAG_END_HEADERS) !== 0;
    if (isLastFrame && this.#block.length === 0 && this.#left <= end - from) {
      this.#at = from + this.#left;
      this.#endBlock(chunk, from, this.#at);
      return;
    }
    const taken = Math.min(this.#left, end - from);
    this.#block.keep(chunk, from, from + taken);
    this.#at = from + taken;
    this.#left -= taken;
    if (this.#left > 0) return;
    if (isLastFrame) this.#endBlock(this.#block.bytes, 0, this.#block.length);
    else this.#expect(SKIP, this.#behind, 0);
  }

  #endBlock(block: Buffer, start: number, end: number): void {
    const streamId = this.#blockStreamId;
    this.#blockStreamId = 0;
    this.#block.clear();
    this.#expect(SKIP, this.#behind, 0);
    this.#handler.onHeaders(streamId, block, start, end, this.#isBlockLast, this.#dependsOn);
  }

  #readControl(chunk: Buffer, end: number): void {
    const bytes = this.#left;
    const payload = this.#gather(chunk, end, bytes);
    if (payload === null) return;
    const at = this.#pieceStart;
    this.#expect(SKIP, this.#behind, 0);
    switch (this.#type) {
      case FRAME_PRIORITY:
        this.#handler.onPriority(this.#streamId, id(payload, at));
        break;
      case FRAME_RST_STREAM:
        this.#handler.onReset(this.#streamId, payload.readUInt32BE(at));
        break;
      case FRAME_SETTINGS:
        this.#readSettings(payload, at, at + bytes);
        break;
      case FRAME_PING:
        this.#handler.onPing((this.#flags & FLAG_ACK) !== 0, payload, at);
        break;
      case FRAME_GOAWAY: {
        const debug = payload.toString("latin1", at + 8, at + bytes);
        this.#handler.onGoaway(id(payload, at), payload.readUInt32BE(at + 4), debug);
        break;
      }
      case FRAME_WINDOW_UPDATE:
        this.#handler.onWindowUpdate(this.#streamId, id(payload, at));
        break;
    }
  }

  #readSettings(payload: Buffer, start: number, end: number): void {
    if ((this.#flags & FLAG_ACK) !== 0) {
      this.#handler.onSettingsAck();
      return;
    }
    const ids: number[] = [];
    const values: number[] = [];
    for (let at = start; at < end; at += 6) {
      ids.push(payload.readUInt16BE(at));
      values.push(payload.readUInt32BE(at + 2));
    }
    this.#handler.onSettings(ids, values);
  }

  /** The next `bytes` in one piece, which begins at `#pieceStart` of the result; null: they have not all come. */
  #gather(chunk: Buffer, end: number, bytes: number): Buffer | null {
    const at = this.#at;
    if (this.#pieceBytes === 0 && end - at >= bytes) {
      this.#at = at + bytes;
      this.#pieceStart = at;
      return chunk;
    }
    if (this.#piece.length === 0) this.#piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
    const taken = Math.min(bytes - this.#pieceBytes, end - at);
    chunk.copy(this.#piece, this.#pieceBytes, at, at + taken);
    this.#at = at + taken;
    this.#pieceBytes += taken;
    if (this.#pieceBytes < bytes) return null;
    this.#pieceBytes = 0;
    this.#pieceStart = 0;
    return this.#piece;
  }
}

/** 31 bits behind one that is reserved or a flag of the priority. */
function id(bytes: Buffer, at: number): number {
  return (
    ((bytes[at]! & 0x7f) << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  );
}

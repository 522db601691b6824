import {
  FLAG_ACK,
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
} from "./codes.ts";
import { ConnectionError, StreamError } from "./errors.ts";

/** Whether a frame type belongs to a stream, to the connection, or to either. */
const ON_STREAM = 1;
const ON_CONNECTION = 2;
const ON_EITHER = 3;

interface TypeRules {
  readonly name: string;
  readonly place: number;
}

/** By frame type. */
const RULES: readonly TypeRules[] = [
  { name: "DATA", place: ON_STREAM },
  { name: "HEADERS", place: ON_STREAM },
  { name: "PRIORITY", place: ON_STREAM },
  { name: "RST_STREAM", place: ON_STREAM },
  { name: "SETTINGS", place: ON_CONNECTION },
  { name: "PUSH_PROMISE", place: ON_STREAM },
  { name: "PING", place: ON_CONNECTION },
  { name: "GOAWAY", place: ON_CONNECTION },
  { name: "WINDOW_UPDATE", place: ON_EITHER },
  { name: "CONTINUATION", place: ON_STREAM },
];

/**
 * Judges a frame by its header alone: is it where it may be, and can its size be right (RFC 9113 sections 4.2 and 6)?
 * Throws `ConnectionError`; `StreamError` for the one size that concerns the stream only, PRIORITY's. Types that are
 * unknown have no rules.
 */
export function checkFrame(type: number, length: number, flags: number, streamId: number): void {
  const rules = RULES[type];
  if (rules === undefined) return;
  if ((rules.place & (streamId === 0 ? ON_CONNECTION : ON_STREAM)) === 0) {
    throw new ConnectionError(PROTOCOL_ERROR, `${rules.name} on stream ${streamId}`);
  }
  if (isSizeRight(type, length, flags)) return;
  const detail = `${rules.name} of ${length} bytes`;
  if (type === FRAME_PRIORITY) throw new StreamError(streamId, FRAME_SIZE_ERROR, detail);
  throw new ConnectionError(FRAME_SIZE_ERROR, detail);
}

function isSizeRight(type: number, length: number, flags: number): boolean {
  switch (type) {
    case FRAME_DATA:
    case FRAME_HEADERS:
      return length >= prefixBytes(type, flags);
    case FRAME_PRIORITY:
      return length === 5;
    case FRAME_RST_STREAM:
    case FRAME_WINDOW_UPDATE:
      return length === 4;
    case FRAME_SETTINGS:
      return (flags & FLAG_ACK) === 0 ? length % 6 === 0 : length === 0;
    case FRAME_PUSH_PROMISE:
      return length >= 4;
    case FRAME_PING:
      return length === 8;
    case FRAME_GOAWAY:
      return length >= 8;
    default:
      return true;
  }
}

/** What a `ConnectionError` says where the peer speaks HTTP/1: its status line begins like a frame of 4,740,180 bytes. */
export const HTTP1_ANSWER = "an answer of HTTP/1";

/** A frame beyond our SETTINGS_MAX_FRAME_SIZE (RFC 9113 section 4.2); `header` as latin1. */
export function tooLarge(length: number, header: string): ConnectionError {
  const what = header.startsWith("HTTP/1.") ? HTTP1_ANSWER : `a frame of ${length} bytes`;
  return new ConnectionError(FRAME_SIZE_ERROR, what);
}

/** Bytes before the content of DATA and the fragment of HEADERS: the pad length, then the priority. */
export function prefixBytes(type: number, flags: number): number {
  const padded = (flags & FLAG_PADDED) !== 0 ? 1 : 0;
  return type === FRAME_HEADERS && (flags & FLAG_PRIORITY) !== 0 ? padded + 5 : padded;
}

/** What is wrong with a frame of this type between HEADERS and the end of its block; 0: no block is open. */
export function checkSequence(type: number, streamId: number, blockStreamId: number): void {
  const isContinuation = type === FRAME_CONTINUATION;
  if (blockStreamId === 0 && !isContinuation) return;
  if (blockStreamId !== 0 && isContinuation && streamId === blockStreamId) return;
  const name = RULES[type]?.name ?? `a frame of type ${type}`;
  const where =
    blockStreamId === 0
      ? "without an open field block"
      : `inside the field block of stream ${blockStreamId}`;
  throw new ConnectionError(PROTOCOL_ERROR, `${name} on stream ${streamId} ${where}`);
}

import {
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FRAME_DATA,
  FRAME_HEADERS,
} from "../../src/http/h2/codes.ts";
import { fieldBlock, frameStart, octets } from "../h2/frame-text.ts";

/** The kinds of answers. `grpc`: one message with a body of the size, and its status in trailers. */
export type H2Kind = "http2" | "grpc";

/** The frames of an answer, all but the ids of its stream. */
export interface H2Answer {
  readonly head: string;
  readonly headBlock: string;
  /** Content of one message: the prefix of gRPC and the body. */
  readonly contentBytes: number;
  /** Before the body: a gRPC message's flag and length. */
  readonly prefix: string;
}

/** Sizes whose answers are kept; a load asks for one. */
const KEPT = 64;

/** RFC 7541 appendix A. */
const STATUS_200 = "\x88";
const TRAILERS = fieldBlock([["grpc-status", "0"]]);
const TRAILERS_START = frameStart(
  TRAILERS.length,
  FRAME_HEADERS,
  FLAG_END_HEADERS | FLAG_END_STREAM,
);

/** Heads of answers in HTTP/2, made once for each size and second; see Answers. */
export class H2Answers {
  readonly #kept: Record<H2Kind, Map<number, H2Answer>> = { http2: new Map(), grpc: new Map() };
  #date = new Date().toUTCString();
  #marked = 0;

  /** A second is over. */
  refresh(): void {
    this.#date = new Date().toUTCString();
    for (const kept of Object.values(this.#kept)) kept.clear();
  }

  answer(kind: H2Kind, size: number, isMarked: boolean): H2Answer {
    if (isMarked) return this.#make(kind, size, [["x-answer-id", String(this.#marked++)]]);
    const kept = this.#kept[kind];
    const known = kept.get(size);
    if (known !== undefined) return known;
    if (kept.size >= KEPT) kept.clear();
    const made = this.#make(kind, size, []);
    kept.set(size, made);
    return made;
  }

  #make(kind: H2Kind, size: number, extra: readonly [string, string][]): H2Answer {
    const isGrpc = kind === "grpc";
    const block =
      STATUS_200 +
      fieldBlock([
        ["server", "upstream"],
        ["date", this.#date],
        ["content-type", isGrpc ? "application/grpc" : "application/octet-stream"],
        ...extra,
        ...(isGrpc ? [] : ([["content-length", String(size)]] as const)),
      ]);
    const isAll = !isGrpc && size === 0;
    const flags = FLAG_END_HEADERS | (isAll ? FLAG_END_STREAM : 0);
    const prefix = isGrpc ? `\0${octets(size, 4)}` : "";
    return {
      head: frameStart(block.length, FRAME_HEADERS, flags),
      headBlock: block,
      contentBytes: prefix.length + size,
      prefix,
    };
  }
}

/** A DATA frame's header. */
export function dataStart(length: number, isLast: boolean): string {
  return frameStart(length, FRAME_DATA, isLast ? FLAG_END_STREAM : 0);
}

/** The end of a gRPC answer, on a stream whose id has this text. */
export function trailersFrame(idText: string): string {
  return TRAILERS_START + idText + TRAILERS;
}

import type { Socket } from "node:net";
import { ChunkedDecoder } from "../../../src/http/h1/chunked.ts";
import { PatternCheck } from "./pattern.ts";

export interface Head {
  readonly firstLine: string;
  /** -1: chunked. */
  readonly contentLength: number;
}

export interface ReaderHandler {
  /** Returns where in the pattern the content begins. */
  onHead(head: Head): number;
  /** The body was complete and right. */
  onBody(bytes: number): void;
  onWrong(error: unknown): void;
}

/** When a reader does not read: at first, and then for a moment after every so many bytes. */
export interface Pauses {
  readonly firstMs: number;
  readonly everyBytes: number;
  readonly thenMs: number;
}

const LIMITS = { trailerBytes: 1_024, headerCount: 10 };

/** Reads messages whose content is the pattern, slowly if it is told to. */
export function readBodies(socket: Socket, handler: ReaderHandler, pauses: Pauses | null): void {
  let text = "";
  let head: Head | null = null;
  let check = new PatternCheck(0);
  let decoder = new ChunkedDecoder(LIMITS, "response");
  let nextPause = 0;

  const takeBody = (chunk: Buffer, start: number, expected: number): void => {
    if (expected >= 0) check.take(chunk, start, chunk.length);
    else decoder.feed(chunk, start, chunk.length, (bytes, from, to) => check.take(bytes, from, to));
    if (expected >= 0 ? check.position < expected : !decoder.done) return;
    const bytes = check.position;
    head = null;
    text = "";
    handler.onBody(bytes);
  };

  const take = (chunk: Buffer): void => {
    let start = 0;
    if (head === null) {
      const before = text.length;
      text += chunk.toString("latin1");
      const end = text.indexOf("\r\n\r\n");
      if (end === -1) return;
      const length = /\r\nContent-Length: (\d+)/i.exec(text.slice(0, end))?.[1];
      const firstLine = text.slice(0, text.indexOf("\r\n"));
      const hasBody = length !== undefined || /\r\nTransfer-Encoding: chunked/i.test(text);
      start = end + 4 - before;
      text = "";
      const found = { firstLine, contentLength: length === undefined ? -1 : Number(length) };
      check = new PatternCheck(handler.onHead(found));
      if (!hasBody) return;
      head = found;
      decoder = new ChunkedDecoder(LIMITS, "response");
      if (pauses !== null) {
        nextPause = pauses.everyBytes;
        pause(pauses.firstMs);
      }
    }
    takeBody(chunk, start, head?.contentLength ?? -1);
    if (pauses !== null && check.position > nextPause) {
      nextPause = check.position + pauses.everyBytes;
      pause(pauses.thenMs);
    }
  };

  const pause = (ms: number): void => {
    socket.pause();
    setTimeout(() => socket.resume(), ms);
  };

  socket.on("data", (chunk) => {
    try {
      take(chunk);
    } catch (error) {
      handler.onWrong(error);
    }
  });
}

import { fstatSync, write } from "node:fs";
import type { WriteChunk } from "./line-writer.ts";

/** What the kernel writes to a pipe in one piece (PIPE_BUF of pipe(7) on Linux). */
const PIPE_BUF = 4_096;
/** A full pipe that does not block is tried again after this. */
const RETRY_MS = 10;
const NEWLINE = 0x0a;

/**
 * Writes batches of lines to a file descriptor that several threads share. Files take a batch whole;
 * pipes and sockets get pieces of whole lines of at most 4 KiB, so that lines of different threads do
 * not mix. The calls run on libuv's threads: a reader that stopped never holds the event loop up.
 */
export function fdWriter(fd: number): WriteChunk {
  const pieceBytes = fstatSync(fd).isFile() ? Number.POSITIVE_INFINITY : PIPE_BUF;
  const from = (chunk: Uint8Array, at: number, done: (error: Error | null) => void): void => {
    const end = pieceEnd(chunk, at, pieceBytes);
    write(fd, chunk, at, end - at, null, (error, written) => {
      if (error?.code === "EAGAIN") setTimeout(() => from(chunk, at, done), RETRY_MS).unref();
      else if (error !== null) done(error);
      else if (at + written >= chunk.length) done(null);
      else from(chunk, at + written, done);
    });
  };
  return (chunk, done) => from(chunk, 0, done);
}

/** The end of the last line that fits, or of the first one where even that is too long. */
function pieceEnd(chunk: Uint8Array, from: number, pieceBytes: number): number {
  if (chunk.length - from <= pieceBytes) return chunk.length;
  const last = chunk.subarray(from, from + pieceBytes).lastIndexOf(NEWLINE);
  if (last !== -1) return from + last + 1;
  const first = chunk.indexOf(NEWLINE, from);
  return first === -1 ? chunk.length : first + 1;
}

import assert from "node:assert/strict";
import { MeshError } from "../../src/core/errors.ts";
import { HeadReader } from "../../src/http/h1/head-reader.ts";
import type { Side } from "../../src/http/h1/malformed.ts";
import { parseRequestHead, parseResponseHead } from "../../src/http/h1/parser.ts";
import type { RequestHead, ResponseHead } from "../../src/http/message.ts";

export const LIMITS = { headBytes: 61_440, requestLineBytes: 8_192, headerCount: 100 };

/** Bytes of a text with one character per byte. */
export function latin1(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

/** The text of the first head in the chunks, or null where they end inside it. */
export function readHead(chunks: readonly Buffer[], side: Side, limits = LIMITS): string | null {
  const reader = new HeadReader(limits, side);
  for (const chunk of chunks) {
    // Surrounded by other bytes, as in a read buffer that is used again and again.
    const buffer = Buffer.concat([latin1("\r\n\r\n"), chunk, latin1("\r\n\r\n")]);
    if (reader.read(buffer, 4, 4 + chunk.length) !== -1) return reader.text;
    buffer.fill(0);
  }
  return null;
}

export function parseRequest(chunks: readonly Buffer[], limits = LIMITS): RequestHead {
  const text = readHead(chunks, "request", limits);
  assert.notEqual(text, null, "the request head has no end");
  return parseRequestHead(text ?? "", limits);
}

export function parseResponse(
  chunks: readonly Buffer[],
  method = "GET",
  limits = LIMITS,
): ResponseHead {
  const text = readHead(chunks, "response", limits);
  assert.notEqual(text, null, "the response head has no end");
  return parseResponseHead(text ?? "", method, limits);
}

/** The MeshError that the action throws. */
export function meshErrorOf(action: () => unknown): MeshError {
  try {
    action();
  } catch (error) {
    if (error instanceof MeshError) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: "nothing was refused" });
}

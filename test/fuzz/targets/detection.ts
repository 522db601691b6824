import assert from "node:assert/strict";
import { MeshError } from "../../../src/core/errors.ts";
import { parseRequestHead } from "../../../src/http/h1/parser.ts";
import { classify, FirstLine } from "../../../src/proxy/downstream/protocol.ts";
import { byteByByte, randomChunks } from "../../helpers/chunks.ts";
import { LIMITS, readHead } from "../../helpers/heads.ts";
import { mutator } from "../mutate.ts";
import { requestsOf } from "../node-parser.ts";
import { scaleOf } from "../outcome.ts";
import { below, randomOf } from "../random-of.ts";
import type { Target } from "../target.ts";

const TOKENS = [
  ...[
    "GET ",
    "POST ",
    "CONNECT ",
    "OPTIONS ",
    "PRI * HTTP/2.0\r\n",
    "M-SEARCH ",
    "get ",
    "SOURCE ",
  ],
  ...["/", "*", "http://a/", "a:1", " HTTP/1.1", " HTTP/1.0", " http/1.1", " RTSP/1.0", " ICE/1.0"],
  ...[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x85",
    "\xa0",
    "\0",
    "\x16\x03\x01",
  ],
  ...["Host: a\r\n", "PING\r\n", "*1\r\n$4\r\n", "SSH-2.0-a\r\n", "{}", ": "],
];

/** What is made of bytes that come in these chunks; `more` where they do not tell. */
function verdict(chunks: readonly Buffer[]): string {
  let text = "";
  for (const chunk of chunks) {
    text += chunk.toString("latin1");
    const found = classify(text);
    if (found !== "more") return found;
  }
  return "more";
}

/** Is nothing of it held back as a part of a request? */
function passes(chunks: readonly Buffer[]): boolean {
  const line = new FirstLine();
  return chunks.every((chunk) => line.mayPass(chunk, 0, chunk.length));
}

/** Does our own parser take it for a request? */
function isOurs(input: Buffer): boolean {
  try {
    const text = readHead([input], "request");
    if (text === null) return false;
    parseRequestHead(text, LIMITS);
    return true;
  } catch (error) {
    assert.ok(error instanceof MeshError, `threw ${error}`);
    return false;
  }
}

/**
 * `classify`: never `opaque` for what our parser of requests accepts, nor for what Node's does at its most lenient, since a
 * connection of bytes carries identity headers as they come; and any split of the bytes leads to the same verdict.
 */
export const detection: Target = {
  name: "detection",
  mutate: mutator(TOKENS),
  run(input) {
    const random = randomOf(input);
    const whole = verdict([input]);
    const chunks = randomChunks(input, random, 1 + below(random, 40));
    assert.equal(verdict(chunks), whole);
    assert.equal(passes(chunks), whole !== "http");
    assert.equal(passes([input]), whole !== "http");
    if (input.length < 300) assert.equal(verdict(byteByByte(input)), whole);
    const ours = isOurs(input);
    if (ours) assert.equal(whole, "http", "the parser accepts it");
    const theirs = requestsOf(input.toString("latin1"), { lenient: true });
    // At its most lenient Node ends lines by a bare CR, too, where more is waited for here.
    if (theirs.length > 0) assert.notEqual(whole, "opaque", "Node accepts it");
    return `${whole} ${ours} ${scaleOf(theirs.length)} ${scaleOf(input.length)}`;
  },
};

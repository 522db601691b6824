import assert from "node:assert/strict";
import { MeshError } from "../../../src/core/errors.ts";
import { HeadReader } from "../../../src/http/h1/head-reader.ts";
import type { Side } from "../../../src/http/h1/malformed.ts";
import { parseRequestHead, parseResponseHead } from "../../../src/http/h1/parser.ts";
import type { RequestHead, ResponseHead } from "../../../src/http/message.ts";
import { byteByByte, randomChunks } from "../../helpers/chunks.ts";
import { checkForwardedRequest, checkForwardedResponse } from "../../helpers/forwarded-heads.ts";
import { readHead } from "../../helpers/heads.ts";
import { mutator } from "../mutate.ts";
import { requestsOf } from "../node-parser.ts";
import { kindOf } from "../outcome.ts";
import { below, randomOf } from "../random-of.ts";
import type { Target } from "../target.ts";

/** Small, so that they are met. */
const LIMITS = { headBytes: 4_096, requestLineBytes: 512, headerCount: 40 };

const TOKENS = [
  ...[
    "\r\n",
    "\r",
    "\n",
    "\r\n\r\n",
    "\r\n ",
    "\0",
    " ",
    "\t",
    ":",
    ",",
    ", ",
    "\xe9",
    "%00",
    "%2e",
    "\\",
  ],
  ...[
    "GET ",
    "CONNECT a:1",
    "OPTIONS *",
    "HEAD ",
    "http://b/",
    "HTTP/1.0",
    "HTTP/1.1",
    "HTTP/1.2",
    "HTTP/2.0",
  ],
  ...[
    "Host: b\r\n",
    "Host: [::1]:80\r\n",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
  ],
  ...[
    "Transfer-Encoding: gzip, chunked\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive, x-hop\r\n",
  ],
  ...["Connection: upgrade\r\nUpgrade: websocket\r\n", "Upgrade: h2c\r\n", "TE: trailers\r\n"],
  ...[
    "Expect: 100-continue\r\n",
    "Via: 1.1 a\r\n",
    "X-Request-Id: a\r\n",
    "traceparent: 00-a-b-01\r\n",
  ],
  ...[
    "Proxy-Authorization: a\r\n",
    "X-Forwarded-For: 1.2.3.4\r\n",
    "X-Hop: a\r\n",
    "Keep-Alive: 5\r\n",
  ],
  ...[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n",
    "304",
    "204",
    "100",
    "chunked",
  ],
];

type Head = RequestHead | ResponseHead;

interface Taken {
  readonly text: string | null;
  readonly head: Head | null;
  /** Of the `MeshError`. */
  readonly code: string;
}

/** What is read of bytes that come in these chunks: a head, a refusal, or no end of one. */
function taken(chunks: readonly Buffer[], side: Side, method: string): Taken {
  let text: string | null = null;
  try {
    text = readHead(chunks, side, LIMITS);
    if (text === null) return { text, head: null, code: "" };
    const head =
      side === "request" ? parseRequestHead(text, LIMITS) : parseResponseHead(text, method, LIMITS);
    return { text, head, code: "" };
  } catch (error) {
    assert.ok(error instanceof MeshError, `threw ${error}`);
    return { text, head: null, code: error.code };
  }
}

/** The same head twice in a row, as a connection sends it, is found twice. */
function checkRepeated(text: string, side: Side): void {
  const reader = new HeadReader(LIMITS, side);
  const memory = Buffer.from(text + text + text, "latin1");
  for (let at = 0; at < memory.length; ) {
    const next = reader.read(memory, at, memory.length);
    assert.equal(next, at + text.length);
    assert.equal(reader.text, text);
    at = next;
  }
}

/** Node reads what we send on, and has to see one request with our method and path. */
function checkNodeAgrees(head: RequestHead, text: string): void {
  const seen = requestsOf(text);
  assert.ok(seen.length <= 1, "Node sees more than one request");
  if (seen.length === 1) assert.equal(seen[0]?.start, `${head.method} ${head.target}`);
}

/**
 * `HeadReader`, `parseRequestHead` and `parseResponseHead`: throw nothing but `MeshError`; what is accepted is accepted
 * however it is split, and means the same when it is written again and read again.
 */
export const h1Head: Target = {
  name: "h1-head",
  mutate: mutator(TOKENS),
  run(input) {
    const random = randomOf(input);
    const side: Side = input.toString("latin1", 0, 5) === "HTTP/" ? "response" : "request";
    const method = random() < 0.8 ? "GET" : random() < 0.5 ? "HEAD" : "CONNECT";
    const whole = taken([input], side, method);
    const splits = [randomChunks(input, random, 1 + below(random, 60))];
    if (input.length < 200) splits.push(byteByByte(input));
    for (const chunks of splits) {
      const pieces = taken(chunks, side, method);
      // Pieces may be refused sooner, for another of several faults.
      assert.equal(pieces.code !== "", whole.code !== "");
      assert.deepEqual(pieces.head, whole.head);
      if (whole.code === "") assert.equal(pieces.text, whole.text);
    }
    const { head, text, code } = whole;
    if (head === null || text === null) return `${side} ${text === null} ${code}`;
    // Nothing but empty lines may be left out.
    assert.ok(
      input
        .toString("latin1")
        .replace(/^(?:\r\n)+/, "")
        .startsWith(text),
    );
    checkRepeated(text, side);
    if ("status" in head) {
      checkForwardedResponse(head, method);
    } else {
      checkForwardedRequest(head);
      checkNodeAgrees(head, text);
    }
    const { framing, minor, keepAlive, upgrade, connectionTokens } = head;
    const more = "form" in head ? `${head.form} ${head.expectContinue}` : `${head.status}`;
    return `${side} ${framing} ${minor} ${keepAlive} ${upgrade !== ""} ${kindOf(more)} ${connectionTokens.length}`;
  },
};

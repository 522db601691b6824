import assert from "node:assert/strict";
import { test } from "node:test";
import { MeshError } from "../../../src/core/errors.ts";
import { type Random, seeded } from "../../../src/core/random.ts";
import { ChunkedDecoder } from "../../../src/http/h1/chunked.ts";
import { parseRequestHead, parseResponseHead } from "../../../src/http/h1/parser.ts";
import { randomChunks } from "../../helpers/chunks.ts";
import { checkForwardedRequest, checkForwardedResponse } from "../../helpers/forwarded-heads.ts";
import { LIMITS, latin1, readHead } from "../../helpers/heads.ts";

const ROUNDS = 8_000;

const REQUESTS = [
  "GET /a?b=c HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\nVia: 1.1 b\r\n\r\n",
  "POST http://a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
  "PUT / HTTP/1.1\r\nHost: [::1]:1\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nX: y\r\n\r\n",
  "GET / HTTP/1.0\r\nConnection: keep-alive, x-hop\r\nX-Hop: a\r\nX-End: b\r\n\r\n",
  "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\nHost: a\r\n\r\n",
  "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nProxy-Authorization: b\r\n\r\n",
];
const RESPONSES = [
  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: a\r\nConnection: close\r\n\r\n",
  "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\nVia: 1.1 a\r\n\r\n",
  "HTTP/1.0 302 Found\r\nLocation: /a\r\nConnection: keep-alive, x-hop\r\nX-Hop: a\r\n\r\n",
  "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
];
const BODIES = ["5;a=b\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nX-Sum: 1\r\n\r\n", "0\r\n\r\n"];
const PIECES = [
  "\r",
  "\n",
  "\r\n",
  " ",
  "\t",
  "\0",
  ":",
  ",",
  "0",
  "\xe9",
  "chunked",
  "Content-Length: 3\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Connection: content-length, x\r\n",
  "Host: b\r\n",
  "HTTP/1.0",
];

function pick<T>(from: readonly T[], random: Random): T {
  return from[Math.floor(random() * from.length)]!;
}

/** One to three random edits: removes, replaces, inserts or doubles a part. */
function mutate(text: string, random: Random): string {
  let result = text;
  for (let edits = 1 + Math.floor(random() * 3); edits > 0; edits--) {
    const at = Math.floor(random() * (result.length + 1));
    const to = at + Math.floor(random() * 4);
    const insert = [
      "",
      pick(PIECES, random),
      String.fromCharCode(Math.floor(random() * 256)),
      result.slice(at, at + 30),
    ];
    const cut = random() < 0.5 ? to : at;
    result = result.slice(0, at) + pick(insert, random) + result.slice(cut);
  }
  return result;
}

/** The result, or null where it was refused with a MeshError; any other error fails the test. */
function accepted<T>(action: () => T): T | null {
  try {
    return action();
  } catch (error) {
    if (error instanceof MeshError) return null;
    throw error;
  }
}

test("a mutated request is refused, or keeps its one meaning when it is forwarded", () => {
  const random = seeded(2026);
  let taken = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = latin1(mutate(pick(REQUESTS, random), random));
    const whole = accepted(() => readHead([bytes], "request"));
    const head = accepted(() => (whole === null ? null : parseRequestHead(whole, LIMITS)));
    const chunks = randomChunks(bytes, random, 1 + Math.floor(random() * 40));
    const pieces = accepted(() => readHead(chunks, "request"));
    // Pieces may be refused sooner, by what the parser finds later; otherwise they must agree.
    if (head !== null) assert.equal(pieces, whole);
    else
      assert.equal(
        accepted(() => parseRequestHead(pieces ?? "", LIMITS)),
        null,
      );
    if (head === null) continue;
    taken++;
    checkForwardedRequest(head);
  }
  assert.ok(taken > ROUNDS / 10 && taken < ROUNDS, `${taken} of ${ROUNDS} accepted`);
});

test("a mutated response is refused, or keeps its one meaning when it is forwarded", () => {
  const random = seeded(2027);
  let taken = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = latin1(mutate(pick(RESPONSES, random), random));
    const method = pick(["GET", "HEAD"], random);
    const whole = accepted(() => readHead([bytes], "response"));
    const head = accepted(() => (whole === null ? null : parseResponseHead(whole, method, LIMITS)));
    const chunks = randomChunks(bytes, random, 1 + Math.floor(random() * 40));
    const pieces = accepted(() => readHead(chunks, "response"));
    if (head !== null) assert.equal(pieces, whole);
    if (head === null) continue;
    taken++;
    checkForwardedResponse(head, method);
  }
  assert.ok(taken > ROUNDS / 10 && taken < ROUNDS, `${taken} of ${ROUNDS} accepted`);
});

/** End of the body, its payload, or null where it was refused. */
function decoded(chunks: readonly Buffer[]): readonly [end: number, payload: string] | null {
  return accepted(() => {
    const decoder = new ChunkedDecoder({ trailerBytes: 1_000, headerCount: 10 }, "request");
    let end = 0;
    let payload = "";
    for (const chunk of chunks) {
      end += decoder.feed(chunk, 0, chunk.length, (from, start, to) => {
        payload += from.toString("latin1", start, to);
      });
    }
    return [decoder.done ? end : -1, payload] as const;
  });
}

test("a mutated chunked body ends at the same place however it is cut", () => {
  const random = seeded(2028);
  let done = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = latin1(mutate(pick(BODIES, random), random) + pick(BODIES, random));
    const whole = decoded([bytes]);
    if (whole !== null && whole[0] !== -1) done++;
    assert.deepEqual(decoded(randomChunks(bytes, random, 5)), whole);
  }
  assert.ok(done > ROUNDS / 10 && done < ROUNDS, `${done} of ${ROUNDS} came to an end`);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { MeshError } from "../../../src/core/errors.ts";
import { type Random, seeded } from "../../../src/core/random.ts";
import { checkRequestFields, checkResponseFields } from "../../../src/http/h2/field-rules.ts";
import { requestFieldsOf } from "../../../src/http/h2/request-fields.ts";
import { requestHeadOf } from "../../../src/http/h2/request-head.ts";
import { responseFieldsOf } from "../../../src/http/h2/response-fields.ts";
import { responseHeadOf } from "../../../src/http/h2/response-head.ts";
import type { RequestHead } from "../../../src/http/message.ts";
import { downstreamHead } from "../../../src/proxy/rewrite.ts";
import {
  answerAgain,
  RULES,
  readAgain,
  requestOf,
  translated,
  upstreamText,
} from "../../helpers/h2-heads.ts";

const ROUNDS = 6_000;

const pick = <T>(from: readonly T[], random: Random): T =>
  from[Math.floor(random() * from.length)]!;
const times = (most: number, random: Random) => Math.floor(random() * (most + 1));

const VISIBLE = Array.from({ length: 94 }, (_, at) => String.fromCharCode(0x21 + at));
const INNER = [...VISIBLE, " ", "\t", "\x80", "\xa0", "\xff"];
const TOKEN = [..."!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"];

function textOf(chars: readonly string[], most: number, random: Random): string {
  return Array.from({ length: times(most, random) }, () => pick(chars, random)).join("");
}

const randomValue = (random: Random) => textOf(INNER, 30, random).replace(/^[ \t]+|[ \t]+$/g, "");

/** Fields that any message may have, under names that mean nothing to a proxy. */
function ordinary(random: Random): string[] {
  return Array.from({ length: times(8, random) }, () => [
    `x-${textOf(TOKEN, 12, random)}`,
    randomValue(random),
  ]).flat();
}

/** A request as an honest client sends it. */
function honest(random: Random): string[] {
  const known = [
    ["accept", "*/*"],
    ["te", "trailers"],
    ["content-length", String(times(1_000, random))],
    ["expect", "100-continue"],
    ["cookie", "a=b", "cookie", "c"],
    ["x-request-id", "i", "traceparent", "p"],
    ["via", "1.1 b", "via", "2 c"],
  ];
  const changes = {
    ":method": pick(["GET", "POST", "PUT", "x!y", "OPTIONS"], random),
    ":scheme": pick(["http", "https"], random),
    ":authority": pick(["a", "A.b:8080", "[::1]:1", "10.0.0.1"], random),
    ":path": `/${textOf(["a", "%41", "/", "~", "{", '"'], 8, random)}${pick(["", "?", "?%=\\&/?"], random)}`,
  };
  const some = known.filter(() => random() < 0.4).flat();
  return requestOf(changes, ...ordinary(random), ...some, ...ordinary(random));
}

/** What has to be the same on both sides of a translation. */
function meaningOf(head: RequestHead): Record<string, unknown> {
  const { method, path, authority, host, passed, framing, contentLength } = head;
  const { acceptsTrailers, expectContinue, upgrade } = head;
  const known = { acceptsTrailers, expectContinue, upgrade };
  return { method, path, authority, host, passed, framing, contentLength, ...known };
}

test("fields become a head, a text, a head of HTTP/1.1 and the same fields again", () => {
  const random = seeded(9113);
  for (let round = 0; round < ROUNDS; round++) {
    const fields = honest(random);
    const head = translated(fields);
    const text = upstreamText(head);
    const again = requestFieldsOf(text, head.scheme === "https" ? "https" : "http");
    assert.deepEqual(again.slice(0, 8), fields.slice(0, 8));
    const back = requestHeadOf(again, false);
    assert.deepEqual(meaningOf(back), meaningOf(head));
    // What has no meaning to a proxy goes through untouched, in its order.
    const others = (list: readonly string[]) =>
      list.flatMap((name, at) =>
        at % 2 === 0 && /^x-[^r]/.test(name) ? [name, list[at + 1]] : [],
      );
    const isOurs = (name: unknown) => name === "x-forwarded-for" || name === "x-forwarded-proto";
    const added = others(again);
    assert.deepEqual(
      added.filter((_, at) => !isOurs(added[at - (at % 2)])),
      others(fields),
    );
  }
});

test("a response becomes a head, a text, a head of HTTP/1.1 and the same fields again", () => {
  const random = seeded(9110);
  const request = translated(requestOf(), true);
  for (let round = 0; round < ROUNDS; round++) {
    const status = pick(["200", "204", "304", "404", "599", "103"], random);
    const method = pick(["GET", "HEAD"], random);
    const hasLength = random() < 0.5 && status !== "204" && status !== "103";
    const more = hasLength ? ["content-length", String(times(1_000, random))] : [];
    const fields = [":status", status, ...ordinary(random), ...more];
    assert.equal(checkResponseFields(fields), null);
    const head = responseHeadOf(fields, method, false);
    answerAgain(head, request, method);
    const again = responseFieldsOf(downstreamHead(head, request, true, 2));
    assert.equal(checkResponseFields(again), null);
    assert.deepEqual(again, [...fields, "via", "2.0 hostmesh"]);
  }
});

const PIECES = [
  ...[
    "\r\n",
    "\r",
    "\n",
    "\0",
    " ",
    "\t",
    ":",
    "",
    "\xff",
    "\u0100",
    "A",
    "*",
    "/",
    "@",
    "HTTP/1.1",
  ],
  ...[":method", ":path", ":authority", ":protocol", ":status", "CONNECT", "GET", "websocket"],
  ...["host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "cookie"],
  ...[
    "chunked",
    "trailers",
    "5",
    "a:1",
    "\r\nHost: b\r\n",
    "\r\n\r\nGET / HTTP/1.1\r\nHost: c\r\n",
  ],
];

/** One to three changes: of a text, or of the order and the number of texts. */
function mutated(fields: readonly string[], random: Random): string[] {
  const result = [...fields];
  for (let edits = 1 + times(2, random); edits > 0; edits--) {
    const at = times(result.length - 1, random);
    const text = result[at] ?? "";
    const cut = times(text.length, random);
    const inserted = `${text.slice(0, cut)}${pick(PIECES, random)}${text.slice(cut)}`;
    const even = at - (at % 2);
    const kind = random();
    if (kind < 0.5) result[at] = inserted;
    else if (kind < 0.7) result[at] = pick(PIECES, random);
    else if (kind < 0.8) result.splice(even, 2);
    else result.splice(even, 0, pick(PIECES, random), pick(PIECES, random));
  }
  return result;
}

/** The head, or null where it was refused as it should be. */
function accepted<T>(action: () => T): T | null {
  try {
    return action();
  } catch (error) {
    if (error instanceof MeshError && error.code !== "INTERNAL") return null;
    throw error;
  }
}

test("of garbage comes an error, or one request that the HTTP/1.1 parser reads alike", () => {
  const random = seeded(7541);
  let taken = 0;
  for (let round = 0; round < 3 * ROUNDS; round++) {
    const fields = mutated(honest(random), random);
    const last = random() < 0.5;
    const fault = checkRequestFields(fields, RULES);
    const head = accepted(() => requestHeadOf(fields, last));
    if (fault !== null) assert.equal(head, null, JSON.stringify(fields));
    if (head === null) continue;
    taken++;
    const text = upstreamText(head);
    assert.deepEqual(meaningOf(readAgain(text)), meaningOf(head));
    // What goes on by HTTP/2 instead is well-formed too.
    assert.equal(checkRequestFields(requestFieldsOf(text, "http"), RULES), null);
  }
  assert.ok(taken > ROUNDS / 4 && taken < 3 * ROUNDS, `${taken} accepted`);
});

test("of a garbled response comes an error, or one that the HTTP/1.1 parser reads alike", () => {
  const random = seeded(8441);
  const request = translated(requestOf(), true);
  let taken = 0;
  for (let round = 0; round < 2 * ROUNDS; round++) {
    const start = [":status", pick(["200", "204", "304", "103"], random)];
    const fields = mutated([...start, ...ordinary(random), "content-length", "7"], random);
    const fault = checkResponseFields(fields);
    const head = accepted(() => responseHeadOf(fields, "GET", random() < 0.3));
    if (fault !== null) assert.equal(head, null, JSON.stringify(fields));
    if (head === null) continue;
    taken++;
    const again = answerAgain(head, request);
    assert.equal(again.status, head.status);
    assert.equal(again.framing, head.framing);
    assert.equal(again.passed, head.passed);
    assert.equal(
      checkResponseFields(responseFieldsOf(downstreamHead(head, request, true, 2))),
      null,
    );
  }
  assert.ok(taken > ROUNDS / 8 && taken < 2 * ROUNDS, `${taken} accepted`);
});

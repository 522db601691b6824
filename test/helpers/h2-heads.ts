import assert from "node:assert/strict";
import { checkRequestFields } from "../../src/http/h2/field-rules.ts";
import { requestHeadOf } from "../../src/http/h2/request-head.ts";
import type { RequestHead, ResponseHead } from "../../src/http/message.ts";
import type { Origin } from "../../src/proxy/context.ts";
import { downstreamHead, hopOf, upstreamHead } from "../../src/proxy/rewrite.ts";
import { latin1, parseRequest, parseResponse, readHead } from "./heads.ts";

export const RULES = { connectProtocol: true };

export const ORIGIN: Origin = {
  entry: "captured",
  address: "10.1.2.3",
  workload: null,
  destination: null,
  identity: "",
  peer: null,
};

/** A flat list of an ordinary request; `changes` replace or add pseudo-fields (`null` takes one out), `more` follows. */
export function requestOf(
  changes: Readonly<Record<string, string | null>> = {},
  ...more: string[]
): string[] {
  const pseudo = { ":method": "POST", ":scheme": "http", ":authority": "shop:8080", ":path": "/a" };
  const all = Object.entries({ ...pseudo, ...changes });
  return [...all.flatMap(([name, value]) => (value === null ? [] : [name, value])), ...more];
}

/** What a session and the spine make of a list: the text that goes to an endpoint. */
export function upstreamText(head: RequestHead): string {
  return upstreamHead(head, ORIGIN, "x-request-id: made-here\r\n", hopOf(ORIGIN, 2));
}

/** Reads a text as an endpoint does: it has to be one head, and nothing behind it. */
export function readAgain(text: string): RequestHead {
  const bytes = latin1(text);
  assert.equal(readHead([bytes], "request"), text, "not exactly one head");
  return parseRequest([bytes]);
}

/** The same of a response on its way to a client. */
export function answerAgain(
  head: ResponseHead,
  request: RequestHead,
  method = "GET",
): ResponseHead {
  const text = downstreamHead(head, request, true, 2);
  assert.equal(readHead([latin1(text)], "response"), text, "not exactly one head");
  return parseResponse([latin1(text)], method);
}

const FACTS = [
  "method",
  "path",
  "authority",
  "host",
  "framing",
  "contentLength",
  "passed",
  "upgrade",
  "acceptsTrailers",
  "expectContinue",
] as const;

/** A list that passes: its head, after it was shown that the endpoint reads one request with that very meaning. */
export function translated(fields: readonly string[], last = false): RequestHead {
  assert.equal(checkRequestFields(fields, RULES), null);
  const head = requestHeadOf(fields, last);
  const again = readAgain(upstreamText(head));
  for (const name of FACTS) assert.deepEqual(again[name], head[name], name);
  assert.equal(again.forwardedFor, ORIGIN.address);
  return head;
}

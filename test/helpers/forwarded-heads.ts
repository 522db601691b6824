import assert from "node:assert/strict";
import { parseRequestHead, parseResponseHead } from "../../src/http/h1/parser.ts";
import { requestHeadText, responseHeadText } from "../../src/http/h1/serializer.ts";
import type { RequestHead, ResponseHead } from "../../src/http/message.ts";
import { LIMITS } from "./heads.ts";

/** What must survive being forwarded. */
const REQUEST_FACTS = ["method", "path", "authority", "host", "framing", "contentLength", "passed"];
const RESPONSE_FACTS = ["status", "reason", "framing", "contentLength", "passed"];

function facts<T extends object>(head: T, names: readonly string[]): unknown[] {
  return names.map((name) => Reflect.get(head, name));
}

function hasOneMeaning(text: string): void {
  assert.doesNotMatch(text, /[^\r]\n|\r[^\n]|[^\t\r\n\x20-\x7e\x80-\xff]|\r\n[ \t]/);
  assert.equal(text.indexOf("\r\n\r\n"), text.length - 4);
  const lengths = text.match(/^content-length\s*:/gim)?.length ?? 0;
  const codings = text.match(/^transfer-encoding\s*:/gim)?.length ?? 0;
  assert.ok(lengths + codings <= 1, text);
}

/** Writes a request as it goes to an endpoint, and shows that it says the same to whoever reads that. */
export function checkForwardedRequest(head: RequestHead): void {
  const options = { host: "a", upgrade: head.upgrade !== "", close: false };
  const text = requestHeadText(head, "x-request-id: r\r\n", options);
  hasOneMeaning(text);
  const again = parseRequestHead(text, LIMITS);
  assert.equal(again.upgrade, head.upgrade);
  assert.equal(again.acceptsTrailers, head.acceptsTrailers);
  const authority = head.authority === "" ? { authority: "a", host: "a" } : {};
  assert.deepEqual(facts(again, REQUEST_FACTS), facts({ ...head, ...authority }, REQUEST_FACTS));
  assert.equal(requestHeadText(again, "x-request-id: r\r\n", options), text);
}

/** The same of a response on its way to a client. */
export function checkForwardedResponse(head: ResponseHead, method: string): void {
  const options = {
    keepAlive: head.keepAlive,
    minor: 1 as const,
    framing: head.framing,
    upgrade: true,
  };
  const text = responseHeadText(head, "", options);
  hasOneMeaning(text);
  const again = parseResponseHead(text, method, LIMITS);
  assert.deepEqual(facts(again, RESPONSE_FACTS), facts(head, RESPONSE_FACTS));
  assert.equal(again.keepAlive, head.keepAlive || head.status < 200);
  assert.equal(responseHeadText(again, "", options), text);
}

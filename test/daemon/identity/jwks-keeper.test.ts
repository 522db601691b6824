import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import test from "node:test";
import { fetchJwks } from "../../../daemon/identity/fetch-jwks.ts";
import { JwksKeeper } from "../../../daemon/identity/jwks-keeper.ts";
import { until } from "../../helpers/until.ts";
import { FakeTime } from "../../registry/fake-time.ts";
import { memoryLog } from "../fixtures.ts";

/** Twenty minutes, less half of the tenth that chance may take. */
const REFRESH_MS = 19 * 60_000;
const document = (kid: string) => JSON.stringify({ keys: [{ kty: "EC", kid }] });

/** An issuer whose answer each test chooses, and a keeper that asks it. */
async function setUp(t: TestContext) {
  const time = new FakeTime();
  const { log, lines } = memoryLog();
  let answer: (response: ServerResponse, path: string) => void = (response) =>
    response.end(document("one"));
  let requests = 0;
  const server = createServer((request, response) => {
    requests++;
    answer(response, request.url ?? "");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
  let documents: Readonly<Record<string, string | null>> = {};
  const keeper = new JwksKeeper({
    ...{ fetch: fetchJwks, timers: time, random: () => 0.5, log },
    onChange: (newest) => {
      documents = newest;
    },
  });
  t.after(() => {
    keeper.close();
    server.closeAllConnections();
    server.close();
  });
  return {
    ...{ time, keeper, lines, uri },
    requests: () => requests,
    known: () => documents[uri],
    documents: () => documents,
    answerWith: (next: typeof answer) => {
      answer = next;
    },
    /** Waits for so many ends of fetches. */
    fetched: (count: number) =>
      until(() => keeper.stats().fetched + keeper.stats().failed === count),
  };
}

test("a document is fetched at once, and taken anew every twenty minutes at the latest", async (t) => {
  const { keeper, uri, fetched, known, answerWith, time, requests } = await setUp(t);
  keeper.setWanted([{ uri, timeoutMs: 1_000 }]);
  assert.equal(known(), null);
  await fetched(1);
  assert.equal(known(), document("one"));
  answerWith((response) => response.end(document("two")));
  time.advance(REFRESH_MS - 1);
  assert.equal(requests(), 1);
  time.advance(1);
  await fetched(2);
  assert.equal(known(), document("two"));
});

for (const [what, reason, answer] of [
  ["status 500", /status 500/, (response) => response.writeHead(500).end(document("x"))],
  ["no JSON", /not JSON/, (response) => response.end("<html>")],
  ["JSON of another kind", /no JWKS/, (response) => response.end('{"keys":{"kty":"EC"}}')],
  ["keys that are none", /no JWKS/, (response) => response.end('{"keys":[null]}')],
  ["a list", /no JWKS/, (response) => response.end("[]")],
  [
    "more keys than any issuer has",
    /more than 128 keys/,
    (response) =>
      response.end(JSON.stringify({ keys: Array.from({ length: 129 }, () => ({ kty: "EC" })) })),
  ],
  ["a redirect", /status 302/, (response) => response.writeHead(302, { location: "/x" }).end()],
  [
    "more than 1 MiB",
    /more than 1048576 bytes/,
    (response) => response.end(`{"keys":[${" ".repeat(1_048_576)}]}`),
  ],
  [
    "an end in the middle",
    /no JWKS from/,
    (response) => {
      response.writeHead(200, { "content-length": "100" }).write('{"keys"');
      response.destroy();
    },
  ],
] satisfies [string, RegExp, (response: ServerResponse) => void][]) {
  test(`${what} is no document, and the one before stays`, async (t) => {
    const { keeper, uri, fetched, known, answerWith, time, lines } = await setUp(t);
    keeper.setWanted([{ uri, timeoutMs: 1_000 }]);
    await fetched(1);
    answerWith(answer);
    time.advance(REFRESH_MS);
    await fetched(2);
    assert.equal(known(), document("one"));
    assert.deepEqual(
      { ...keeper.stats() },
      { current: 0, stale: 1, missing: 0, fetched: 1, failed: 1 },
    );
    const error = lines[0]?.facts["error"];
    assert.ok(error instanceof Error);
    assert.match(`${error.message}: ${String(error.cause)}`, reason);
  });
}

test("an issuer that never answers ends at the rule's time limit, and is asked again after a pause", async (t) => {
  const { keeper, uri, fetched, known, answerWith, time, requests } = await setUp(t);
  answerWith(() => undefined);
  keeper.setWanted([{ uri, timeoutMs: 700 }]);
  await until(() => requests() === 1);
  time.advance(699);
  assert.equal(keeper.stats().failed, 0);
  time.advance(1);
  await fetched(1);
  assert.equal(known(), null);
  answerWith((response) => response.end(document("late")));
  time.advance(500);
  await fetched(2);
  assert.equal(known(), document("late"));
});

test("a body that trickles for ever ends at the time limit too", async (t) => {
  const { keeper, uri, fetched, known, answerWith, time, requests } = await setUp(t);
  answerWith((response) => response.write('{"keys":['));
  keeper.setWanted([{ uri, timeoutMs: 700 }]);
  await until(() => requests() === 1);
  time.advance(700);
  await fetched(1);
  assert.equal(known(), null);
});

test("a rule without a time limit has five seconds", async (t) => {
  const { keeper, uri, fetched, answerWith, time, requests } = await setUp(t);
  answerWith(() => undefined);
  keeper.setWanted([{ uri, timeoutMs: 0 }]);
  await until(() => requests() === 1);
  time.advance(4_999);
  assert.equal(keeper.stats().failed, 0);
  time.advance(1);
  await fetched(1);
});

test("one issuer that cannot be reached does not touch another", async (t) => {
  const { keeper, uri, fetched, documents } = await setUp(t);
  const gone = "http://127.0.0.1:1/jwks";
  keeper.setWanted([
    { uri: gone, timeoutMs: 1_000 },
    { uri, timeoutMs: 1_000 },
  ]);
  await fetched(2);
  assert.deepEqual(documents(), { [gone]: null, [uri]: document("one") });
});

test("what is no longer wanted is forgotten, also in the middle of its fetch", async (t) => {
  const { keeper, uri, documents, answerWith, requests, time } = await setUp(t);
  let isGone = false;
  answerWith((response) => response.once("close", () => (isGone = true)));
  keeper.setWanted([{ uri, timeoutMs: 1_000 }]);
  await until(() => requests() === 1);
  keeper.setWanted([]);
  assert.deepEqual(documents(), {});
  await until(() => isGone, { what: "the end of the fetch" });
  assert.equal(time.pending(), 0);
  assert.equal(keeper.stats().failed, 0);
});

test("a document is told again only when it has changed", async (t) => {
  const { keeper, uri, fetched, documents, time } = await setUp(t);
  keeper.setWanted([{ uri, timeoutMs: 1_000 }]);
  await fetched(1);
  const before = documents();
  keeper.setWanted([{ uri, timeoutMs: 2_000 }]);
  time.advance(REFRESH_MS);
  await fetched(2);
  assert.equal(documents(), before);
});

import assert from "node:assert/strict";
import test from "node:test";
import type { ExchangeDetails } from "../../../src/core/exchange-details.ts";
import type { TapEvent, TapFilter } from "../../../src/sight/tap-event.ts";
import { tapItemsSchema } from "../../../src/sight/tap-schema.ts";
import { redactedFields, withoutQuery } from "../../../src/telemetry/tap/redact.ts";
import {
  newBudget,
  refill,
  takeSkipped,
  takeToken,
} from "../../../src/telemetry/tap/tap-budget.ts";
import { compileFilter } from "../../../src/telemetry/tap/tap-filter.ts";
import { WorkerTaps } from "../../../src/telemetry/tap/worker-taps.ts";
import { until } from "../../helpers/until.ts";
import { makeEndpoint, makeFacts, makeService, makeWorkload } from "../make-facts.ts";

const facts = makeFacts({
  source: makeWorkload("web"),
  service: makeService("catalog"),
  endpoint: makeEndpoint("h/catalog-1"),
  target: "/products?token=abc&page=2",
  method: "POST",
  status: 503,
});

const MATCHES: readonly [filter: TapFilter, matches: boolean][] = [
  [{}, true],
  [{ source: "default/web" }, true],
  [{ source: "default/other" }, false],
  [{ destination: "default/catalog" }, true],
  [{ destination: "default/cart" }, false],
  [{ method: "POST" }, true],
  [{ method: "GET" }, false],
  [{ pathPrefix: "/prod" }, true],
  [{ pathPrefix: "/cart" }, false],
  // A query's values could else be guessed.
  [{ pathPrefix: "/products?token=a" }, false],
  [{ authority: "CATALOG" }, true],
  [{ authority: "cart" }, false],
  [{ status: "503" }, true],
  [{ status: "5xx" }, true],
  [{ status: "4xx" }, false],
  [{ failed: true }, true],
  [{ source: "default/web", status: "2xx" }, false],
];
for (const [filter, matches] of MATCHES) {
  test(`${JSON.stringify(filter)} ${matches ? "shows" : "leaves out"} a request`, () => {
    assert.equal(compileFilter(filter)(facts), matches);
  });
}

test("what failed is what the proxy or the endpoint failed, by gRPC's status too", () => {
  const failed = compileFilter({ failed: true });
  assert.equal(failed(makeFacts({ status: 404 })), false);
  assert.equal(failed(makeFacts({ status: 404, error: "NO_ROUTE" })), true);
  assert.equal(failed(makeFacts({ grpcStatus: 14 })), true);
  assert.equal(failed(makeFacts({ source: null, service: null })), false);
});

test("values that may be secrets are left out of headers, whatever the name or whatever the value", () => {
  const secret = [
    ...[
      "Authorization",
      "Bearer x",
      "cookie",
      "a=b",
      "Set-Cookie",
      "a=b",
      "Proxy-Authorization",
      "x",
    ],
    ...[
      "X-Api-Key",
      "k",
      "X-Amz-Security-Token",
      "t",
      "X-Hub-Signature-256",
      "s",
      "X-Password",
      "p",
    ],
    ...[
      "client-secret",
      "s",
      "X-Data",
      "Bearer abc",
      "X-Other",
      "eyJhbGciOiJIUzI1.eyJzdWIiOiIx.sig",
    ],
    ...["X-Forwarded-Client-Cert", "By=x", "X-CSRF-Token", "1"],
    ...["X-Functions-Key", "k", "X-AccessKey", "k", "X-Sid", "s", "X-Pass", "p", "X-Bearer", "b"],
    ...["X-A", "ghp_0123456789abcdef", "X-B", "hvs.CAESIJ0123", "X-C", "id=AKIA0123456789AB"],
  ];
  for (const [name, value] of redactedFields(secret)) assert.equal(value, "[redacted]", name);
  assert.deepEqual(
    redactedFields(["User-Agent", "curl/8", "Referer", "https://a/?code=1", "X-Request-Id", "7"]),
    [
      ["User-Agent", "curl/8"],
      ["Referer", "https://a/?code=[redacted]"],
      ["X-Request-Id", "7"],
    ],
  );
  const urls = [
    ...["X-Envoy-Original-Path", "/a?key=1&b", "Location", "https://u:pw@h/cb#access_token=1"],
    ...["Link", '<https://h/n?sig=1>; rel="next"', "Keep-Alive", "timeout=5"],
  ];
  assert.deepEqual(
    redactedFields(urls).map(([, value]) => value),
    [
      "/a?key=[redacted]&[redacted]",
      "https://[redacted]@h/cb#access_token=[redacted]",
      '<https://h/n?sig=[redacted]>; rel="next"',
      "timeout=5",
    ],
  );
  assert.ok((redactedFields(["a", `?${"&".repeat(5_000)}`])[0]?.[1].length ?? 0) <= 515);
  assert.equal(redactedFields(Array.from({ length: 500 }, () => "a")).length, 100);
  assert.equal(redactedFields(["a", "b".repeat(5_000)])[0]?.[1].length, 515);
});

test("of a query only the names stay, and a part without a name is a value", () => {
  assert.equal(withoutQuery("/a?b=1&c=2&d"), "/a?b=[redacted]&c=[redacted]&[redacted]");
  assert.equal(withoutQuery("/a"), "/a");
});

test("a budget gives what it has, counts what it refuses, and never holds more than its room", () => {
  const words = new Int32Array(newBudget());
  assert.equal(takeToken(words), false);
  refill(words, 3, 2);
  assert.deepEqual([takeToken(words), takeToken(words), takeToken(words)], [true, true, false]);
  assert.equal(takeSkipped(words), 2);
  assert.equal(takeSkipped(words), 0);
});

function tapsOf() {
  const posted: { id: number; events: readonly TapEvent[] }[] = [];
  const taps = new WorkerTaps({
    host: "node-a",
    post: (id, events) => posted.push({ id, events }),
    wall: () => 5_000,
  });
  const add = (id: number, filter: TapFilter, tokens = 1_000) => {
    const budget = newBudget();
    refill(new Int32Array(budget), tokens, tokens);
    taps.add({ id, filter, budget });
    return new Int32Array(budget);
  };
  return { taps, posted, add };
}

test("what a tap sees goes out in batches, and its events are what the registry takes", async () => {
  const { taps, posted, add } = tapsOf();
  add(1, {});
  assert.deepEqual([taps.isEmpty, taps.needsDetails], [false, false]);
  for (let at = 0; at < 70; at += 1) taps.see(facts);
  assert.equal(posted[0]?.events.length, 64);
  await until(() => posted.length === 2);
  assert.equal(posted[1]?.events.length, 6);
  const [event] = posted[0]?.events ?? [];
  assert.equal(event?.path, "/products?token=[redacted]&page=[redacted]");
  assert.deepEqual(
    [event?.source, event?.destination, event?.endpointAddress, event?.atMs, event?.route],
    ["default/web", "default/catalog", "10.0.0.9:8080", 4_998, "default"],
  );
  assert.equal(event?.requestHeaders, undefined);
  const items = posted[0]?.events.map((one) => ({ type: "event", event: one }));
  assert.equal(tapItemsSchema.parse(items).length, 64);
});

test("what is beyond the budget is counted and not made", async () => {
  const { taps, posted, add } = tapsOf();
  const words = add(1, {}, 3);
  for (let at = 0; at < 10; at += 1) taps.see(facts);
  await until(() => posted.length > 0);
  assert.equal(posted[0]?.events.length, 3);
  assert.equal(takeSkipped(words), 7);
});

test("headers and query strings are shown to the tap that asks for them, secrets still left out", async () => {
  const { taps, posted, add } = tapsOf();
  add(1, { headers: true, query: true });
  add(2, {});
  assert.equal(taps.needsDetails, true);
  const head = { fields: ["Host", "a", "Cookie", "b"], bytes: 9 };
  const details: Partial<ExchangeDetails> = { request: head, response: null };
  taps.see({ ...facts, details: details as ExchangeDetails });
  taps.see(facts);
  await until(() => posted.length === 2);
  const [shown, early] = posted.find(({ id }) => id === 1)?.events ?? [];
  assert.deepEqual(shown?.requestHeaders, [
    ["Host", "a"],
    ["Cookie", "[redacted]"],
  ]);
  assert.deepEqual([shown?.responseHeaders, shown?.path], [[], "/products?token=abc&page=2"]);
  assert.equal(early?.requestHeaders, undefined, "it began before the tap did");
  assert.equal(posted.find(({ id }) => id === 2)?.events[0]?.requestHeaders, undefined);
  taps.remove(1);
  taps.remove(2);
  assert.equal(taps.isEmpty, true);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ErrorReport } from "../../src/sight/host-report.ts";
import { FailureTeller } from "../../src/telemetry/failure-teller.ts";
import { makeEndpoint, makeFacts, makeService, makeWorkload } from "./make-facts.ts";
import { setUpSeries } from "./set-up-series.ts";

const endpoint = makeEndpoint("h/catalog-1", 7);
const service = makeService("catalog", [endpoint]);
const source = makeWorkload("web");
const FAILED = makeFacts({ source, service, endpoint, status: 503, target: "/cart?token=secret" });

function setUp(perSecond = 2) {
  const told: ErrorReport[] = [];
  let nowMs = 0;
  const teller = new FailureTeller({
    perSecond,
    clock: { now: () => nowMs },
    wall: () => 1_000_000 + nowMs,
    tell: (failure) => told.push(failure),
  });
  const move = (ms: number) => {
    nowMs += ms;
  };
  return { teller, told, move };
}

test("a failure is told of with path, not query", () => {
  const { teller, told } = setUp(20);
  teller.tell(FAILED);
  assert.deepEqual(told[0], {
    ...{ atMs: 999_998, source: "default/web", destination: "default/catalog" },
    ...{ endpoint: "h/catalog-1", method: "GET", path: "/cart", status: 503, error: null },
    traceId: "0af7651916cd43dd8448eb211c80319c",
  });
  for (const [target, path] of [
    ["http://me:secret@shop/cart?x=1", "/cart"],
    ["http://shop", ""],
    ["http://shop?x", ""],
    ["*", ""],
    ["", ""],
    [`/${"a".repeat(9_000)}`, `/${"a".repeat(255)}`],
    ["/a#b?c", "/a"],
  ] as const) {
    teller.tell({ ...FAILED, target });
    assert.equal(told.at(-1)?.path, path, target);
  }
  teller.tell(makeFacts({ error: "NO_ENDPOINT", status: 503, traceparent: "" }));
  const { source: from, destination, error } = told.at(-1) ?? {};
  assert.deepEqual([from, destination, error], ["unknown", "none", "NO_ENDPOINT"]);
});

test("a flood of failures is told of at a bounded rate", () => {
  const { teller, told, move } = setUp(2);
  for (let count = 0; count < 100; count++) teller.tell(FAILED);
  assert.equal(told.length, 2);
  move(999);
  teller.tell(FAILED);
  assert.equal(told.length, 2);
  move(1);
  for (let count = 0; count < 100; count++) teller.tell(FAILED);
  assert.equal(told.length, 4);
});

test("only failures are told of: no success, and nothing that the client did", () => {
  const told: number[] = [];
  const { recorders } = setUpSeries(1, 64, null, { tell: ({ status }) => told.push(status) });
  const [recorder] = recorders;
  for (const facts of [
    makeFacts(),
    makeFacts({ status: 404 }),
    makeFacts({ status: 0, error: "CLIENT_CLOSED" }),
    makeFacts({ status: 500 }),
    makeFacts({ status: 200, grpcStatus: 14 }),
    makeFacts({ status: 504, error: "NO_ENDPOINT" }),
  ]) {
    recorder?.exchange(facts);
  }
  assert.deepEqual(told, [500, 200, 504]);
});

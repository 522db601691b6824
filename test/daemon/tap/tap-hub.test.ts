import assert from "node:assert/strict";
import test from "node:test";
import { tapAnswers } from "../../../daemon/tap/tap-answers.ts";
import { MAX_TAPS, TapHub, TooManyTaps } from "../../../daemon/tap/tap-hub.ts";
import type { ToWorker } from "../../../daemon/worker-messages.ts";
import { FakeClock } from "../../../src/core/clock.ts";
import type { TapEvent, TapItem } from "../../../src/sight/tap-event.ts";
import { takeToken } from "../../../src/telemetry/tap/tap-budget.ts";

const LIMITS = { perSecond: 20, durationMs: 2_000 };
const event = { path: "/" } as TapEvent;

function hubOf() {
  const clock = new FakeClock();
  const told: ToWorker[] = [];
  let tick: (() => void) | null = null;
  const hub = new TapHub({
    host: "node-a",
    tell: (message) => told.push(message),
    clock,
    every: (_, action) => {
      tick = action;
      return () => {
        tick = null;
      };
    },
  });
  const pass = (ticks: number) => {
    for (let at = 0; at < ticks; at += 1) {
      clock.advance(100);
      tick?.();
    }
  };
  return { hub, told, pass, isTicking: () => tick !== null };
}

function reader(takes = () => true) {
  const items: TapItem[] = [];
  const self = {
    items,
    ended: 0,
    onItems(some: readonly TapItem[]) {
      if (takes()) items.push(...some);
      return takes();
    },
    onEnd() {
      self.ended += 1;
    },
  };
  return self;
}

/** So many exchanges at once in a worker; how many of them it may show. */
function flood(hub: TapHub, exchanges: number): number {
  const [installed] = hub.installed();
  if (installed === undefined) return 0;
  const words = new Int32Array(installed.budget);
  let taken = 0;
  for (let at = 0; at < exchanges; at += 1) if (takeToken(words)) taken += 1;
  return taken;
}

test("a tap is installed in every worker, also in those that begin later, until it ends", () => {
  const { hub, told, isTicking } = hubOf();
  const close = hub.open({ method: "GET" }, LIMITS, reader());
  assert.deepEqual(
    hub.installed().map(({ filter }) => filter),
    [{ method: "GET" }],
  );
  assert.deepEqual([told[0]?.type, isTicking()], ["tap", true]);
  close();
  close();
  assert.deepEqual([told.length, told[1]?.type, hub.installed().length], [2, "tap-end", 0]);
  assert.equal(isTicking(), false, "without a tap nothing runs");
});

test("of a flood no more is shown than asked for, and the rest is told as skipped", () => {
  const { hub, pass } = hubOf();
  const to = reader();
  hub.open({}, LIMITS, to);
  let taken = 0;
  for (let at = 0; at < 10; at += 1) {
    taken += flood(hub, 1_000);
    pass(1);
  }
  assert.ok(taken >= 20 && taken <= 22, String(taken));
  assert.deepEqual(to.items, [{ type: "skipped", host: "node-a", events: 10_000 - taken }]);
});

test("one event a second is one a second", () => {
  const { hub, pass } = hubOf();
  hub.open({}, { perSecond: 1, durationMs: 60_000 }, reader());
  let taken = flood(hub, 5);
  for (let at = 0; at < 50; at += 1) {
    pass(1);
    taken += flood(hub, 5);
  }
  assert.ok(taken >= 5 && taken <= 6, String(taken));
});

test("what a slow reader does not take is told to it as skipped when it takes again", () => {
  const { hub, pass } = hubOf();
  let isSlow = true;
  const to = reader(() => !isSlow);
  hub.open({}, LIMITS, to);
  const [{ id } = { id: 0 }] = hub.installed();
  hub.take(id, [event, event]);
  hub.take(999, [event]);
  pass(10);
  assert.deepEqual(to.items, []);
  isSlow = false;
  pass(9);
  hub.take(id, [event]);
  assert.deepEqual(to.items, [{ type: "event", event }]);
  pass(1);
  assert.deepEqual(to.items[1], { type: "skipped", host: "node-a", events: 2 });
});

test("a tap ends after its time, and all of them with the daemon", () => {
  const { hub, pass } = hubOf();
  const [short, long] = [reader(), reader()];
  hub.open({}, LIMITS, short);
  hub.open({}, { ...LIMITS, durationMs: 60_000 }, long);
  pass(19);
  assert.equal(short.ended, 0);
  pass(1);
  assert.deepEqual([short.ended, long.ended], [1, 0]);
  hub.endAll();
  assert.deepEqual([short.ended, long.ended, hub.installed().length], [1, 1, 0]);
});

test("there is a most of taps", () => {
  const { hub } = hubOf();
  const closers = Array.from({ length: MAX_TAPS }, () => hub.open({}, LIMITS, reader()));
  assert.throws(() => hub.open({}, LIMITS, reader()), TooManyTaps);
  closers[0]?.();
  hub.open({}, LIMITS, reader());
});

test("the registry's question is answered with lists of items until it is taken back", async () => {
  const { hub, pass } = hubOf();
  const ended = new AbortController();
  const lists: (readonly TapItem[])[] = [];
  const stream = {
    ended: ended.signal,
    send: (items: readonly TapItem[]) => lists.push(items) > 0,
  };
  const answered = tapAnswers(hub)({ kind: "tap", filter: { failed: true } }, stream);
  const [{ id } = { id: 0 }] = hub.installed();
  hub.take(id, [event]);
  assert.deepEqual(lists, [[{ type: "event", event }]]);
  ended.abort();
  await answered;
  assert.equal(hub.installed().length, 0);
  const timed = tapAnswers(hub)(
    { limits: { durationMs: 100 } },
    { ...stream, ended: new AbortController().signal },
  );
  pass(1);
  await timed;
  assert.throws(() => tapAnswers(hub)({ filter: { metod: "GET" } }, stream), /metod/);
  assert.throws(() => tapAnswers(hub)({ limits: { perSecond: 5_000 } }, stream), /1000/);
});

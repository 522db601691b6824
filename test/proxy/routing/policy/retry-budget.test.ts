import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../../../src/core/clock.ts";
import { seeded } from "../../../../src/core/random.ts";
import type { RetryBudgetRule } from "../../../../src/core/traffic.ts";
import { RetryBudgets } from "../../../../src/proxy/routing/policy/retry-budget.ts";
import { hammer } from "./hammering.ts";

const RULE: RetryBudgetRule = { ratio: 0.2, minPerSecond: 0, ttlMs: 10_000 };

function newBudget(startMs = 1_000_000) {
  const clock = new FakeClock(startMs);
  const budgets = new RetryBudgets(
    new SharedArrayBuffer(RetryBudgets.bytesFor(2) + 64),
    64,
    2,
    clock,
  );
  const deposit = (count: number, rule = RULE) => {
    for (let done = 0; done < count; done++) budgets.deposit(0, rule);
    budgets.flush();
  };
  /** Retries that are granted now, one after another. */
  const drain = (rule = RULE, active = 1) => {
    let granted = 0;
    while (granted < 1e6 && budgets.tryWithdraw(0, rule, active)) granted += 1;
    return granted;
  };
  return { clock, budgets, deposit, drain };
}

test("retries are the ratio of the requests, for every ratio", () => {
  for (const ratio of [0.01, 0.1, 0.2, 0.3, 0.45, 0.5, 0.7, 0.9, 1, 1.5, 2, 10]) {
    const { deposit, drain } = newBudget();
    const rule = { ...RULE, ratio };
    deposit(10_000, rule);
    const granted = drain(rule);
    // round(1000 / ratio) is off by at most half of one in a thousandth of the ratio.
    assert.ok(
      Math.abs(granted / 10_000 / ratio - 1) <= 0.0006 * Math.max(1, ratio),
      `${ratio}: ${granted}`,
    );
  }
});

test("the traps of tower: 0.7 is no 1, and 0.3 no 0.33", () => {
  for (const [ratio, granted] of [
    [0.7, 699],
    [0.3, 300],
  ] as const) {
    const { deposit, drain } = newBudget();
    deposit(1_000, { ...RULE, ratio });
    assert.equal(drain({ ...RULE, ratio }), granted);
  }
});

test("what was deposited counts for the window and not longer", () => {
  const { clock, deposit, drain } = newBudget();
  deposit(100);
  clock.advance(8_999);
  assert.equal(drain(), 20);
  deposit(50);
  clock.advance(1_001);
  assert.equal(drain(), 0, "20 retries of the window stand against 50 requests of it");
  deposit(60);
  assert.equal(drain(), 2);
  clock.advance(10_000);
  assert.equal(drain(), 0);
});

test("in any window retries stay below the ratio of that window's requests", () => {
  const { clock, budgets } = newBudget();
  const random = seeded(11);
  const events: { at: number; deposit: boolean }[] = [];
  for (let step = 0; step < 4_000; step++) {
    // Bursts and pauses, some longer than the whole window.
    clock.advance(random() < 0.01 ? random() * 15_000 : random() * 60);
    const at = clock.now();
    if (random() < 0.5) {
      budgets.deposit(0, RULE);
      events.push({ at, deposit: true });
    }
    if (budgets.tryWithdraw(0, RULE, 1)) events.push({ at, deposit: false });
  }
  const retries = events.filter(({ deposit }) => !deposit);
  assert.ok(retries.length > 300, `${retries.length}`);
  for (const { at } of retries) {
    // Of ten slices the last is the running one.
    const from = Math.floor(at / 1_000) * 1_000 - 9_000;
    const inWindow = events.filter((one) => one.at <= at && one.at >= from);
    const paid = inWindow.filter(({ deposit }) => deposit).length;
    assert.ok((inWindow.length - paid) * 5 <= paid, `at ${at}`);
  }
  const requests = events.length - retries.length;
  assert.ok(retries.length <= requests * RULE.ratio, `${retries.length} of ${requests}`);
});

test("what a thread has noted counts for it at once, for the others from the next flush on, and once", () => {
  const buffer = new SharedArrayBuffer(RetryBudgets.bytesFor(1));
  const clock = new FakeClock(50_000);
  const [one, other] = [
    new RetryBudgets(buffer, 0, 1, clock),
    new RetryBudgets(buffer, 0, 1, clock),
  ];
  const rule = { ratio: 0.5, minPerSecond: 0, ttlMs: 10_000 };
  for (let done = 0; done < 10; done++) one.deposit(0, rule);
  assert.equal(other.tryWithdraw(0, rule, 1), false);
  assert.equal(one.tryWithdraw(0, rule, 1), true);
  one.flush();
  one.flush();
  let granted = 0;
  while (other.tryWithdraw(0, rule, 1)) granted += 1;
  assert.equal(granted, 4);
});

test("the reserve is a rate: one second's worth at once, not the whole window's", () => {
  const { clock, drain } = newBudget();
  const rule = { ...RULE, ratio: 0, minPerSecond: 10 };
  assert.equal(drain(rule), 10);
  clock.advance(99.9);
  assert.equal(drain(rule), 0);
  clock.advance(0.2);
  assert.equal(drain(rule), 1);
  let granted = 0;
  for (let step = 0; step < 1_000; step++) {
    clock.advance(10);
    granted += drain(rule);
  }
  assert.ok(granted >= 99 && granted <= 100, `${granted} in 10 s`);
});

test("a reserve below one in a second works too", () => {
  const { clock, drain } = newBudget();
  const rule = { ...RULE, ratio: 0, minPerSecond: 0.5 };
  assert.equal(drain(rule), 1);
  clock.advance(1_999);
  assert.equal(drain(rule), 0);
  clock.advance(2);
  assert.equal(drain(rule), 1);
});

test("the reserve comes on top of the ratio", () => {
  const { deposit, drain } = newBudget();
  deposit(100);
  assert.equal(drain({ ...RULE, minPerSecond: 3 }), 23);
});

test("so many as may always be under way are free", () => {
  const { budgets } = newBudget();
  const rule = { ...RULE, minConcurrent: 3 };
  assert.deepEqual(
    [1, 2, 3, 4].map((active) => budgets.tryWithdraw(0, rule, active)),
    [true, true, true, false],
  );
});

test("a ratio of 0, below 0 or no number grants nothing", () => {
  for (const ratio of [0, -1, Number.NaN]) {
    const { deposit, drain } = newBudget();
    deposit(100, { ...RULE, ratio });
    assert.equal(drain({ ...RULE, ratio }), 0, `${ratio}`);
  }
});

test("slots are apart, and one that is reset starts with nothing", () => {
  const { budgets, deposit, drain } = newBudget();
  deposit(100);
  assert.equal(budgets.tryWithdraw(1, RULE, 1), false);
  budgets.reset(0);
  assert.equal(drain(), 0);
  assert.throws(() => budgets.deposit(2, RULE), RangeError);
  assert.throws(() => budgets.tryWithdraw(-1, RULE, 1), RangeError);
});

test("a flood of requests does not overflow the window into a debt or a fortune", () => {
  const { clock, deposit, drain } = newBudget();
  for (let second = 0; second < 12; second++) {
    deposit(250_000);
    clock.advance(1_000);
  }
  const granted = drain();
  assert.ok(granted > 300_000 && granted <= 450_000, `${granted}`);
});

test("another length of the window starts anew", () => {
  const { deposit, drain } = newBudget();
  deposit(1_000);
  assert.equal(drain({ ...RULE, ttlMs: 60_000 }), 0);
});

test("real threads are granted exactly the budget, to the last retry", async () => {
  for (const [ratio, deposits] of [
    [0.7, 20_000],
    [0.2, 999],
  ] as const) {
    const buffer = new SharedArrayBuffer(RetryBudgets.bytesFor(1));
    const task = { kind: "budget" as const, buffer, ratio, deposits };
    const granted = (await hammer([task, task, task])).flat().reduce((sum, one) => sum + one);
    const cost = Math.round(1_000 / ratio);
    assert.equal(granted, Math.floor((3 * deposits * 1_000) / cost) + 7);
  }
});

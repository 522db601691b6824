import { parentPort, workerData } from "node:worker_threads";
import { type Clock, FakeClock, processClock } from "../../../../src/core/clock.ts";
import { RateLimits } from "../../../../src/proxy/routing/policy/rate-limits.ts";
import { RetryBudgets } from "../../../../src/proxy/routing/policy/retry-budget.ts";
import { ServiceLimits } from "../../../../src/proxy/routing/policy/service-limits.ts";

/** What a data-path thread does to shared memory, as fast as it can: see the tests beside this file. */
export type HammerTask = { readonly buffer: SharedArrayBuffer } & (
  | { readonly kind: "budget"; readonly ratio: number; readonly deposits: number }
  | {
      readonly kind: "rate";
      readonly buckets: number;
      readonly keys: number;
      readonly limit: number;
    }
  | { readonly kind: "churn"; readonly buckets: number }
  | {
      readonly kind: "insert";
      readonly buckets: number;
      readonly thread: number;
      readonly rounds: SharedArrayBuffer;
    }
  | { readonly kind: "handover"; readonly buckets: number; readonly periodMs: number }
  | {
      readonly kind: "limits";
      readonly workers: number;
      readonly worker: number;
      readonly max: number;
    }
);

export type HammerData = HammerTask & Shared;

interface Shared {
  /** One Int32: the threads that are ready; all start when it is `threads`. */
  readonly gate: SharedArrayBuffer;
  readonly threads: number;
}

const ROUNDS = 60_000;
const STOPPED: Clock = new FakeClock(1_000);

function waitForOthers({ gate, threads }: Shared): void {
  const ready = new Int32Array(gate);
  Atomics.add(ready, 0, 1);
  // Spinning, so that they begin within the same microsecond.
  while (Atomics.load(ready, 0) < threads);
}

/** Withdrawals that were granted while depositing. */
function budget(data: HammerData & { kind: "budget" }): number[] {
  const budgets = new RetryBudgets(data.buffer, 0, 1, STOPPED);
  const rule = { ratio: data.ratio, minPerSecond: 7, ttlMs: 10_000 };
  let granted = 0;
  for (let round = 0; round < ROUNDS; round++) {
    if (round < data.deposits) budgets.deposit(0, rule);
    if (budgets.tryWithdraw(0, rule, 1)) granted += 1;
  }
  return [granted];
}

/** Requests that were allowed, by key. Each thread goes through the keys in another order. */
function rate(data: HammerData & { kind: "rate" }): number[] {
  const limits = new RateLimits(data.buffer, 0, data.buckets, STOPPED);
  const limit = { requests: data.limit, periodMs: 1_000, burst: data.limit };
  const allowed = new Array<number>(data.keys).fill(0);
  const step = 1 + 2 * data.threads;
  for (let round = 0; round < ROUNDS; round++) {
    const key = (round * step) % data.keys;
    if (limits.take(`key ${key}`, limit).allowed) allowed[key]! += 1;
  }
  return allowed;
}

/** Goes on until it is terminated: ever new keys, each of which expires at once and hands its entry on. */
function churn(data: HammerData & { kind: "churn" }): number[] {
  const limits = new RateLimits(data.buffer, 0, data.buckets, processClock);
  const limit = { requests: 1_000_000, periodMs: 1, burst: 1 };
  parentPort?.postMessage("churning");
  for (let round = 0; ; round++) limits.take(`key ${round % 5_000}`, limit);
}

/**
 * Begin, end, and what was allowed of a key whose bucket expires again and again, while its entry is wanted by ever new
 * keys.
 */
function handover(data: HammerData & { kind: "handover" }): number[] {
  const limits = new RateLimits(data.buffer, 0, data.buckets, processClock);
  const brief = { requests: 1_000_000, periodMs: 1, burst: 1 };
  const limit = { requests: 1, periodMs: data.periodMs, burst: 1 };
  const startMs = processClock.now();
  let allowed = 0;
  for (let round = 0; round < ROUNDS; round++) {
    if (limits.take("the key", limit).allowed) allowed += 1;
    limits.take(`key ${round % 997}`, brief);
  }
  return [startMs, processClock.now(), allowed];
}

/**
 * Rounds in step with the other thread, in each of which both ask for the same new key, which is allowed once. The
 * clock of the second is a little behind: there is always an entry that has expired for the first thread only, so that
 * both look for a place in different entries. Numbers of the rounds in which this thread was allowed.
 */
function insert(data: HammerData & { kind: "insert" }): number[] {
  const time = { nowMs: 0 };
  const skewMs = data.thread * 0.03;
  const limits = new RateLimits(data.buffer, 0, data.buckets, { now: () => time.nowMs });
  const arrived = new Int32Array(data.rounds);
  const limit = { requests: 1, periodMs: 3, burst: 1 };
  const between = { requests: 1, periodMs: 0.985, burst: 1 };
  const endMs = processClock.now() + 1_500;
  const allowed: number[] = [];
  for (let round = 1; round < 50_000; round++) {
    Atomics.add(arrived, 0, 1);
    while (Atomics.load(arrived, 0) < round * data.threads) {
      if (processClock.now() > endMs) return allowed;
    }
    time.nowMs = 10 + round - skewMs;
    if (limits.take(`key ${round}`, limit).allowed) allowed.push(round);
    time.nowMs = 10 + round;
    limits.take(`between ${round & 1}`, between);
  }
  return allowed;
}

/** Most that was seen of each kind. Ends with some of each held. */
function limits(data: HammerData & { kind: "limits" }): number[] {
  const { buffer, workers, worker, max } = data;
  const counts = new ServiceLimits(buffer, 0, 1, workers, worker);
  const peaks = [0, 0, 0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    const taken = [
      counts.tryRequest(0, max),
      counts.tryPending(0, max),
      counts.tryRetry(0, max),
      counts.tryConnection(0, max),
    ];
    const seen = [counts.requests(0), counts.pending(0), counts.retries(0), counts.connections(0)];
    for (const [kind, one] of seen.entries()) peaks[kind] = Math.max(peaks[kind]!, one);
    if (round === ROUNDS - 1) break;
    if (taken[0]) counts.endRequest(0);
    if (taken[1]) counts.endPending(0);
    if (taken[2]) counts.endRetry(0);
    if (taken[3]) counts.endConnection(0);
  }
  return peaks;
}

function run(data: HammerData): number[] {
  waitForOthers(data);
  switch (data.kind) {
    case "budget":
      return budget(data);
    case "rate":
      return rate(data);
    case "churn":
      return churn(data);
    case "insert":
      return insert(data);
    case "handover":
      return handover(data);
    case "limits":
      return limits(data);
  }
}

if (parentPort !== null) parentPort.postMessage(run(workerData as HammerData));

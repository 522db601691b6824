import assert from "node:assert/strict";
import { test } from "node:test";
import type { Contestant, Sample, Workload } from "../../bench/model.ts";
import { failedSample } from "../../bench/run/failed-sample.ts";
import { type Dropped, measureRounds, type Rounds, rotated } from "../../bench/run/rounds.ts";
import { formatSeconds, TimeLeft } from "../../bench/run/time-left.ts";
import { contestant, WORKLOAD } from "./run-lab.ts";

const NAMES = ["a", "b", "c"];

interface Script {
  readonly workloads?: readonly Workload[];
  readonly repeat?: number;
  readonly take?: (name: string, round: number) => void;
  readonly warmUp?: (name: string) => void;
  readonly stop?: AbortController;
}

/** Measures three contestants that exist only here; `log` has what was done in order. */
async function measured(script: Script) {
  const log: string[] = [];
  const dropped: Dropped[] = [];
  const told: Sample[] = [];
  const { workloads = [WORKLOAD], repeat = 3, stop = new AbortController() } = script;
  const rounds: Rounds = {
    ...{ contestants: NAMES.map((name) => contestant({ name })), workloads, repeat },
    async warmUp({ name }: Contestant, { bodyBytes }: Workload, isFirst: boolean) {
      log.push(`warm ${name} ${bodyBytes}${isFirst ? " first" : ""}`);
      script.warmUp?.(name);
    },
    async take({ name }: Contestant, workload: Workload, round: number) {
      log.push(`${name}${round}`);
      script.take?.(name, round);
      return failedSample(name, workload, round, "none");
    },
    onSample: (sample) => told.push(sample),
    onDropped: (one) => dropped.push(one),
    signal: stop.signal,
  };
  return { ...(await measureRounds(rounds)), log, told, droppedTold: dropped };
}

test("everybody is warmed first, then each round has everybody once and begins with another", async () => {
  const { log, samples, isComplete } = await measured({});
  assert.deepEqual(
    log.slice(0, 3),
    NAMES.map((name) => `warm ${name} 115 first`),
  );
  assert.equal(log.slice(3).join(" "), "a0 b0 c0 b1 c1 a1 c2 a2 b2");
  assert.deepEqual([samples.length, isComplete], [9, true]);
});

test("each workload has rounds of its own, and a warm-up before them", async () => {
  const workloads = [WORKLOAD, { ...WORKLOAD, bodyBytes: 1_024 }];
  const { log } = await measured({ workloads, repeat: 1 });
  assert.equal(log.slice(3).join(" "), "a0 b0 c0 warm a 1024 warm b 1024 warm c 1024 a0 b0 c0");
});

test("a contestant that fails is reported and left out, and the others go on", async () => {
  const take = (name: string, round: number) => {
    if (name === "b" && round === 1) throw new Error("it has ended");
  };
  const { log, samples, dropped, droppedTold } = await measured({ take });
  assert.equal(log.slice(3).join(" "), "a0 b0 c0 b1 c1 a1 a2 c2");
  assert.deepEqual(dropped, [
    { contestant: "b", workload: WORKLOAD, round: 1, reason: "it has ended" },
  ]);
  assert.deepEqual(droppedTold, dropped);
  const failed = samples.filter(({ contestant: name, round }) => name === "b" && round === 1);
  assert.deepEqual(
    failed.map(({ problems }) => problems),
    [["failed: it has ended"]],
  );
});

test("a contestant that cannot be warmed has an invalid sample and no round", async () => {
  const warmUp = (name: string) => {
    if (name === "a") throw new Error("refused");
  };
  const { log, samples } = await measured({ warmUp, repeat: 1 });
  assert.equal(log.slice(3).join(" "), "b0 c0");
  assert.deepEqual(samples[0]?.problems, ["failed when it was warmed: refused"]);
});

test("what is broken off keeps whole rounds only, and nobody is blamed for it", async () => {
  const stop = new AbortController();
  const take = (name: string, round: number) => {
    if (name !== "c" || round !== 1) return;
    stop.abort();
    throw new Error("aborted");
  };
  const { samples, dropped, isComplete } = await measured({ take, stop });
  assert.deepEqual([samples.length, dropped.length, isComplete], [3, 0, false]);
  assert.ok(samples.every(({ round }) => round === 0));
});

test("a list begins with another item each time", () => {
  assert.deepEqual(rotated([1, 2, 3], 4), [2, 3, 1]);
  assert.deepEqual(rotated([], 4), []);
});

test("the time that is left follows the pace so far", () => {
  let nowMs = 0;
  const time = new TimeLeft(100, () => nowMs);
  assert.equal(time.left(), 100);
  nowMs = 20_000;
  time.done(10);
  assert.equal(time.left(), 180);
  nowMs += 5_000;
  assert.equal(time.left(), 175);
  nowMs += 1e9;
  assert.equal(time.left(), 0);
  assert.deepEqual([59.2, 185, 3_725].map(formatSeconds), ["1:00 min", "3:05 min", "1:02:05 h"]);
});

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { parseProcessTimes, sumTree, treeTimes } from "../../bench/lib/cpu-time.ts";
import { pairedRatio, spread } from "../../bench/lib/statistics.ts";
import { parseVersion } from "../../bench/lib/tools.ts";
import { Workbench } from "../../bench/lib/workbench.ts";
import { until } from "../helpers/until.ts";

const onLinux = { skip: process.platform === "linux" ? false : "needs /proc" };

test("the median of an even number of values lies between the middle two", () => {
  assert.deepEqual(spread([9, 1, 5]), { median: 5, min: 1, max: 9 });
  assert.deepEqual(spread([4, 1, 10, 2]), { median: 3, min: 1, max: 10 });
  assert.throws(() => spread([]), RangeError);
  assert.throws(() => spread([1, Number.NaN]), RangeError);
});

test("a ratio compares values of the same round and not the medians", () => {
  // Round 2 was slow for both: the quotient of the medians would be 15/20.
  assert.deepEqual(pairedRatio([10, 100, 15], [5, 50, 20]), { median: 2, min: 0.75, max: 2 });
  assert.throws(() => pairedRatio([1], [1, 2]), RangeError);
});

test("the times of a process are read behind a name with blanks and brackets", () => {
  const line = `4711 (a) b (c)) S 42 1 1 0 -1 4194560 100 0 0 0 123 45 6 7 20 0 1 0 999 ${"0 ".repeat(30)}`;
  const times = parseProcessTimes(line);
  assert.deepEqual(times, { pid: 4_711, parent: 42, userMs: 1_230, systemMs: 450 });
  assert.throws(() => parseProcessTimes("not a stat line"), /not a line/);
  assert.throws(() => parseProcessTimes("4711 (cut) S 42 1"), /not a line/);
});

test("the CPU time of a tree is that of the process and all its descendants", () => {
  const one = (pid: number, parent: number) => ({ pid, parent, userMs: pid, systemMs: 1 });
  // A child may stand before its parent in the list.
  const all = [one(30, 20), one(1, 0), one(10, 1), one(20, 10), one(11, 1)];
  assert.deepEqual(sumTree(10, all), { userMs: 60, systemMs: 3, pids: [10, 20, 30] });
  assert.throws(() => sumTree(99, all), /process 99 has ended/);
});

test("the CPU time of this very process grows when it works", onLinux, async () => {
  const before = await treeTimes(process.pid);
  const end = process.cpuUsage().user + 60_000;
  while (process.cpuUsage().user < end) Math.sqrt(Math.random());
  const after = await treeTimes(process.pid);
  const grownMs = after.userMs + after.systemMs - before.userMs - before.systemMs;
  assert.ok(grownMs >= 40 && grownMs < 2_000, `grew by ${grownMs} ms`);
  assert.ok(after.pids.includes(process.pid));
});

test("versions are found in what programs print", () => {
  assert.equal(parseVersion("nginx version: nginx/1.22.1\n"), "1.22.1");
  const haproxy = "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/";
  assert.equal(parseVersion(haproxy), "2.6.12-1+deb12u4");
  assert.equal(parseVersion("nothing"), "unknown");
});

test(
  "a workbench ends its processes with their children and removes its folder",
  onLinux,
  async () => {
    const stop = new AbortController();
    const bench = await Workbench.open(stop.signal, 100);
    // The shell ignores the polite signal and so does its child: both must be gone all the same.
    const script = "trap '' TERM; sleep 1000 & sleep 1000";
    const pid = bench.start("stubborn", ["sh", "-c", script]);
    await bench.until("stubborn", async () => (await treeTimes(pid)).pids.length > 1, 2_000);
    const { pids } = await treeTimes(pid);
    await bench.close();
    for (const one of pids) {
      // One that has ended and was not yet collected by its new parent is a Z.
      await until(async () => {
        const text = await readFile(`/proc/${one}/stat`, "utf8").catch(() => ") Z");
        return text.slice(text.lastIndexOf(")")).startsWith(") Z");
      });
    }
    assert.equal(existsSync(bench.folder), false);
  },
);

test("a workbench tells what a process said that did not start, and breaks off when asked", async () => {
  const stop = new AbortController();
  const bench = await Workbench.open(stop.signal);
  try {
    bench.start("broken", ["sh", "-c", "echo the config is bad >&2; exit 3"]);
    await assert.rejects(
      bench.until("broken", async () => false, 2_000),
      /broken ended: the config is bad/,
    );
    await assert.rejects(bench.run("failing", ["sh", "-c", "echo no >&2; exit 1"], 2_000), /no/);
    assert.equal((await bench.run("fine", ["echo", "yes"], 2_000)).trim(), "yes");
    await assert.rejects(bench.run("slow", ["sleep", "1000"], 50), /did not end within 50 ms/);
    const running = bench.run("long", ["sleep", "1000"], 60_000);
    stop.abort();
    await assert.rejects(running, { name: "AbortError" });
  } finally {
    await bench.close();
  }
});

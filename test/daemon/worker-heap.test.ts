import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

const SIZE = new URL("../../daemon/worker-heap.ts", import.meta.url).href;

/** Fills the young generation of a worker, and says how large in MiB that has become. */
const WORKER = `
  import { getHeapSpaceStatistics } from "node:v8";
  const kept = [];
  for (let at = 0; at < 2e6; at++) kept[at % 200_000] = { at };
  const young = getHeapSpaceStatistics().find((space) => space.space_name === "new_space");
  console.log(young.space_size / 1_048_576);`;

function youngMib(flags: string[], nodeOptions = ""): number {
  const main = `
    const { Worker } = await import("node:worker_threads");
    const { sizeWorkerHeaps } = await import(${JSON.stringify(SIZE)});
    sizeWorkerHeaps(process.execArgv, process.env.NODE_OPTIONS ?? "");
    new Worker(${JSON.stringify(WORKER)}, { eval: true });`;
  const args = ["--disable-warning=ExperimentalWarning", "--input-type=module"];
  const all = ["--max-semi-space-size=2", ...flags, ...args, "-e", main];
  const env = { ...process.env, NODE_OPTIONS: nodeOptions };
  return Number(execFileSync(process.execPath, all, { encoding: "utf8", env }));
}

test("workers get a young generation of their own size, unless one was given to node", () => {
  const own = youngMib([]);
  const larger = youngMib(["--max-semi-space-size=16"]);
  assert.ok(larger > own, `${larger} MiB where 16 were given, ${own} else`);
  assert.equal(youngMib(["--max_semi_space_size=16"]), larger, "V8's other spelling");
  const smaller = youngMib(["--max-semi-space-size=1"]);
  assert.ok(smaller < own, `${smaller} MiB where 1 was given, ${own} else`);
  assert.ok(youngMib([], "--max-semi-space-size=1") < own, "by NODE_OPTIONS");
});

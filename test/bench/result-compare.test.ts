import assert from "node:assert/strict";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Figure } from "../../bench/model.ts";
import { compareResults, comparisonTable } from "../../bench/result/compare.ts";
import { readResult } from "../../bench/result/read-result.ts";
import type { BenchResult, ResultRow } from "../../bench/result/result.ts";
import { sampleResult } from "./sample-result.ts";

const WIDE = { width: Number.POSITIVE_INFINITY, color: false };
const GREEN = "\u001b\\[32m";
const RED = "\u001b\\[31m";
const RESULT = sampleResult();
let folder = "";

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "bench-result-"));
});
after(() => rm(folder, { recursive: true, force: true }));

async function written(name: string, content: unknown): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

/** The same result with the CPU figure of one contestant changed. */
function withCpu(contestant: string, to: (old: Figure) => Figure): BenchResult {
  const changed = (row: ResultRow): ResultRow => {
    const { cpuMicrosPerRequest: old } = row;
    if (row.contestant !== contestant || old === null) return row;
    return { ...row, cpuMicrosPerRequest: to(old) };
  };
  return { ...RESULT, results: RESULT.results.map(changed) };
}

function times(by: number): (old: Figure) => Figure {
  return ({ median, min, max }) => ({ median: median * by, min: min * by, max: max * by });
}

test("a result reads back as it was written", async () => {
  const read = await readResult(await written("good.json", RESULT));
  assert.deepEqual(read, JSON.parse(JSON.stringify(RESULT)));
});

test("a field that a later version added does not hinder", async () => {
  const read = await readResult(await written("later.json", { ...RESULT, later: { a: 1 } }));
  assert.ok(!("later" in read));
});

test("a bad field is named by its path", async () => {
  const [row] = RESULT.results;
  const results = [{ ...row, latencyMs: { ...row?.latencyMs, p99: "fast" } }];
  const path = await written("bad.json", { ...RESULT, results });
  await assert.rejects(readResult(path), (error: Error) => {
    assert.equal(error.name, "BenchError");
    assert.match(
      error.message,
      /bad\.json is not a result of hostmesh bench:\n {2}results\[0\]\.latencyMs\.p99: /,
    );
    return true;
  });
});

test("with very many bad fields some are named and the rest is counted", async () => {
  const path = await written("many.json", { schema: 1, notes: Array(900).fill(7) });
  await assert.rejects(readResult(path), (error: Error) => {
    assert.ok(error.message.length < 1_000, error.message);
    assert.match(error.message, /and \d+ more$/);
    return true;
  });
});

test("a file that is missing, no file, no JSON, too large or of another schema is told apart", async () => {
  await assert.rejects(readResult(join(folder, "none.json")), /cannot read .*none\.json: ENOENT/);
  await assert.rejects(readResult(folder), /is not a file|cannot read .*EISDIR/);
  await assert.rejects(readResult(await written("text.json", "{oops")), /text\.json is not JSON/);
  await assert.rejects(
    readResult(await written("list.json", [])),
    /not a result of hostmesh bench/,
  );
  await assert.rejects(
    readResult(await written("two.json", { schema: 2 })),
    /schema 2; .* schema 1/,
  );
  const large = await written("large.json", "");
  await truncate(large, 65 * 1_048_576);
  await assert.rejects(readResult(large), /has 68157440 bytes; a result has at most/);
});

test("a change is the quotient of the medians, and chance where the spreads overlap", () => {
  const far = compareResults(RESULT, withCpu("hostmesh", times(0.5)));
  const own = far.rows.filter(({ before: { contestant } }) => contestant === "hostmesh");
  assert.equal(own.length, 8);
  for (const { cpu, p99 } of own) {
    assert.ok(Math.abs((cpu?.ratio ?? 0) - 0.5) < 1e-9);
    assert.equal(cpu?.isWithinSpread, false);
    assert.deepEqual(p99, { ratio: 1, isWithinSpread: true });
  }
  const near = compareResults(RESULT, withCpu("hostmesh", times(1.001)));
  const one = near.rows.find(({ before: { contestant } }) => contestant === "hostmesh");
  assert.equal(one?.cpu?.isWithinSpread, true);
  const direct = far.rows.find(({ before: { mode } }) => mode === "direct");
  assert.equal(direct?.cpu, null);
  assert.notEqual(direct?.throughput, null);
});

test("the table shows changes with their direction, and ~ where they may be chance", () => {
  const faster = compareResults(RESULT, withCpu("hostmesh", times(0.5)));
  const lines = comparisonTable(faster, { ...WIDE, color: true });
  const row = lines.find((line) => line.startsWith("hostmesh  "));
  assert.match(row ?? "", new RegExp(`${GREEN} *0\\.50x`));
  assert.match(row ?? "", /~1\.00x/);
  const slower = comparisonTable(compareResults(RESULT, withCpu("hostmesh", times(2))), {
    ...WIDE,
    color: true,
  });
  assert.match(
    slower.find((line) => line.startsWith("hostmesh  ")) ?? "",
    new RegExp(`${RED} *2\\.00x`),
  );
  const narrow = comparisonTable(faster, { width: 50, color: false });
  const rows = narrow.filter((line) => line.startsWith("haproxy"));
  assert.ok(rows.length > 0 && rows.every((line) => line.length <= 50));
});

test("rows of one result only are listed and not compared", () => {
  const without = { ...RESULT, results: RESULT.results.filter((row) => row.rate !== 2_000) };
  const { rows, onlyBefore, onlyAfter } = compareResults(RESULT, without);
  assert.equal(rows.length, without.results.length);
  assert.equal(onlyBefore.length, 9);
  assert.equal(onlyAfter.length, 0);
  const lines = comparisonTable(compareResults(without, RESULT), WIDE);
  const only = lines.filter((line) => line.startsWith("only in the second: "));
  assert.equal(only.length, 9);
  const nothing = comparisonTable(compareResults({ ...RESULT, results: [] }, RESULT), WIDE);
  assert.ok(nothing.includes("no contestant was measured under the same workload in both"));
});

test("other machines, durations and versions are warned of, and equal ones are not", () => {
  assert.deepEqual(compareResults(RESULT, RESULT).warnings, []);
  const { warnings } = compareResults(RESULT, {
    ...RESULT,
    machine: { ...RESULT.machine, cpuModel: "Another" },
    method: { ...RESULT.method, seconds: 1 },
    versions: { ...RESULT.versions, nginx: "9.9" },
  });
  assert.deepEqual(warnings, [
    "CPU model differs: AMD EPYC 7B13, then Another",
    "seconds of a round differs: 5, then 1",
    "version of nginx differs: 1.22.1, then 9.9",
  ]);
  const lines = comparisonTable({ rows: [], onlyBefore: [], onlyAfter: [], warnings }, WIDE);
  assert.equal(lines.filter((line) => line.startsWith("WARNING: ")).length, 3);
});

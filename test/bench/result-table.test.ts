import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { grouped, mebibytes, significant } from "../../bench/result/format-figure.ts";
import { MARKS } from "../../bench/result/marks.ts";
import { resultTables } from "../../bench/result/table.ts";
import { PAIR, sampleResult } from "./sample-result.ts";

const WIDE = { width: Number.POSITIVE_INFINITY, color: false };
const GREEN = "\u001b\\[32m";
const RED = "\u001b\\[31m";
const RESULT = sampleResult();

test("the table shows each contestant's figures with ratios to the baseline", () => {
  const lines = resultTables(RESULT, WIDE);
  const at = lines.indexOf("HTTP/1.1, body 115 B, 64 connections, 8,000/s");
  assert.ok(at !== -1);
  const header = lines[at + 1] ?? "";
  for (const title of [
    "req/s",
    "p99.9",
    "x p99",
    "CPU µs/req",
    "x CPU",
    "PSS MiB",
    "TCP/TLS opens",
  ]) {
    assert.ok(header.includes(title), `${title} in ${header}`);
  }
  const own = lines[at + 3] ?? "";
  const row = RESULT.results.find((one) => one.contestant === "hostmesh" && one.rate === 8_000);
  assert.match(own, /^hostmesh /);
  assert.ok(own.includes(significant(row?.cpuMicrosPerRequest?.median ?? 0)), own);
  assert.ok(own.includes(`${row?.ratioToBaseline?.cpu?.median.toFixed(2)}x`), own);
  assert.ok(lines.some((line) => line.includes(`quotient with ${PAIR.name}`)));
});

test("marks are explained below, missing contestants, notes and left out rounds are named", () => {
  const text = resultTables(RESULT, WIDE).join("\n");
  assert.ok(text.includes(`load-bound: ${MARKS["load-bound"]}`));
  assert.ok(!text.includes(MARKS["late-load"]));
  assert.match(text, /NOT MEASURED: linkerd pair: linkerd is missing/);
  assert.match(text, /^NOTE: Latency at full load/m);
  assert.match(text, /nginx pair, .*round 2: 4 requests failed/);
});

test("idle and scale have tables of their own, and none where they were not measured", () => {
  const text = resultTables(RESULT, WIDE).join("\n");
  assert.match(text, /^hostmesh daemon +50 +3 +48\.0/m);
  assert.match(text, /^hostmesh: cost against services\n.*\n +10 +14\.4 +1\.00x/m);
  assert.match(text, /^hostmesh +10,000 +2\.35$/m);
  const bare = resultTables(sampleResult({ idle: [], idleConnections: [], scale: [] }), WIDE);
  assert.ok(!bare.some((line) => /idle|cost against/.test(line)));
});

for (const width of [40, 60, 80, 120]) {
  test(`no line of a table is wider than a terminal of ${width}, and what was dropped is named`, () => {
    const lines = resultTables(RESULT, { width, color: true }).map(stripVTControlCharacters);
    const tables = lines.slice(
      0,
      lines.findIndex((line) => line.startsWith("medians of")),
    );
    const titles = new Set(resultTables(RESULT, WIDE));
    for (const line of tables) assert.ok([...line].length <= width || titles.has(line), line);
    assert.ok(lines.some((line) => line.startsWith("not shown on this width: ")));
    assert.ok(tables.some((line) => /^contestant +req\/s/.test(line)));
  });
}

test("a terminal of 80 columns keeps whole names, CPU and both ratios", () => {
  const lines = resultTables(RESULT, { width: 80, color: false });
  const row = lines.find((line) => line.startsWith("hostmesh pair, mTLS h2 "));
  assert.match(row ?? "", /(\d\.\d\dx).*(\d\.\d\dx)/);
});

test("growth over another protocol than HTTP/1.1 says so in its titles", () => {
  const of = <Row extends { readonly protocol: string }>(rows: readonly Row[]) =>
    rows.map((row) => ({ ...row, protocol: "http2" as const }));
  const { idle, idleConnections, scale } = RESULT;
  const given = { idle: of(idle), idleConnections: of(idleConnections), scale: of(scale) };
  const text = resultTables(sampleResult(given), WIDE).join("\n");
  assert.match(text, /^Memory of idle proxies on one host, HTTP\/2$/m);
  assert.match(text, /^Memory of idle client connections, HTTP\/2$/m);
  assert.match(text, /^hostmesh: cost against services, HTTP\/2$/m);
});

test("better is green and worse is red, only with colour", () => {
  const coloured = resultTables(RESULT, { ...WIDE, color: true }).join("\n");
  assert.match(coloured, new RegExp(`${GREEN} *0\\.\\d\\dx`));
  assert.match(coloured, new RegExp(`${RED} *[1-9]\\.\\d\\dx`));
  assert.ok(!resultTables(RESULT, WIDE).join("").includes("\u001b"));
});

test("hostile text cannot move the cursor", () => {
  const evil = "x\u001b[2J\u0007";
  const lines = resultTables(
    sampleResult({
      missing: [{ name: evil, reason: evil }],
      notes: [evil],
      scale: RESULT.scale.map((row) => ({ ...row, contestant: evil, problems: [evil] })),
      results: RESULT.results.map((row) => ({ ...row, contestant: evil, problems: [evil] })),
    }),
    WIDE,
  );
  for (const one of ["\u001b", "\u0007"]) assert.ok(!lines.join("").includes(one));
});

test("figures keep three digits and get separators", () => {
  const shown = [0.01234, 1.234, 12.34, 123.4, 1_234.5, 0].map(significant);
  assert.deepEqual(shown, ["0.012", "1.23", "12.3", "123", "1,235", "0.00"]);
  assert.deepEqual([7, 12.5, 1_234_567, 99.96].map(grouped), ["7", "12.5", "1,234,567", "100.0"]);
  assert.equal(mebibytes(3 * 1_048_576), "3.00");
});

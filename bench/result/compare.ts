import { paint, printable } from "../../src/core/terminal.ts";
import type { Cell, TableOptions } from "../../src/core/text-table.ts";
import type { Figure } from "../model.ts";
import { fitTable, NAME_WIDTH, type RankedColumn } from "./fit-table.ts";
import type { BenchResult, ResultRow } from "./result.ts";
import { workloadKey } from "./workload-key.ts";
import { workloadLabel } from "./workload-label.ts";

/** How one figure of a row changed. */
export interface Change {
  /** Median after divided by median before. */
  readonly ratio: number;
  /** The spreads overlap: repeats of the same thing differ as much. */
  readonly isWithinSpread: boolean;
}

/** One contestant under one workload in both results; null where either has no such figure. */
export interface ComparedRow {
  readonly before: ResultRow;
  readonly after: ResultRow;
  readonly cpu: Change | null;
  readonly p50: Change | null;
  readonly p99: Change | null;
  readonly throughput: Change | null;
  readonly pss: Change | null;
}

export interface Comparison {
  readonly rows: readonly ComparedRow[];
  readonly onlyBefore: readonly ResultRow[];
  readonly onlyAfter: readonly ResultRow[];
  /** Why the two may not be comparable. */
  readonly warnings: readonly string[];
}

/** Matches the rows of two results by contestant, topology and workload. */
export function compareResults(before: BenchResult, after: BenchResult): Comparison {
  const later = new Map(after.results.map((row) => [rowKey(row), row]));
  const earlier = new Set(before.results.map(rowKey));
  const rows = before.results.flatMap((row) => {
    const match = later.get(rowKey(row));
    return match === undefined ? [] : [compareRow(row, match)];
  });
  return {
    rows,
    onlyBefore: before.results.filter((row) => !later.has(rowKey(row))),
    onlyAfter: after.results.filter((row) => !earlier.has(rowKey(row))),
    warnings: warningsOf(before, after),
  };
}

function rowKey(row: ResultRow): string {
  return [row.contestant, row.topology, workloadKey(row)].join("\n");
}

function compareRow(before: ResultRow, after: ResultRow): ComparedRow {
  return {
    ...{ before, after },
    cpu: change(cost(before), cost(after)),
    p50: change(before.latencyMs?.p50, after.latencyMs?.p50),
    p99: change(before.latencyMs?.p99, after.latencyMs?.p99),
    throughput: change(before.throughput, after.throughput),
    pss: change(before.pssBytes, after.pssBytes),
  };
}

function cost(row: ResultRow): Figure | null {
  return row.cpuSecondsPerGigabyte ?? row.cpuMicrosPerRequest;
}

function change(before: Figure | null | undefined, after: Figure | null | undefined) {
  if (!before || !after || before.median <= 0) return null;
  const isWithinSpread = before.min <= after.max && after.min <= before.max;
  return { ratio: after.median / before.median, isWithinSpread };
}

function warningsOf(before: BenchResult, after: BenchResult): string[] {
  const facts: readonly (readonly [string, (result: BenchResult) => string | number | boolean])[] =
    [
      ["CPU model", ({ machine }) => machine.cpuModel],
      ["number of CPUs", ({ machine }) => machine.cpus],
      ["kernel", ({ machine }) => machine.kernel],
      ["virtualisation", ({ machine }) => machine.virtualised ?? "none"],
      ["node", ({ machine }) => machine.node],
      ["seconds of a round", ({ method }) => method.seconds],
      ["rounds", ({ method }) => method.rounds],
      ["workers", ({ method }) => method.workers],
      ["varied requests", ({ method }) => method.vary],
      ["topology", ({ method }) => method.topology],
      ["pins", ({ method }) => method.site],
    ];
  const differing = facts.flatMap(([name, of]) =>
    of(before) === of(after) ? [] : [`${name} differs: ${of(before)}, then ${of(after)}`],
  );
  return [...differing, ...versionWarnings(before, after)];
}

function versionWarnings({ versions }: BenchResult, after: BenchResult): string[] {
  return Object.entries(versions).flatMap(([name, version]) => {
    const then = after.versions[name];
    return then === undefined || then === version
      ? []
      : [`version of ${name} differs: ${version}, then ${then}`];
  });
}

/** The comparison as lines for a terminal. */
export function comparisonTable(comparison: Comparison, options: TableOptions): string[] {
  const lines: string[] = [];
  for (const rows of Map.groupBy(comparison.rows, ({ before }) => workloadKey(before)).values()) {
    const [first] = rows;
    if (first === undefined) continue;
    const table = fitTable(columns(), rows, options);
    lines.push(paint(workloadLabel(first.before), "strong", options.color), ...table.lines, "");
  }
  const only = (rows: readonly ResultRow[], which: string) =>
    rows.map((row) => printable(`only in the ${which}: ${row.contestant}, ${workloadLabel(row)}`));
  if (comparison.rows.length > 0) {
    lines.push(
      "quotients of the medians, second by first; ~: within spread, so the difference may be chance",
    );
  } else lines.push("no contestant was measured under the same workload in both");
  lines.push(...only(comparison.onlyBefore, "first"), ...only(comparison.onlyAfter, "second"));
  const warn = (one: string) => paint(`WARNING: ${printable(one)}`, "warn", options.color);
  return [...lines, ...comparison.warnings.map(warn)];
}

function columns(): RankedColumn<ComparedRow>[] {
  const name = { title: "contestant", rank: 0, minWidth: NAME_WIDTH };
  return [
    { ...name, cell: ({ before }) => before.contestant },
    changed("CPU", 0, true, ({ cpu }) => cpu),
    changed("p50", 2, true, ({ p50 }) => p50),
    changed("p99", 0, true, ({ p99 }) => p99),
    changed("req/s", 1, false, ({ throughput }) => throughput),
    changed("PSS", 3, true, ({ pss }) => pss),
    { title: "marks", rank: 0, minWidth: 10, cell: markCell },
  ];
}

function changed(
  title: string,
  rank: number,
  isLessBetter: boolean,
  pick: (row: ComparedRow) => Change | null,
): RankedColumn<ComparedRow> {
  const cell = (row: ComparedRow): Cell => {
    const value = pick(row);
    if (value === null) return "-";
    const text = `${value.isWithinSpread ? "~" : ""}${value.ratio.toFixed(2)}x`;
    if (value.isWithinSpread) return { text, style: "dim" };
    return { text, style: value.ratio < 1 === isLessBetter ? "good" : "bad" };
  };
  return { title, rank, align: "right", cell };
}

function markCell({ before, after }: ComparedRow): Cell {
  const marks = [...new Set([...before.marks, ...after.marks])];
  return marks.length === 0 ? "" : { text: marks.join(", "), style: "warn" };
}

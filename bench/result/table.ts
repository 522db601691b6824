import { paint, printable } from "../../src/core/terminal.ts";
import type { Cell, TableOptions } from "../../src/core/text-table.ts";
import type { Figure } from "../model.ts";
import { type FittedTable, fitTable, NAME_WIDTH, type RankedColumn } from "./fit-table.ts";
import { grouped, mebibytes, medianOf, NOTHING, rangeOf, ratioOf } from "./format-figure.ts";
import { growthTables } from "./growth-table.ts";
import { MARKS } from "./marks.ts";
import type { BenchResult, Mark, ResultRow } from "./result.ts";
import { workloadKey } from "./workload-key.ts";
import { workloadLabel } from "./workload-label.ts";

/** Below and above these quotients a difference is shown in colour; between them lies what repeats differ by. */
const BETTER = 0.95;
const WORSE = 1.05;

/** The figures of a result as lines for a terminal: one table for each workload, then idle and scale, then what to know. */
export function resultTables(result: BenchResult, options: TableOptions): string[] {
  const { results, missing, notes, method } = result;
  const lines: string[] = [];
  const leftOut = new Set<string>();
  const add = (title: string, table: FittedTable) => {
    lines.push(paint(title, "strong", options.color), ...table.lines, "");
    for (const one of table.leftOut) leftOut.add(one);
  };
  for (const rows of Map.groupBy(results, workloadKey).values()) {
    const [first] = rows;
    if (first !== undefined) add(workloadLabel(first), workloadTable(rows, options));
  }
  for (const { title, table } of growthTables(result, options)) add(title, table);
  const marks = new Set(results.flatMap((row) => row.marks));
  return [
    ...lines,
    ...(results.length === 0 ? [] : legend(result)),
    printable(`${method.topology}; ${method.site}`),
    ...[...marks].map((mark) => `${mark}: ${MARKS[mark]}`),
    ...(leftOut.size === 0 ? [] : [`not shown on this width: ${[...leftOut].join(", ")}`]),
    ...problemLines(results),
    ...missing.map(({ name, reason }) => `NOT MEASURED: ${printable(name)}: ${printable(reason)}`),
    ...notes.map((note) => `NOTE: ${printable(note)}`),
  ];
}

function legend({ method, baseline, results }: BenchResult): string[] {
  const { rounds, seconds } = method;
  // Fewer than planned where it was broken off, or rounds were left out.
  const least = results.reduce((so, one) => Math.min(so, one.rounds.valid), rounds);
  const counted = least === rounds ? `${rounds}` : `${least} to ${rounds}`;
  return [
    `medians of ${counted} rounds of ${seconds} s; +p50, +p99: ms over direct in the same round`,
    ...(baseline === null
      ? []
      : [`x: quotient with ${printable(baseline)}, taken within each round`]),
    ...(results.some(({ hostmeshRatio }) => hostmeshRatio !== null)
      ? [
          "hm/: figure of hostmesh (with TLS where the row has it) divided by the row's, in each round",
        ]
      : []),
  ];
}

function workloadTable(rows: readonly ResultRow[], options: TableOptions): FittedTable {
  const isTcp = rows.some(({ protocol }) => protocol === "tcp");
  return fitTable([...speedColumns(), ...costColumns(isTcp), ...otherColumns()], rows, options);
}

type Ranked = RankedColumn<ResultRow>;

/** A column of medians. */
function median(
  title: string,
  rank: number,
  pick: (row: ResultRow) => Figure | null | undefined,
  format?: (value: number) => string,
): Ranked {
  return { title, rank, align: "right", cell: (row) => medianOf(pick(row), format) };
}

function speedColumns(): Ranked[] {
  return [
    { title: "contestant", rank: 0, minWidth: NAME_WIDTH, cell: ({ contestant }) => contestant },
    median("req/s", 0, ({ throughput }) => throughput, grouped),
    median("p50 ms", 4, ({ latencyMs }) => latencyMs?.p50),
    median("p90", 9, ({ latencyMs }) => latencyMs?.p90),
    median("p99", 0, ({ latencyMs }) => latencyMs?.p99),
    median("p99.9", 5, ({ latencyMs }) => latencyMs?.p999),
    median("+p50", 11, ({ addedLatencyMs }) => addedLatencyMs?.p50),
    median("+p99", 7, ({ addedLatencyMs }) => addedLatencyMs?.p99),
    ratio("x p99", 2, (row) => row.ratioToBaseline?.p99 ?? null),
    ratio("hm/ p99", 4, (row) => row.hostmeshRatio?.p99 ?? null),
  ];
}

function costColumns(isTcp: boolean): Ranked[] {
  const cost = (row: ResultRow) => (isTcp ? row.cpuSecondsPerGigabyte : row.cpuMicrosPerRequest);
  return [
    median(isTcp ? "CPU s/GB" : "CPU µs/req", 0, cost),
    { title: "range", rank: 10, align: "right", cell: (row) => spreadOf(cost(row)) },
    ratio("x CPU", 1, (row) => row.ratioToBaseline?.cpu ?? null),
    ratio("hm/ CPU", 3, (row) => row.hostmeshRatio?.cpu ?? null),
    // Empty, and so left out, but for TCP.
    median("GB/CPU s", 3, ({ gigabytesPerCpuSecond }) => gigabytesPerCpuSecond),
    ratio("hm/ GB/CPU s", 3, (row) => row.hostmeshRatio?.gigabytesPerCpuSecond ?? null, true),
  ];
}

/** Nothing where one round was valid: it has no spread. */
function spreadOf(cost: Figure | null): string {
  return cost === null || cost.min === cost.max ? NOTHING : rangeOf(cost);
}

function otherColumns(): Ranked[] {
  return [
    median("switches/req", 12, ({ contextSwitchesPerRequest }) => contextSwitchesPerRequest),
    median("PSS MiB", 6, ({ pssBytes }) => pssBytes, mebibytes),
    median("conns", 8, ({ openConnections }) => openConnections, grouped),
    { title: "TCP/TLS opens", rank: 13, align: "right", cell: handshakeCell },
    { title: "errors", rank: 3, align: "right", cell: errorCell },
    { title: "marks", rank: 0, minWidth: 10, cell: markCell },
  ];
}

/** `isMoreBetter`: of what is good where it is high. */
function ratio(
  title: string,
  rank: number,
  pick: (row: ResultRow) => Figure | null,
  isMoreBetter = false,
): Ranked {
  const cell = (row: ResultRow): Cell => {
    const value = pick(row);
    const text = ratioOf(value);
    if (value === null || (value.median > BETTER && value.median < WORSE)) return text;
    return { text, style: value.median <= BETTER !== isMoreBetter ? "good" : "bad" };
  };
  return { title, rank, align: "right", cell };
}

/** Connections that the proxies opened or accepted in a round, and TLS handshakes among them. */
function handshakeCell({ handshakes }: ResultRow): string {
  return handshakes === null
    ? NOTHING
    : `${medianOf(handshakes.tcp, grouped)}/${medianOf(handshakes.tls, grouped)}`;
}

function errorCell({ errors }: ResultRow): Cell {
  return errors.max === 0 ? "-" : { text: `${grouped(errors.max)} max`, style: "bad" };
}

function markCell({ marks }: ResultRow): Cell {
  if (marks.length === 0) return "";
  const isBad = (mark: Mark) => mark === "invalid";
  return { text: marks.join(", "), style: marks.some(isBad) ? "bad" : "warn" };
}

function problemLines(results: readonly ResultRow[]): string[] {
  return results.flatMap((row) =>
    row.problems.map((one) => printable(`${row.contestant}, ${workloadLabel(row)}, ${one}`)),
  );
}

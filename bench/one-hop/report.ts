import { formatShare } from "../../src/core/format-figures.ts";
import { type Cell, type Column, textTable } from "../../src/core/text-table.ts";
import type { Spread } from "../lib/statistics.ts";
import type { Row, Unit } from "./summarize.ts";

/** CPU of a small request against HAProxy's: what hostmesh promises. */
const GOAL = { bodyBytes: 115, ofHaproxy: 1.25 };
/** Beyond this share of somebody else a row cannot be trusted to a tenth. */
const DISTURBED = 0.05;

/** A table of the rows, what is wrong with some of them, and how far hostmesh is from its goal. */
export function report(rows: readonly Row[], unit: Unit, width: number, color: boolean): string[] {
  const isHttp = unit === "us/request";
  const right = (title: string): Column => ({ title, align: "right" });
  const columns: Column[] = [
    ...[right("body"), { title: "proxy" }, right(isHttp ? "req/s" : "GB/s")],
    ...[right(isHttp ? "CPU µs/req" : "CPU s/GB"), right("min-max"), right("user"), right("sys")],
    ...[right("x HAProxy"), right("x nginx"), { title: "" }],
  ];
  const digits = isHttp ? 1 : 3;
  const cells = rows.map((row): Cell[] => [
    ...[formatBody(row.bodyBytes), row.name],
    row.perSecond.median.toFixed(isHttp ? 0 : 2),
    ...[median(row.cost, digits), range(row.cost, digits)],
    ...[median(row.user, digits), median(row.system, digits)],
    ...[median(row.ofHaproxy, 2), median(row.ofNginx, 2)],
    noteOf(row),
  ]);
  return [
    ...textTable(columns, cells, { width, color }),
    ...problemsOf(rows),
    ...goalOf(rows, unit),
  ];
}

/** Size of a body as people say it. */
export function formatBody(bytes: number): string {
  if (bytes >= 1_048_576 && bytes % 1_048_576 === 0) return `${bytes / 1_048_576} MiB`;
  return bytes >= 1_024 && bytes % 1_024 === 0 ? `${bytes / 1_024} KiB` : `${bytes} B`;
}

function median(value: Spread | null, digits: number): string {
  return value === null ? "-" : value.median.toFixed(digits);
}

function range(value: Spread | null, digits: number): string {
  return value === null ? "-" : `${value.min.toFixed(digits)}-${value.max.toFixed(digits)}`;
}

function noteOf({ problems, foreignShare }: Row): Cell {
  if (problems.length > 0) return { text: "INVALID", style: "bad" };
  if (foreignShare === null || foreignShare < DISTURBED) return "";
  return { text: `disturbed: others had up to ${formatShare(foreignShare)}`, style: "warn" };
}

function problemsOf(rows: readonly Row[]): string[] {
  return rows.flatMap(({ name, bodyBytes, problems }) =>
    problems.map((problem) => `${name}, ${formatBody(bodyBytes)}, ${problem}`),
  );
}

function goalOf(rows: readonly Row[], unit: Unit): string[] {
  if (unit !== "us/request") return [];
  const isIt = ({ name, bodyBytes }: Row) => name === "hostmesh" && bodyBytes === GOAL.bodyBytes;
  const ratio = rows.find(isIt)?.ofHaproxy;
  if (ratio === null || ratio === undefined) return [];
  const verdict = ratio.median <= GOAL.ofHaproxy ? "met" : "missed";
  return [
    `goal: at most ${GOAL.ofHaproxy} x HAProxy with ${GOAL.bodyBytes} B: ${verdict}, ${ratio.median.toFixed(2)}`,
  ];
}

import { printable } from "../../src/core/terminal.ts";
import type { TableOptions } from "../../src/core/text-table.ts";
import type { ScaleRow } from "../model.ts";
import { type FittedTable, fitTable, NAME_WIDTH, type RankedColumn } from "./fit-table.ts";
import { grouped, mebibytes, medianOf, significant } from "./format-figure.ts";
import type { BenchResult } from "./result.ts";
import { sizeName } from "./size-name.ts";
import { titled } from "./workload-label.ts";

export interface TitledTable {
  readonly title: string;
  readonly table: FittedTable;
}

/** Tables of what idle proxies hold and of what growing costs; none where that was not measured. */
export function growthTables(result: BenchResult, options: TableOptions): TitledTable[] {
  const { idle, idleConnections, scale } = result;
  const tables: TitledTable[] = [];
  const [idleRow] = idle;
  if (idleRow !== undefined) {
    const table = fitTable(idleColumns(), idle, options);
    tables.push({ title: titled("Memory of idle proxies on one host", idleRow), table });
  }
  const [connectionsRow] = idleConnections;
  if (connectionsRow !== undefined) {
    const table = fitTable(idleConnectionColumns(), idleConnections, options);
    tables.push({ title: titled("Memory of idle client connections", connectionsRow), table });
  }
  const series = Map.groupBy(scale, ({ contestant, dimension }) => `${dimension} ${contestant}`);
  for (const rows of series.values()) {
    const [first] = rows;
    if (first === undefined) continue;
    const what = `${first.contestant}: cost against ${sizeName(first.dimension)}`;
    const title = printable(titled(what, first));
    tables.push({ title, table: fitTable(scaleColumns(first), rows, options) });
  }
  return tables;
}

function idleColumns(): RankedColumn<BenchResult["idle"][number]>[] {
  return [
    { title: "contestant", rank: 0, minWidth: NAME_WIDTH, cell: ({ contestant }) => contestant },
    number("containers", 0, ({ containers }) => grouped(containers)),
    number("processes", 3, ({ processes }) => grouped(processes)),
    number("PSS MiB", 0, ({ pssBytes }) => mebibytes(pssBytes)),
    number("PSS MiB each", 1, ({ pssBytes, containers }) => mebibytes(pssBytes / containers)),
    number("RSS MiB", 2, ({ rssBytes }) => mebibytes(rssBytes)),
  ];
}

function idleConnectionColumns(): RankedColumn<BenchResult["idleConnections"][number]>[] {
  return [
    { title: "contestant", rank: 0, minWidth: NAME_WIDTH, cell: ({ contestant }) => contestant },
    number("connections", 0, ({ connections }) => grouped(connections)),
    number("PSS KiB each", 0, ({ pssBytesEach }) => significant(pssBytesEach / 1_024)),
  ];
}

/** Quotients refer to the first row: the smallest. */
function scaleColumns(first: ScaleRow): RankedColumn<ScaleRow>[] {
  const base = first.cpuMicrosPerRequest.median;
  return [
    number(sizeName(first.dimension), 0, ({ value }) => grouped(value)),
    number("CPU µs/req", 0, (row) => medianOf(row.cpuMicrosPerRequest)),
    number("x first", 0, (row) => `${(row.cpuMicrosPerRequest.median / base).toFixed(2)}x`),
    number("req/s", 2, ({ throughput }) => medianOf(throughput, grouped)),
    number("p99 ms", 3, ({ p99Ms }) => medianOf(p99Ms)),
    number("PSS MiB", 1, ({ pssBytes }) => mebibytes(pssBytes)),
    { title: "limit", rank: 4, cell: ({ bottleneck }) => bottleneck },
    {
      ...{ title: "problems", rank: 0, minWidth: 10 },
      cell: ({ problems }) =>
        problems.length === 0 ? "" : { text: `invalid: ${problems.join("; ")}`, style: "bad" },
    },
  ];
}

function number<Row>(title: string, rank: number, cell: (row: Row) => string): RankedColumn<Row> {
  return { title, rank, align: "right", cell };
}

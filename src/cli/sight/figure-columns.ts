import { successStyle } from "../../../daemon/demo/demo-frame.ts";
import { formatBytes, formatMs, formatRate, formatShare } from "../../core/format-figures.ts";
import type { Cell, Column } from "../../core/text-table.ts";
import type { Figures } from "../../sight/mesh-report.ts";

/** Success, rate and percentiles: what every table of traffic has. */
export const FIGURE_COLUMNS: readonly Column[] = [
  { title: "SUCCESS", align: "right" },
  { title: "RPS", align: "right" },
  { title: "P50", align: "right", optional: true },
  { title: "P95", align: "right", optional: true },
  { title: "P99", align: "right" },
];

export function figureCells(figures: Figures): Cell[] {
  return [
    successCell(figures.success),
    formatRate(figures.rps),
    formatMs(figures.p50Ms),
    formatMs(figures.p95Ms),
    formatMs(figures.p99Ms),
  ];
}

export function successCell(success: number | null): Cell {
  return { text: formatShare(success), style: successStyle(success) };
}

export const BYTES_COLUMN: Column = { title: "BYTES/S", align: "right", optional: true };

export function bytesCell({ bytesPerSecond }: Figures): Cell {
  return formatBytes(bytesPerSecond);
}

/** Counts since the data paths' start, for wide tables. */
export const TOTAL_COLUMNS: readonly Column[] = [
  { title: "REQUESTS", align: "right" },
  { title: "FAILED", align: "right" },
  { title: "SENT", align: "right" },
  { title: "RECEIVED", align: "right" },
];

export function totalCells(figures: Figures): Cell[] {
  return [
    String(figures.requests),
    { text: String(figures.failures), style: figures.failures > 0 ? "warn" : "dim" },
    formatBytes(figures.requestBytes),
    formatBytes(figures.responseBytes),
  ];
}

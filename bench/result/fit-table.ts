import { truncate } from "../../src/core/terminal.ts";
import { type Cell, type Column, type TableOptions, textTable } from "../../src/core/text-table.ts";

/** Names of contestants are not cut below this: `hostmesh pair, mTLS h2`. */
export const NAME_WIDTH = 22;

/** A column that may be left out where the terminal is narrow: the higher the number, the sooner. 0: never. */
export interface RankedColumn<Row> extends Column {
  readonly rank: number;
  cell(row: Row): Cell;
}

export interface FittedTable {
  readonly lines: readonly string[];
  /** Titles of the columns that did not fit. */
  readonly leftOut: readonly string[];
}

/**
 * A table of the columns that fit. Columns in which no row has anything are left out without a word; then, while the
 * table is too wide with everything cut that may be cut, the one with the highest rank goes.
 */
export function fitTable<Row>(
  columns: readonly RankedColumn<Row>[],
  rows: readonly Row[],
  options: TableOptions,
): FittedTable {
  const isUsed = (column: RankedColumn<Row>) => rows.some((row) => !isEmpty(column.cell(row)));
  let shown = columns.filter(isUsed);
  const leftOut: string[] = [];
  while (widthOf(shown, rows) > options.width) {
    const last = shown.reduce((worst, one) => (one.rank > worst.rank ? one : worst));
    if (last.rank === 0) break;
    leftOut.unshift(last.title);
    shown = shown.filter((one) => one !== last);
  }
  const cells = rows.map((row) => shown.map((column) => column.cell(row)));
  return { lines: textTable(shown, cells, options), leftOut };
}

function isEmpty(cell: Cell): boolean {
  const text = textOf(cell);
  return text === "" || text === "-";
}

function textOf(cell: Cell): string {
  return typeof cell === "string" ? cell : cell.text;
}

function cut(text: string, width: number | undefined): string {
  return width === undefined ? text : truncate(text, width);
}

function widthOf<Row>(columns: readonly RankedColumn<Row>[], rows: readonly Row[]): number {
  // What may be cut counts as cut: a long mark must not cost a column of figures.
  const cells = rows.map((row) =>
    columns.map((column) => cut(textOf(column.cell(row)), column.minWidth)),
  );
  const plain = { width: Number.POSITIVE_INFINITY, color: false };
  return Math.max(...textTable(columns, cells, plain).map((line) => [...line].length));
}

import { paint, printable, type Style, truncate } from "./terminal.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
  /** May be cut to no less than this many characters where the table is too wide. Absent: never cut. */
  readonly minWidth?: number;
  /** May be left out where the table is too wide. */
  readonly optional?: true;
}

export type Cell = string | { readonly text: string; readonly style: Style };

export interface TableOptions {
  /** Columns of the terminal; Infinity (a pipe, a file) never cuts. */
  readonly width: number;
  readonly color: boolean;
}

const GAP = "  ";

/** Of a cuttable column so much is kept while another column can be left out instead: most names fit. */
const READABLE = 24;

/**
 * Lines of a table with a header. Where it is wider than the terminal, optional columns are left out, the last
 * first, until what may be cut stays readable; then cuttable columns give way, always the widest first; if that
 * is not enough, whole lines are cut, so that a row never wraps.
 */
export function textTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  options: TableOptions,
): string[] {
  const natural = columns.map((column, at) => naturalWidth(column, rows, at));
  const kept = keptColumns(columns, natural, options.width);
  return linesOf(
    kept.map((at) => columns[at] as Column),
    rows.map((row) => kept.map((at) => row[at] ?? "")),
    kept.map((at) => natural[at] ?? 0),
    options,
  );
}

function naturalWidth(column: Column, rows: readonly (readonly Cell[])[], at: number): number {
  // Not Math.max over all of them: a call takes only so many arguments.
  return rows.reduce(
    (widest, row) => Math.max(widest, lengthOf(printable(textOf(row[at] ?? "")))),
    column.title.length,
  );
}

/** Indices of the columns that are shown. */
function keptColumns(
  columns: readonly Column[],
  natural: readonly number[],
  available: number,
): number[] {
  const wanted = columns.map(({ minWidth }, at) => {
    const width = natural[at] ?? 0;
    return minWidth === undefined ? width : Math.max(minWidth, Math.min(width, READABLE));
  });
  const kept = columns.map((_, at) => at);
  const width = () => kept.reduce((sum, at) => sum + (wanted[at] ?? 0) + GAP.length, -GAP.length);
  while (width() > available) {
    const last = kept.findLastIndex((at) => columns[at]?.optional === true);
    if (last === -1) break;
    kept.splice(last, 1);
  }
  return kept;
}

function linesOf(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  natural: number[],
  options: TableOptions,
): string[] {
  const cells = rows.map((row) => row.map((cell) => printable(textOf(cell))));
  const widths = fit(columns, natural, options.width);
  const header = columns.map((column, at) => pad(column.title, widths[at] ?? 0, column.align));
  const lines = [
    finish(
      header,
      columns.map(() => "dim" as const),
      options,
    ),
  ];
  for (const [index, row] of cells.entries()) {
    const padded = columns.map((column, at) => pad(row[at] ?? "", widths[at] ?? 0, column.align));
    lines.push(
      finish(
        padded,
        columns.map((_, at) => styleOf(rows[index]?.[at])),
        options,
      ),
    );
  }
  return lines;
}

function textOf(cell: Cell): string {
  return typeof cell === "string" ? cell : cell.text;
}

function styleOf(cell: Cell | undefined): Style | undefined {
  return cell === undefined || typeof cell === "string" ? undefined : cell.style;
}

function lengthOf(text: string): number {
  return [...text].length;
}

function fit(columns: readonly Column[], natural: number[], available: number): number[] {
  const widths = [...natural];
  let excess = widths.reduce((sum, width) => sum + width + GAP.length, -GAP.length) - available;
  for (; excess > 0; excess -= 1) {
    const widest = widestCuttable(columns, widths);
    if (widest === -1) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

function widestCuttable(columns: readonly Column[], widths: readonly number[]): number {
  let widest = -1;
  for (const [at, { minWidth }] of columns.entries()) {
    const width = widths[at] ?? 0;
    if (minWidth === undefined || width <= minWidth) continue;
    if (widest === -1 || width > (widths[widest] ?? 0)) widest = at;
  }
  return widest;
}

function pad(text: string, width: number, align: "left" | "right" = "left"): string {
  const cut = truncate(text, width);
  const space = " ".repeat(Math.max(0, width - lengthOf(cut)));
  return align === "left" ? cut + space : space + cut;
}

function finish(
  cells: readonly string[],
  styles: readonly (Style | undefined)[],
  options: TableOptions,
): string {
  const plain = cells.join(GAP).trimEnd();
  if (lengthOf(plain) > options.width) return truncate(plain, options.width);
  return cells
    .map((cell, at) =>
      paint(at === cells.length - 1 ? cell.trimEnd() : cell, styles[at], options.color),
    )
    .join(GAP)
    .trimEnd();
}

import { formatMs } from "../../core/format-figures.ts";
import type { Cell, Column } from "../../core/text-table.ts";
import { successCell } from "./figure-columns.ts";
import { shortName } from "./names.ts";
import type { Picture } from "./show.ts";
import type { TopGrouping, TopRow, TopSort, TopTable } from "./top-table.ts";

export interface TopView {
  readonly grouping: TopGrouping;
  readonly sort: TopSort;
  /** Lines of the table, at most. */
  readonly maxLines: number;
  /** Of the tap, for each host. */
  readonly perSecond: number;
  readonly wide: boolean;
}

/** What `top` shows of the requests so far. */
export function topPicture(table: TopTable, view: TopView): Picture {
  const rows = table.rows(view.sort);
  const { skipped, forgotten } = table;
  return {
    data: { sort: view.sort, skipped, forgotten, rows },
    table: {
      columns: columnsOf(view),
      rows: rows.slice(0, view.maxLines).map((row) => cellsOf(row, view)),
      empty:
        "No request was seen yet. hostmesh stat shows what has traffic; a name that is misspelt matches nothing.",
    },
    notes: notesOf(rows.length, table, view),
  };
}

function columnsOf({ grouping, wide }: TopView): readonly Column[] {
  const { routes, hideSources } = grouping;
  const right = (title: string): Column => ({ title, align: "right" });
  return [
    ...(hideSources ? [] : [{ title: "SOURCE", minWidth: 8 }]),
    { title: "DESTINATION", minWidth: 11 },
    ...(routes
      ? [{ title: "ROUTE", minWidth: 10 }]
      : [
          { title: "METHOD", minWidth: 4 },
          { title: "PATH", minWidth: 8 },
        ]),
    ...["COUNT", "BEST", "WORST", "LAST", "SUCCESS"].map(right),
    ...(wide ? [right("FAILED")] : []),
  ];
}

function cellsOf(row: TopRow, { grouping, wide }: TopView): Cell[] {
  const { routes, hideSources } = grouping;
  const success = 1 - row.failures / row.count;
  return [
    ...(hideSources ? [] : [shortName(row.source ?? "")]),
    row.destination === null ? "-" : shortName(row.destination),
    ...(routes ? [row.route ?? ""] : [row.method ?? "", row.path ?? ""]),
    String(row.count),
    formatMs(row.bestMs),
    formatMs(row.worstMs),
    formatMs(row.lastMs),
    successCell(success),
    ...(wide ? [String(row.failures)] : []),
  ];
}

function notesOf(all: number, { skipped, forgotten }: TopTable, view: TopView): string[] {
  const lines: string[] = [];
  if (all > view.maxLines) lines.push(`${all - view.maxLines} lines more.`);
  if (skipped > 0) {
    lines.push(
      `${skipped} requests are not in it: more than ${view.perSecond} in a second on one host (--max-rps).`,
    );
  }
  if (forgotten > 0) {
    lines.push(
      `${forgotten} kinds of requests were forgotten: there are too many (--routes has fewer).`,
    );
  }
  return lines;
}

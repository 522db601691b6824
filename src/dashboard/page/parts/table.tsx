import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { plural } from "../model/format.ts";

export interface Column<T> {
  readonly title: string;
  /** What is shown. */
  readonly cell: (row: T) => ComponentChildren;
  /** What is sorted by; null comes last. Absent: nobody can sort by it. */
  readonly sort?: (row: T) => number | string | null;
  readonly isNumber?: boolean;
  /** Hidden on narrower screens, the more the fewer columns fit: 1 only on desks, 2 not on phones. */
  readonly rank?: 1 | 2;
}

interface Props<T> {
  /** What the table is about, for those who hear it. */
  readonly caption: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
  /** What is said in place of an empty table. */
  readonly empty: string;
  /** Title of the column that is sorted by at first; as they come where there is none. */
  readonly first?: string;
  readonly isFirstDescending?: boolean;
  readonly pageSize?: number;
}

interface Order {
  readonly title: string | undefined;
  readonly isDescending: boolean;
}

/** A table that is sorted by its heads and cut into pages: thousands of rows of which most are never looked at cost too much. */
export function Table<T>(props: Props<T>) {
  const { caption, columns, rows, keyOf, empty, pageSize = 50 } = props;
  const isFirstDescending = props.isFirstDescending ?? false;
  const [order, setOrder] = useState<Order>({
    title: props.first,
    isDescending: isFirstDescending,
  });
  const [page, setPage] = useState(0);
  if (rows.length === 0) return <p class="empty">{empty}</p>;
  const pages = Math.ceil(rows.length / pageSize);
  const at = Math.min(page, pages - 1);
  const shown = sorted(rows, columns, order).slice(at * pageSize, (at + 1) * pageSize);
  return (
    <div class="table">
      <table>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <Head key={column.title} column={column} order={order} onOrder={setOrder} />
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column) => (
                <td key={column.title} class={classOf(column)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {pages > 1 && (
        <Pager at={at} pages={pages} rows={rows.length} onPage={setPage} what={caption} />
      )}
    </div>
  );
}

interface HeadProps<T> {
  readonly column: Column<T>;
  readonly order: Order;
  readonly onOrder: (order: Order) => void;
}

function Head<T>({ column, order, onOrder }: HeadProps<T>) {
  const { title } = column;
  if (column.sort === undefined) {
    return (
      <th scope="col" class={classOf(column)}>
        {title}
      </th>
    );
  }
  const isSorted = order.title === title;
  const direction = order.isDescending ? "descending" : "ascending";
  // Numbers are mostly sorted to see the largest, names to find one.
  const isDescending = isSorted ? !order.isDescending : column.isNumber === true;
  return (
    <th scope="col" class={classOf(column)} aria-sort={isSorted ? direction : "none"}>
      <button type="button" class="sort" onClick={() => onOrder({ title, isDescending })}>
        {title}
        <span aria-hidden="true" class="arrow">
          {isSorted ? (order.isDescending ? "▾" : "▴") : ""}
        </span>
      </button>
    </th>
  );
}

interface PagerProps {
  readonly at: number;
  readonly pages: number;
  readonly rows: number;
  readonly onPage: (page: number) => void;
  readonly what: string;
}

function Pager({ at, pages, rows, onPage, what }: PagerProps) {
  return (
    <nav class="pager" aria-label={`Pages of ${what}`}>
      <button type="button" disabled={at === 0} onClick={() => onPage(at - 1)}>
        Previous
      </button>
      <span>
        Page {at + 1} of {pages} ({plural(rows, "row")})
      </span>
      <button type="button" disabled={at === pages - 1} onClick={() => onPage(at + 1)}>
        Next
      </button>
    </nav>
  );
}

function classOf<T>({ isNumber, rank }: Column<T>): string {
  return `${isNumber ? "number" : ""}${rank === undefined ? "" : ` rank-${rank}`}`.trim();
}

function sorted<T>(rows: readonly T[], columns: readonly Column<T>[], order: Order): readonly T[] {
  const by = columns.find(({ title }) => title === order.title)?.sort;
  if (by === undefined) return rows;
  const sign = order.isDescending ? -1 : 1;
  const keyed = rows.map((row) => ({ row, key: by(row) }));
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return Number(a.key === null) - Number(b.key === null);
    if (a.key === b.key) return 0;
    return a.key < b.key ? -sign : sign;
  });
  return keyed.map(({ row }) => row);
}

import { type Markup, markup } from "./markup.ts";

export interface ColumnOf<Row> {
  readonly title: string;
  /** Text columns are set to the left; figures, the rule, to the right. */
  readonly isText?: boolean;
  cell(row: Row): Markup | string;
}

/**
 * A table whose first column heads its rows. Where it is wider than the page it scrolls by itself, also by keyboard.
 * Columns in which no row has anything are left out.
 */
export function figureTable<Row>(
  caption: string,
  columns: readonly ColumnOf<Row>[],
  rows: readonly Row[],
): Markup {
  const used = columns.filter((column) => rows.some((row) => !isEmpty(column.cell(row))));
  const kind = ({ isText = false }: ColumnOf<Row>) => (isText ? "text" : "figure");
  const head = used.map((one) => markup`<th scope="col" class="${kind(one)}">${one.title}</th>`);
  const body = rows.map(
    (row) =>
      markup`<tr>${used.map((one, at) =>
        at === 0
          ? markup`<th scope="row" class="${kind(one)}">${one.cell(row)}</th>`
          : markup`<td class="${kind(one)}">${one.cell(row)}</td>`,
      )}</tr>`,
  );
  return markup`<div class="scroll" role="region" tabindex="0" aria-label="${caption}"><table><caption>${caption}</caption><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>`;
}

function isEmpty(cell: Markup | string): boolean {
  const text = typeof cell === "string" ? cell : cell.text;
  return text === "" || text === "-";
}

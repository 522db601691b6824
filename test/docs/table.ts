import { readFileSync } from "node:fs";
import { join } from "node:path";

export function readDoc(name: string): string {
  return readFileSync(join(import.meta.dirname, "../../docs", name), "utf8");
}

/** Rows of the Markdown table whose first column has this title, by column, without backticks. */
export function readTable(name: string, firstColumn: string): Record<string, string>[] {
  const rows = readDoc(name).split("\n").map(cells);
  const start = rows.findIndex((row) => row[0] === firstColumn);
  if (start === -1) throw new Error(`${name} has no table that begins with ${firstColumn}`);
  const titles = rows[start] ?? [];
  const found: Record<string, string>[] = [];
  for (const row of rows.slice(start + 2)) {
    if (row.length === 0) break;
    found.push(Object.fromEntries(titles.map((title, index) => [title, row[index] ?? ""])));
  }
  return found;
}

function cells(line: string): string[] {
  if (!line.startsWith("|")) return [];
  const parts = line.split("|").slice(1, -1);
  return parts.map((part) => part.trim().replaceAll("`", ""));
}

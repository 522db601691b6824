import { stringify } from "yaml";
import { type Cell, type Column, textTable } from "../core/text-table.ts";
import type { TerminalOutput } from "./terminal-output.ts";

export const OUTPUT_FORMATS = ["table", "json", "yaml"] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

export interface TableData {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
  /** Printed in place of a table without rows. */
  readonly empty: string;
}

/** Prints data as JSON or YAML; false where a table is wanted. */
export function printStructured(
  output: TerminalOutput,
  format: OutputFormat,
  data: unknown,
): boolean {
  if (format === "json") output.line(JSON.stringify(data, null, 2));
  if (format === "yaml") output.write(stringify(data));
  return format !== "table";
}

/** Prints data as JSON or YAML, or the table made of it. */
export function printData(
  output: TerminalOutput,
  format: OutputFormat,
  data: unknown,
  table: () => TableData,
): void {
  if (printStructured(output, format, data)) return;
  const { columns, rows, empty } = table();
  if (rows.length === 0) {
    output.line(empty);
    return;
  }
  const options = { width: output.width(), color: output.color };
  for (const line of textTable(columns, rows, options)) output.line(line);
}

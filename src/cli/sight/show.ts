import { liveTable } from "../../../daemon/demo/live-table.ts";
import { paint, printable, truncate } from "../../core/terminal.ts";
import { textTable } from "../../core/text-table.ts";
import type { MeshReport } from "../../sight/mesh-report.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { printStructured, type TableData } from "../print-data.ts";
import type { TerminalOutput } from "../terminal-output.ts";
import type { Sight } from "./open-sight.ts";
import type { SightFlags, SightFormat } from "./sight-options.ts";
import { stopOnSignals } from "./stop-on-signals.ts";

/** One thing in all forms that it can be shown in. */
export interface Picture {
  /** For JSON and YAML. */
  readonly data: unknown;
  readonly table: TableData;
  /** Lines below the table: what its columns are about, and what is not in it. */
  readonly notes: readonly string[];
}

export interface Show {
  readonly output: TerminalOutput;
  readonly flags: SightFlags;
  readonly sight: Sight;
  readonly picture: (report: MeshReport) => Picture;
}

/** Prints the picture of one report, or with `--watch` of one each second until a signal. */
export async function showReport(show: Show): Promise<void> {
  const { output, flags, sight, picture } = show;
  const { watch = false, output: format } = flags;
  if (!watch) return printPicture(output, format, picture(await sight.read()));
  refuseLiveData(format);
  // The first reading is asked for outside the loop: a wrong name, or nobody there, ends the command.
  picture(await sight.read());
  const { stop, release } = stopOnSignals();
  await liveTable({
    read: () => sight.read(),
    frame: (report, { width }) => pictureLines(picture(report), width, output.color),
    lines: (report) => [...pictureLines(picture(report), Number.POSITIVE_INFINITY, false), ""],
    footer: paint("Ctrl-C ends.", "dim", output.color),
    output: process.stdout,
    color: output.color,
    signal: stop.signal,
  });
  release();
}

/** Throws where the output is for programs: they call again instead. */
function refuseLiveData(format: SightFormat): void {
  if (format === "table" || format === "wide") return;
  throw new CliError("--watch shows tables only", {
    exitCode: EXIT.usage,
    remedy: "leave out -o, or call it without --watch in a loop",
  });
}

export function printPicture(output: TerminalOutput, format: SightFormat, picture: Picture): void {
  if (printStructured(output, format === "wide" ? "table" : format, picture.data)) return;
  for (const line of pictureLines(picture, output.width(), output.color)) output.line(line);
}

/** A note that is too long for the terminal goes on in the next line: it is prose, and all of it is meant to be read. */
export function pictureLines(
  { table, notes }: Picture,
  width: number,
  color: boolean,
): readonly string[] {
  const { columns, rows, empty } = table;
  const body = rows.length === 0 ? wrap(empty, width) : textTable(columns, rows, { width, color });
  if (notes.length === 0) return body;
  const prose = notes.flatMap((note) => wrap(note, width)).map((line) => paint(line, "dim", color));
  return [...body, "", ...prose];
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of printable(text).split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = `  ${word}`;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].map((each) => truncate(each, width));
}

import { parseArgs } from "node:util";
import { textTable } from "../../src/core/text-table.ts";

/** What is measured, as it is given on the command line. */
export interface Options {
  readonly points: readonly number[];
  readonly rounds: number;
  readonly requests: number;
}

/** `number` is what a number looks like; defaults are as they would be given. Throws for what does not look so. */
export function parseOptions(
  args: readonly string[],
  defaults: Readonly<Record<keyof Options, string>>,
  number: RegExp,
): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      points: { type: "string", default: defaults.points },
      rounds: { type: "string", default: defaults.rounds },
      requests: { type: "string", default: defaults.requests },
    },
  });
  const numberOf = (text: string) => {
    if (!number.test(text)) throw new Error(`not a number: ${text}`);
    return Number(text);
  };
  return {
    points: values.points.split(",").map(numberOf),
    rounds: numberOf(values.rounds),
    requests: numberOf(values.requests),
  };
}

/** Lines of a table whose columns are all figures, as wide as it gets. */
export function figureLines(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const columns = titles.map((title) => ({ title, align: "right" as const }));
  return textTable(columns, rows, { width: Number.POSITIVE_INFINITY, color: false });
}

import type { Figure } from "../model.ts";
import { grouped, significant } from "../result/format-figure.ts";
import type { BenchResult, Mark, ResultRow } from "../result/result.ts";
import { type Bar, barPlot } from "./bar-plot.ts";
import type { Identity } from "./identity.ts";
import { type Markup, markup } from "./markup.ts";
import { panel, panels, type Section } from "./section.ts";
import { type WorkloadRows, workloadsOf } from "./workloads.ts";

type Looks = ReadonlyMap<string, Identity>;

/** One kind of figure as bars, one plot for each workload. */
interface Bars {
  readonly id: string;
  readonly name: string;
  readonly axis: string;
  of(row: ResultRow): Figure | null;
  ratio(row: ResultRow): Figure | null | undefined;
  format(value: number): string;
  /** Marks that make a figure something else than it seems. */
  readonly qualifying: readonly Mark[];
}

const HOW =
  "Bars are medians of the rounds, whiskers go from the least to the greatest round. In brackets: the quotient with the baseline, taken within each round; the dashed line is the baseline.";

/** CPU time of a request (of 10^9 bytes with opaque TCP) over all proxies on the path. */
export function cpuSection(result: BenchResult, looks: Looks): Section | null {
  const bars = (row: ResultRow) => row.cpuSecondsPerGigabyte ?? row.cpuMicrosPerRequest;
  const isTcp = result.results.some(({ cpuSecondsPerGigabyte }) => cpuSecondsPerGigabyte !== null);
  const plots = barPanels(result, looks, workloadsOf(result.results), {
    ...{ id: "cpu", name: "CPU per request", of: bars, format: significant },
    axis: isTcp ? "CPU seconds for 10^9 bytes" : "CPU microseconds per request",
    ratio: ({ ratioToBaseline }) => ratioToBaseline?.cpu,
    qualifying: ["disturbed"],
  });
  if (plots.length === 0) return null;
  const text = markup`<p>User and system time of every proxy on the path, both sidecars included, divided by what the load completed. ${HOW} Hatched and with an asterisk: other programs disturbed a round.</p>`;
  return {
    id: "cpu",
    heading: isTcp ? "CPU per gigabyte" : "CPU per request",
    body: markup`${text}${panels(plots)}`,
  };
}

/** Requests per second where as many as possible were asked for. */
export function throughputSection(result: BenchResult, looks: Looks): Section | null {
  const workloads = workloadsOf(result.results).filter(({ rate }) => rate === null);
  const plots = barPanels(result, looks, workloads, {
    ...{ id: "rps", name: "Throughput", axis: "requests per second", format: grouped },
    of: ({ throughput }) => throughput,
    ratio: ({ ratioToBaseline }) => ratioToBaseline?.throughput,
    qualifying: ["load-bound"],
  });
  if (plots.length === 0) return null;
  const text = markup`<p>Every connection asks again as soon as it is answered. ${HOW} Hatched and with an asterisk: the load generator or the upstream was the limit, so that the contestant could have done more.</p>`;
  return { id: "throughput", heading: "Throughput", body: markup`${text}${panels(plots)}` };
}

function barPanels(
  { baseline }: BenchResult,
  looks: Looks,
  workloads: readonly WorkloadRows[],
  kind: Bars,
): Markup[] {
  return workloads.flatMap(({ label, rows }, at) => {
    const bars = rows.flatMap((row) => barOf(row, looks, kind));
    if (bars.every(({ value }) => value === null)) return [];
    const base = rows.find(({ contestant }) => contestant === baseline);
    const title = `${kind.name}: ${label}`;
    const description = `${bars.map(({ identity, note }) => `${identity.name}: ${note}`).join(". ")}.`;
    const line = base === undefined ? null : (kind.of(base)?.median ?? null);
    const plot = { title, description, axis: kind.axis, bars, baseline: line };
    return [panel(label, barPlot(`${kind.id}${at}`, plot))];
  });
}

/** The direct way has no CPU of proxies, and so no bar there. */
function barOf(row: ResultRow, looks: Looks, kind: Bars): Bar[] {
  const identity = looks.get(row.contestant);
  const value = kind.of(row);
  const isInvalid = row.marks.includes("invalid");
  if (identity === undefined || (value === null && !isInvalid)) return [];
  const ratio = kind.ratio(row);
  const quotient = ratio ? ` (${ratio.median.toFixed(2)}x)` : "";
  const isQualified = row.marks.some((mark) => kind.qualifying.includes(mark));
  const note =
    value === null
      ? "no valid round"
      : `${kind.format(value.median)}${isQualified ? "*" : ""}${quotient}`;
  return [{ identity, value, note, isQualified }];
}

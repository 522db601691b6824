import { medianOf } from "../result/format-figure.ts";
import type { BenchResult, CurvePoint, ResultRow } from "../result/result.ts";
import { type Identity, legend } from "./identity.ts";
import { type Axis, type Line, linePlot } from "./line-plot.ts";
import { type Markup, markup } from "./markup.ts";
import { panel, panels, type Section } from "./section.ts";
import { type WorkloadRows, workloadsOf } from "./workloads.ts";

/** Points of a curve between two powers of ten; the last ten stand for fewer than ten answers each. */
const PER_DECADE = 10;
/** Of the curve, those at the 50th, 90th, 99th and 99.9th percentile. */
const MARKED: ReadonlySet<number> = new Set([3, 10, 20, 30]);

/** Latency percentiles, one plot for each workload; those at a given rate where there are such. */
export function latencySection(
  { results }: BenchResult,
  looks: ReadonlyMap<string, Identity>,
): Section | null {
  const all = workloadsOf(results).filter(({ rows }) => rows.some(({ latencyMs }) => latencyMs));
  const atRate = all.filter(({ rate }) => rate !== null);
  const shown = atRate.length > 0 ? atRate : all;
  if (shown.length === 0) return null;
  const names = new Set(shown.flatMap(({ rows }) => rows.map(({ contestant }) => contestant)));
  const plots = shown.map((one, at) => panel(one.label, latencyPlot(`lat${at}`, one, looks)));
  const body = markup`<p>${atRate.length > 0 ? RATE_TEXT : MAX_TEXT} Both axes are logarithmic: equal quotients are equal distances. Lines end where fewer than ten answers are slower. The marks are at p50, p90, p99 and p99.9.</p>${legend([...looks.values()].filter(({ name }) => names.has(name)))}${panels(plots)}`;
  return { id: "latency", heading: "Latency", body };
}

const RATE_TEXT =
  "Requests are sent at a constant rate, whether or not answers come, and each latency counts from the moment when its request should have been sent. The curves hold all valid rounds together; the tables have medians of the rounds.";
const MAX_TEXT =
  "Nothing was measured at a given rate. At full load latency is mostly time in a queue, and shows little of a proxy's own.";

function latencyPlot(
  id: string,
  { label, rows }: WorkloadRows,
  looks: ReadonlyMap<string, Identity>,
): Markup {
  const lines = rows.flatMap((row): Line[] => {
    const identity = looks.get(row.contestant);
    const curve = trusted(row.latencyCurve);
    return identity === undefined || curve.length === 0 ? [] : [{ identity, points: curve }];
  });
  const y: Axis = { title: "latency in ms", isLog: true };
  const title = `Latency percentiles: ${label}`;
  return linePlot(id, { title, description: describe(rows), x: percentileAxis(lines), y, lines });
}

function trusted(curve: readonly CurvePoint[]): Line["points"] {
  const kept = curve.length > 2 * PER_DECADE ? curve.slice(0, -PER_DECADE) : curve;
  const points = kept.map(({ percentile, ms }, at) => ({
    x: 100 / (100 - percentile),
    y: ms,
    isMarked: MARKED.has(at),
  }));
  // The fastest answer of all tells nothing, and would take a third of the height.
  return points.slice(1);
}

function percentileAxis(lines: readonly Line[]): Axis {
  const most = Math.max(10, ...lines.flatMap(({ points }) => points.map(({ x }) => x)));
  const known = [50, 90, 99, 99.9, 99.99, 99.999];
  const ticks = known
    .map((percentile) => ({ at: 100 / (100 - percentile), label: `p${percentile}` }))
    .filter(({ at }) => at <= most * 1.01);
  return { title: "percentile of answers", isLog: true, include: [10], ticks };
}

function describe(rows: readonly ResultRow[]): string {
  return rows
    .map(
      ({ contestant, latencyMs }) =>
        `${contestant}: p50 ${medianOf(latencyMs?.p50)} ms, p99 ${medianOf(latencyMs?.p99)} ms, p99.9 ${medianOf(latencyMs?.p999)} ms.`,
    )
    .join(" ");
}

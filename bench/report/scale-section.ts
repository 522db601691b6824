import type { Figure, ScaleRow } from "../model.ts";
import { grouped, mebibytes, medianOf, rangeOf, significant } from "../result/format-figure.ts";
import type { BenchResult } from "../result/result.ts";
import { sizeName } from "../result/size-name.ts";
import { titled } from "../result/workload-label.ts";
import { figureTable } from "./figure-table.ts";
import { type Identity, legend } from "./identity.ts";
import { type Line, linePlot } from "./line-plot.ts";
import { type Markup, markup } from "./markup.ts";
import { panel, panels, type Section } from "./section.ts";

interface Kind {
  readonly look: Identity;
  /** Of its absolute figures. */
  readonly axis: string;
  of(row: ScaleRow): Figure;
}

const CPU: Kind = {
  look: look("CPU per request", "C", "c-hostmesh", "none", "circle"),
  axis: "CPU microseconds per request",
  of: ({ cpuMicrosPerRequest }) => cpuMicrosPerRequest,
};
const P99: Kind = {
  look: look("p99", "P", "c-haproxy", "4 3", "triangle"),
  axis: "p99 in ms",
  of: ({ p99Ms }) => p99Ms,
};
const THROUGHPUT: Kind = {
  look: look("throughput", "T", "c-nginx", "9 3 2 3", "diamond"),
  axis: "requests per second",
  of: ({ throughput }) => throughput,
};
/** What is drawn against the size, each with its own look. */
const KINDS: readonly Kind[] = [CPU, P99, THROUGHPUT];

function look(
  name: string,
  letter: string,
  color: string,
  dash: string,
  marker: Identity["marker"],
): Identity {
  return { name, letter, color, dash, marker };
}

/** Cost of one shared proxy as one thing grows; null where that was not measured. */
export function scaleSection({ scale }: BenchResult): Section | null {
  const [first] = scale;
  if (first === undefined) return null;
  const groups = Map.groupBy(scale, (row) => `${row.contestant}, ${row.dimension}`);
  const parts = [...groups.values()].map((rows, at) =>
    seriesPart(
      `scale${at}`,
      rows.toSorted((a, b) => a.value - b.value),
    ),
  );
  const text = markup`<p>One shared proxy while one thing grows and everything else stays. On the left all is relative to the smallest size, and the shaded band is within 10 % of it; on the right are the absolute figures with whiskers from the least to the greatest round.</p>`;
  const body = markup`${text}${legend(KINDS.map((kind) => kind.look))}${parts}`;
  return { id: "scale", heading: titled("Cost against scale", first), body };
}

function seriesPart(id: string, rows: readonly ScaleRow[]): Markup {
  const [first] = rows;
  if (first === undefined) return markup``;
  const valid = rows.filter(({ problems }) => problems.length === 0);
  const name = `${first.contestant}: ${sizeName(first.dimension)}`;
  const both = [
    panel(`${name}, relative to ${grouped(first.value)}`, relativePlot(`${id}r`, name, valid)),
    absolutePanel(`${id}a`, name, valid),
  ];
  return markup`${panels(both)}${scaleTable(name, rows)}`;
}

function relativePlot(id: string, name: string, rows: readonly ScaleRow[]): Markup {
  const lines = KINDS.map(({ look: identity, of }): Line => {
    const base = rows[0] === undefined ? 0 : of(rows[0]).median;
    const points = rows.map((row) => ({ x: row.value, y: of(row).median / base, isMarked: true }));
    return { identity, points };
  });
  return linePlot(id, {
    title: `${name}: relative cost`,
    description: describe(rows),
    x: sizeAxis(rows),
    y: { title: "quotient with the smallest", isLog: false, include: [0, 1.2] },
    ...{ lines, band: [0.9, 1.1] },
  });
}

/** Workers are there to carry more; everything else should cost no more. */
function absolutePanel(id: string, name: string, rows: readonly ScaleRow[]): Markup {
  const isWorkers = rows[0]?.dimension === "workers";
  const kind = isWorkers ? THROUGHPUT : CPU;
  const heading = `${name}, ${kind.look.name}`;
  const points = rows.map((row) => {
    const { median, min, max } = kind.of(row);
    return { x: row.value, y: median, isMarked: true, range: [min, max] as const };
  });
  const plot = linePlot(id, {
    title: heading,
    description: describe(rows),
    x: sizeAxis(rows),
    y: { title: kind.axis, isLog: false, include: [0] },
    lines: [{ identity: kind.look, points }],
  });
  return panel(heading, plot);
}

function sizeOf([first]: readonly ScaleRow[]): string {
  return first === undefined ? "" : sizeName(first.dimension);
}

function sizeAxis(rows: readonly ScaleRow[]) {
  const ticks = rows.map(({ value }) => ({ at: value, label: grouped(value) }));
  return { title: `number of ${sizeOf(rows)}`, isLog: true, ticks };
}

function describe(rows: readonly ScaleRow[]): string {
  return rows
    .map(
      ({ dimension, value, cpuMicrosPerRequest, throughput, p99Ms }) =>
        `${grouped(value)} ${sizeName(dimension)}: ${significant(cpuMicrosPerRequest.median)} microseconds of CPU per request, ${grouped(throughput.median)} requests per second, p99 ${significant(p99Ms.median)} ms.`,
    )
    .join(" ");
}

function scaleTable(name: string, rows: readonly ScaleRow[]): Markup {
  const base = rows[0]?.cpuMicrosPerRequest.median ?? Number.NaN;
  return figureTable(
    `${name}: all figures`,
    [
      { title: sizeOf(rows), cell: ({ value }) => grouped(value) },
      { title: "CPU µs/req", cell: (row) => medianOf(row.cpuMicrosPerRequest) },
      { title: "least to greatest", cell: (row) => rangeOf(row.cpuMicrosPerRequest) },
      { title: "x first", cell: (row) => (row.cpuMicrosPerRequest.median / base).toFixed(2) },
      { title: "req/s", cell: ({ throughput }) => medianOf(throughput, grouped) },
      { title: "p99 ms", cell: ({ p99Ms }) => medianOf(p99Ms) },
      { title: "PSS MiB", cell: ({ pssBytes }) => mebibytes(pssBytes) },
      { title: "limit", isText: true, cell: ({ bottleneck }) => bottleneck },
      { title: "problems", isText: true, cell: ({ problems }) => problems.join("; ") },
    ],
    rows,
  );
}

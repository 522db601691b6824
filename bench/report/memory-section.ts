import type { IdleRow } from "../model.ts";
import { grouped, mebibytes, significant } from "../result/format-figure.ts";
import type { BenchResult } from "../result/result.ts";
import { titled } from "../result/workload-label.ts";
import { type Bar, barPlot } from "./bar-plot.ts";
import { type BreakEven, breakEven, type Held } from "./break-even.ts";
import { figureTable } from "./figure-table.ts";
import { type Identity, identitiesByName, legend } from "./identity.ts";
import { type Line, linePlot } from "./line-plot.ts";
import { type Markup, markup } from "./markup.ts";
import { panel, panels, type Section } from "./section.ts";

const MIB = 1_048_576;

interface Series {
  readonly identity: Identity;
  readonly rows: readonly IdleRow[];
}

/** Memory of proxies that do nothing, and of idle connections; null where neither was measured. */
export function memorySection({ idle, idleConnections }: BenchResult): Section | null {
  const [first] = [...idle, ...idleConnections];
  if (first === undefined) return null;
  const body = markup`${idle.length === 0 ? null : idlePart(idle)}${idleConnections.length === 0 ? null : connectionsPart(idleConnections)}`;
  return { id: "memory", heading: titled("Memory", first), body };
}

function idlePart(idle: readonly IdleRow[]): Markup {
  const groups = Map.groupBy(idle, ({ contestant }) => contestant);
  const looks = identitiesByName([...groups.keys()]);
  const series = [...groups].flatMap(([name, rows]): Series[] => {
    const identity = looks.get(name);
    const sorted = rows.toSorted((a, b) => a.containers - b.containers);
    return identity === undefined ? [] : [{ identity, rows: sorted }];
  });
  const counts = new Set(idle.map(({ containers }) => containers));
  const plot = counts.size > 1 ? linesOf(series) : barsOf(series);
  const text = markup`<p>Proportional set size (PSS) of everything that has to run on one host, in containers that do nothing: memory that processes share is divided among them. Both axes are logarithmic.</p>`;
  return markup`${counts.size > 1 ? text : null}${legend(series.map(({ identity }) => identity))}${panels([plot, evenTable(series)])}${idleTable(idle)}`;
}

function linesOf(series: readonly Series[]): Markup {
  const lines = series.map(
    ({ identity, rows }): Line => ({
      identity,
      points: rows.map(({ containers, pssBytes }) => ({
        ...{ x: containers, y: pssBytes / MIB },
        isMarked: true,
      })),
    }),
  );
  const counts = [...new Set(series.flatMap(({ rows }) => rows.map((row) => row.containers)))];
  const spots = evens(series).flatMap(({ even }) =>
    even.kind === "at" ? [{ x: even.containers, y: even.bytes / MIB }] : [],
  );
  const plot = linePlot("idle", {
    title: "Memory against number of containers",
    description: describe(series),
    x: { title: "containers on the host", isLog: true, ticks: spaced(counts) },
    y: { title: "PSS in MiB", isLog: true },
    ...{ lines, spots },
  });
  const caption = markup`Rings: from here on the shared daemon holds less.`;
  return panel("Against number of containers", plot, spots.length > 0 ? caption : null);
}

/** Labels that have room on a logarithmic axis: each at least a third of a power of ten from the one before. */
function spaced(values: readonly number[]) {
  const kept: number[] = [];
  for (const value of values.toSorted((a, b) => a - b)) {
    const last = kept.at(-1);
    if (last === undefined || value >= last * 2) kept.push(value);
  }
  return kept.map((at) => ({ at, label: grouped(at) }));
}

function barsOf(series: readonly Series[]): Markup {
  const bars = series.flatMap(({ identity, rows }) =>
    rows.map(({ pssBytes }): Bar => {
      const value = pssBytes / MIB;
      const figure = { median: value, min: value, max: value };
      return { identity, value: figure, note: mebibytes(pssBytes), isQualified: false };
    }),
  );
  const containers = grouped(series[0]?.rows[0]?.containers ?? 0);
  const plot = barPlot("idle", {
    title: `Memory of idle proxies for ${containers} containers`,
    description: describe(series),
    ...{ axis: "PSS in MiB", bars, baseline: null },
  });
  return panel(`${containers} containers that do nothing`, plot);
}

function describe(series: readonly Series[]): string {
  return series
    .map(({ identity, rows }) => {
      const held = rows.map((row) => `${mebibytes(row.pssBytes)} MiB for ${row.containers}`);
      return `${identity.name}: ${held.join(", ")}.`;
    })
    .join(" ");
}

interface Even {
  readonly name: string;
  readonly even: BreakEven;
}

/** The shared daemon is the one that does not grow with a process for each container. */
function evens(series: readonly Series[]): Even[] {
  const isShared = ({ identity }: Series) => /daemon/i.test(identity.name);
  const shared = series.find(isShared);
  if (shared === undefined) return [];
  return series
    .filter((one) => !isShared(one))
    .flatMap(({ identity, rows }) => {
      const even = breakEven(held(shared.rows), held(rows));
      return even === null ? [] : [{ name: identity.name, even }];
    });
}

function held(rows: readonly IdleRow[]): Held[] {
  return rows.map(({ containers, pssBytes }) => ({ containers, bytes: pssBytes }));
}

function evenTable(series: readonly Series[]): Markup {
  const all = evens(series);
  if (all.length === 0) return markup``;
  const table = figureTable(
    "The shared daemon holds less than",
    [
      { title: "these sidecars", isText: true, cell: ({ name }) => name },
      { title: "from so many containers", cell: ({ even }) => evenText(even) },
    ],
    all,
  );
  const caption = markup`Straight lines between the measured numbers are assumed.`;
  return panel("Break-even", table, caption);
}

function evenText(even: BreakEven): string {
  if (even.kind === "at") return String(Math.ceil(even.containers));
  return even.kind === "below"
    ? `${grouped(even.containers)} or fewer`
    : `more than ${grouped(even.containers)}`;
}

function idleTable(idle: readonly IdleRow[]): Markup {
  return figureTable(
    "Memory of idle proxies on one host",
    [
      { title: "contestant", isText: true, cell: ({ contestant }) => contestant },
      { title: "containers", cell: ({ containers }) => grouped(containers) },
      { title: "processes", cell: ({ processes }) => grouped(processes) },
      { title: "PSS MiB", cell: ({ pssBytes }) => mebibytes(pssBytes) },
      { title: "PSS MiB a container", cell: (row) => mebibytes(row.pssBytes / row.containers) },
      { title: "RSS MiB", cell: ({ rssBytes }) => mebibytes(rssBytes) },
    ],
    idle,
  );
}

function connectionsPart(rows: BenchResult["idleConnections"]): Markup {
  const table = figureTable(
    "Memory of idle client connections",
    [
      { title: "contestant", isText: true, cell: ({ contestant }) => contestant },
      { title: "connections", cell: ({ connections }) => grouped(connections) },
      { title: "PSS KiB each", cell: ({ pssBytesEach }) => significant(pssBytesEach / 1_024) },
    ],
    rows,
  );
  return markup`<p>Growth of PSS when so many clients connect, ask once and stay, divided by their number.</p>${table}`;
}

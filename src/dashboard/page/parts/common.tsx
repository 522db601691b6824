import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import type { EdgeFigures, Figures } from "../../../sight/mesh-report.ts";
import { formatMs, formatPercent, formatRate } from "../model/format.ts";
import { describeSecurity, HEALTH_WORDS, healthOf } from "../model/health.ts";
import { hrefOf } from "../model/route.ts";
import { HealthMark, Lock } from "./icons.tsx";
import type { Column } from "./table.tsx";

/** A part of a view under a heading of its own. */
export function Panel(props: {
  readonly title: string;
  readonly aside?: ComponentChildren;
  readonly class?: string;
  readonly children: ComponentChildren;
}) {
  const id = useId();
  return (
    <section class={`panel ${props.class ?? ""}`} aria-labelledby={id}>
      <header class="panel-head">
        <h2 id={id}>{props.title}</h2>
        {props.aside}
      </header>
      {props.children}
    </section>
  );
}

/** One figure, large. */
export function Tile(props: {
  readonly label: string;
  readonly value: string;
  readonly note?: ComponentChildren;
}) {
  return (
    <div class="tile">
      <dt>{props.label}</dt>
      <dd>
        <b>{props.value}</b>
        {props.note !== undefined && <span class="note">{props.note}</span>}
      </dd>
    </div>
  );
}

/** The golden figures: how much, how well, how fast. */
export function FigureTiles({ figures }: { readonly figures: Figures }) {
  const health = healthOf(figures.success);
  return (
    <dl class="tiles">
      <Tile label="Requests a second" value={formatRate(figures.rps)} />
      <Tile
        label="Success"
        value={formatPercent(figures.success)}
        note={<HealthMark health={health} word={HEALTH_WORDS[health]} />}
      />
      <Tile label="p50" value={formatMs(figures.p50Ms)} />
      <Tile label="p95" value={formatMs(figures.p95Ms)} />
      <Tile label="p99" value={formatMs(figures.p99Ms)} />
    </dl>
  );
}

/** A service or a caller by its name, the namespace in a quieter colour. */
export function NameLink({ name }: { readonly name: string }) {
  const [namespace, short] = name.includes("/") ? name.split("/", 2) : [undefined, name];
  return (
    <a href={hrefOf("services", name)} class="name">
      {namespace !== undefined && <span class="namespace">{namespace}/</span>}
      <wbr />
      {short}
    </a>
  );
}

export function HostLink({ host }: { readonly host: string }) {
  return host === "" ? <span>–</span> : <a href={hrefOf("hosts", host)}>{host}</a>;
}

export function SuccessCell({ success }: { readonly success: number | null }) {
  return <HealthMark health={healthOf(success)} word={formatPercent(success)} />;
}

/** A part of a whole as a bar, with `mark` where it is expected to end. */
export function Bar(props: {
  /** 0 to 1. */
  readonly part: number;
  readonly mark?: number;
  readonly tone?: "accent" | "warn" | "bad";
}) {
  const width = (part: number) => 100 * Math.min(1, Math.max(0, part));
  return (
    <svg
      class={`bar bar-${props.tone ?? "accent"}`}
      viewBox="0 0 100 10"
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <rect class="bar-ground" width="100" height="10" />
      <rect class="bar-part" width={width(props.part)} height="10" />
      {props.mark !== undefined && (
        <rect class="bar-mark" x={width(props.mark) - 0.6} width="1.2" height="10" />
      )}
    </svg>
  );
}

/** Columns that most tables have. */
export function figureColumns<T extends Figures>(): Column<T>[] {
  return [
    {
      title: "Requests/s",
      cell: (row) => formatRate(row.rps),
      sort: (row) => row.rps,
      isNumber: true,
    },
    {
      title: "Success",
      cell: (row) => <SuccessCell success={row.success} />,
      sort: (row) => row.success,
      isNumber: true,
    },
    {
      title: "p50",
      cell: (row) => formatMs(row.p50Ms),
      sort: (row) => row.p50Ms,
      isNumber: true,
      rank: 1,
    },
    {
      title: "p95",
      cell: (row) => formatMs(row.p95Ms),
      sort: (row) => row.p95Ms,
      isNumber: true,
      rank: 1,
    },
    {
      title: "p99",
      cell: (row) => formatMs(row.p99Ms),
      sort: (row) => row.p99Ms,
      isNumber: true,
      rank: 2,
    },
  ];
}

/** Those of tables of edges, behind the ends. */
export const EDGE_FIGURE_COLUMNS: readonly Column<EdgeFigures>[] = [
  ...figureColumns<EdgeFigures>(),
  {
    title: "Protocol",
    cell: ({ protocol }) => protocol,
    sort: ({ protocol }) => protocol,
    rank: 1,
  },
  {
    title: "Secured",
    cell: ({ secured, securities }) => (
      <Lock secured={secured} why={describeSecurity(securities)} />
    ),
    sort: ({ secured }) => Number(secured),
  },
];

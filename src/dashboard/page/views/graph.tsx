import { useEffect, useMemo, useState } from "preact/hooks";
import type { EdgeFigures } from "../../../sight/mesh-report.ts";
import { GraphCanvas } from "../graph/canvas.tsx";
import { type GraphEdge, type Graph as GraphModel, graphOf } from "../graph/model.ts";
import { formatBytes, formatMs, formatPercent, formatRate, plural } from "../model/format.ts";
import { describeSecurity, HEALTH_WORDS } from "../model/health.ts";
import { hrefOf } from "../model/route.ts";
import { EDGE_FIGURE_COLUMNS, NameLink, Panel, SuccessCell } from "../parts/common.tsx";
import { Facts } from "../parts/facts.tsx";
import { Filter, NamespaceChoice } from "../parts/filter.tsx";
import { Lock } from "../parts/icons.tsx";
import { usePage } from "../parts/state.ts";
import { type Column, Table } from "../parts/table.tsx";

/** Who talks to whom, as a picture and as a table. */
export function Graph() {
  const { report, route, announce } = usePage();
  const { focus = "", text = "", namespace = "", as = "picture" } = route.query;
  const [selected, setSelected] = useState<string | null>(focus === "" ? null : focus);
  const graph = useMemo(
    () => graphOf(report, { text, namespace, focus }),
    [report, text, namespace, focus],
  );
  const go = (change: Record<string, string>) => {
    // Typing must not fill the history.
    location.replace(hrefOf("graph", "", { focus, text, namespace, as, ...change }));
  };
  const select = (id: string | null) => {
    setSelected(id);
    if (id !== null) announce(describe(graph, id));
  };
  useEffect(() => setSelected(focus === "" ? null : focus), [focus]);
  return (
    <>
      <h1>Service graph</h1>
      <div class="toolbar">
        <Filter label="Find" value={text} onInput={(value) => go({ text: value, focus: "" })} />
        <NamespaceChoice
          value={namespace}
          onChoose={(value) => go({ namespace: value, focus: "" })}
        />
        <fieldset class="segments">
          <legend class="unseen">Shown as</legend>
          {["picture", "table"].map((one) => (
            <button
              key={one}
              type="button"
              aria-pressed={as === one}
              onClick={() => go({ as: one })}
            >
              {one === "picture" ? "Picture" : "Table"}
            </button>
          ))}
        </fieldset>
        {focus !== "" && (
          <button type="button" onClick={() => go({ focus: "" })}>
            Show all, not only {focus}
          </button>
        )}
        <span class="note">
          {plural(graph.nodes.length, "service or caller", "services and callers")},{" "}
          {plural(graph.edges.length, "edge")}
        </span>
      </div>
      {as === "table" ? (
        <Panel title="Edges" class="quiet">
          <EdgeTable graph={graph} />
        </Panel>
      ) : (
        <div class="graph-and-side">
          <Picture graph={graph} selected={selected} onSelect={select} />
          <Side graph={graph} selected={selected} focus={focus} />
        </div>
      )}
    </>
  );
}

interface PictureProps {
  readonly graph: GraphModel;
  readonly selected: string | null;
  readonly onSelect: (id: string | null) => void;
}

function Picture({ graph, selected, onSelect }: PictureProps) {
  const failing = graph.nodes.filter(({ health }) => health === "bad").length;
  const open = graph.edges.filter(
    ({ figures, health }) => !figures.secured && health !== "none",
  ).length;
  const label =
    `Service graph: ${plural(graph.nodes.length, "node")}, ${plural(graph.edges.length, "edge")}, ${failing} failing, ` +
    `${open} not secured. Arrow keys go from node to node, Enter opens the chosen one, plus and minus zoom. The same as a table: button Table.`;
  const openNode = (id: string) => {
    if (graph.nodes.some((node) => node.id === id)) location.hash = hrefOf("services", id);
  };
  return (
    <div class="panel graph-panel">
      <GraphCanvas
        graph={graph}
        selected={selected}
        label={label}
        onSelect={onSelect}
        onOpen={openNode}
      />
      <Legend />
      {graph.nodes.length === 0 && <p class="empty">Nothing matches.</p>}
    </div>
  );
}

function Legend() {
  const dashes = { good: "none", warn: "9 4", bad: "3 3", none: "1 4" } as const;
  return (
    <ul class="legend graph-legend" aria-label="Legend">
      {(["good", "warn", "bad", "none"] as const).map((health) => (
        <li key={health}>
          <svg viewBox="0 0 24 4" aria-hidden="true" class={`key key-${health}`}>
            <path d="M0 2h24" stroke-dasharray={dashes[health]} />
          </svg>
          {HEALTH_WORDS[health]}
        </li>
      ))}
      <li>
        <Lock secured why="mutual TLS, or one host" />
      </li>
      <li>
        <Lock secured={false} why="in the clear" />
      </li>
      <li>wider: more requests</li>
      <li>squares only call</li>
    </ul>
  );
}

interface SideProps {
  readonly graph: GraphModel;
  readonly selected: string | null;
  readonly focus: string;
}

function Side({ graph, selected, focus }: SideProps) {
  const edge = graph.edges.find(({ id }) => id === selected);
  if (edge !== undefined) return <EdgeSide edge={edge} />;
  const node = graph.nodes.find(({ id }) => id === selected);
  if (node === undefined) {
    return (
      <aside class="panel side" aria-label="Chosen">
        <p class="empty">Choose a service or an edge to see its figures.</p>
      </aside>
    );
  }
  const of = (end: "from" | "to") =>
    graph.edges.filter((one) => one[end] === node.id).sort((a, b) => b.figures.rps - a.figures.rps);
  return (
    <aside class="panel side" aria-label="Chosen">
      <h2>{node.id}</h2>
      <Facts
        rows={[
          ["Requests a second", formatRate(node.rps)],
          ["Success", <SuccessCell key="success" success={node.success} />],
        ]}
      />
      <p class="links">
        <a href={hrefOf("services", node.id)}>Open</a>
        {focus !== node.id && (
          <a href={hrefOf("graph", "", { focus: node.id })}>Only its neighbours</a>
        )}
      </p>
      <Neighbours title="Called by" edges={of("to")} end="from" />
      <Neighbours title="Calls" edges={of("from")} end="to" />
    </aside>
  );
}

/** In a list beside the picture more are not read. */
const MOST_NEIGHBOURS = 12;

function Neighbours(props: {
  readonly title: string;
  readonly edges: readonly GraphEdge[];
  readonly end: "from" | "to";
}) {
  const { title, edges, end } = props;
  if (edges.length === 0) return null;
  return (
    <>
      <h3>{title}</h3>
      <ul class="plain">
        {edges.slice(0, MOST_NEIGHBOURS).map((edge) => (
          <li key={edge.id} class="neighbour">
            <NameLink name={edge[end]} />
            <span class="number">{formatRate(edge.figures.rps)}/s</span>
            <Lock secured={edge.figures.secured} why={describeSecurity(edge.figures.securities)} />
          </li>
        ))}
      </ul>
      {edges.length > MOST_NEIGHBOURS && (
        <p class="note">and {edges.length - MOST_NEIGHBOURS} more</p>
      )}
    </>
  );
}

function EdgeSide({ edge }: { readonly edge: GraphEdge }) {
  const { figures } = edge;
  const rows = [
    ["Requests a second", formatRate(figures.rps)],
    ["Success", <SuccessCell key="success" success={figures.success} />],
    [
      "p50, p95, p99",
      `${formatMs(figures.p50Ms)}, ${formatMs(figures.p95Ms)}, ${formatMs(figures.p99Ms)}`,
    ],
    ["Bytes a second", formatBytes(figures.bytesPerSecond)],
    ["In flight", String(figures.inFlight)],
    ["Protocol", figures.protocol],
    [
      "Secured",
      <Lock key="lock" secured={figures.secured} why={describeSecurity(figures.securities)} />,
    ],
  ] as const;
  return (
    <aside class="panel side" aria-label="Chosen">
      <h2>
        <NameLink name={edge.from} /> → <NameLink name={edge.to} />
      </h2>
      <Facts rows={rows} />
    </aside>
  );
}

const EDGE_COLUMNS: readonly Column<EdgeFigures>[] = [
  { title: "From", cell: ({ source }) => <NameLink name={source} />, sort: ({ source }) => source },
  {
    title: "To",
    cell: ({ destination }) => <NameLink name={destination} />,
    sort: ({ destination }) => destination,
  },
  ...EDGE_FIGURE_COLUMNS,
];

function EdgeTable({ graph }: { readonly graph: GraphModel }) {
  return (
    <Table
      caption="Edges"
      columns={EDGE_COLUMNS}
      rows={graph.edges.map(({ figures }) => figures)}
      keyOf={({ source, destination, protocol }) => `${source} ${destination} ${protocol}`}
      first="Requests/s"
      isFirstDescending
      empty="Nothing matches."
    />
  );
}

/** What is chosen, for those who hear the page. */
function describe(graph: GraphModel, id: string): string {
  const node = graph.nodes.find((one) => one.id === id);
  if (node === undefined) {
    const edge = graph.edges.find((one) => one.id === id);
    return edge === undefined
      ? ""
      : `${edge.from} to ${edge.to}, ${formatRate(edge.figures.rps)} requests a second, ${formatPercent(edge.figures.success)} succeed`;
  }
  const outgoing = graph.edges.filter(({ from }) => from === id).length;
  const incoming = graph.edges.filter(({ to }) => to === id).length;
  const words = `${formatRate(node.rps)} requests a second, ${HEALTH_WORDS[node.health]}`;
  return `${id}: ${words}, called by ${incoming}, calls ${outgoing}`;
}

import type { EdgeFigures, MeshReport } from "../../../sight/mesh-report.ts";
import { type Health, healthOf } from "../model/health.ts";

/** Services and callers as nodes, who talks to whom as edges. */
export interface GraphNode {
  readonly id: string;
  /** What it serves, or what it calls where it is no service. */
  readonly rps: number;
  readonly success: number | null;
  readonly health: Health;
  readonly isService: boolean;
  /** Distance from those that nobody calls. */
  readonly layer: number;
}

export interface GraphEdge {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly figures: EdgeFigures;
  readonly health: Health;
}

export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

export interface GraphFilter {
  readonly text: string;
  readonly namespace: string;
  /** Only this node and those that it talks to; empty: all. */
  readonly focus: string;
}

/** Makes the graph of a report; of what does not match only the ends of edges to what does are kept. */
export function graphOf(report: MeshReport, filter: GraphFilter): Graph {
  const edges = report.edges.filter((edge) => matches(edge, filter)).map(toEdge);
  const ids = new Set(edges.flatMap(({ from, to }) => [from, to]));
  for (const { service } of report.services) {
    if (isWanted(service, filter)) ids.add(service);
  }
  const layers = layersOf(ids, edges);
  const services = new Map(report.services.map((one) => [one.service, one]));
  const sources = new Map(report.sources.map((one) => [one.source, one]));
  const nodes = [...ids].sort().map((id): GraphNode => {
    const service = services.get(id);
    const figures =
      service !== undefined && service.requests > 0 ? service : (sources.get(id) ?? service);
    const success = figures?.success ?? null;
    return {
      ...{ id, rps: figures?.rps ?? 0, success, health: healthOf(success) },
      ...{ isService: service !== undefined, layer: layers.get(id) ?? 0 },
    };
  });
  return { nodes, edges };
}

function toEdge(figures: EdgeFigures): GraphEdge {
  const { source: from, destination: to, protocol, success } = figures;
  const health = figures.rps === 0 ? "none" : success === null ? "good" : healthOf(success);
  return { id: `${from} ${to} ${protocol}`, from, to, figures, health };
}

function isWanted(name: string, { text, namespace, focus }: GraphFilter): boolean {
  if (focus !== "") return name === focus;
  return name.includes(text) && (namespace === "" || name.startsWith(`${namespace}/`));
}

function matches({ source, destination }: EdgeFigures, filter: GraphFilter): boolean {
  return isWanted(source, filter) || isWanted(destination, filter);
}

/** Distance of each node from the nearest root, breadth first; in a cycle without a root its first name is one. */
export function layersOf(
  ids: ReadonlySet<string>,
  edges: readonly Pick<GraphEdge, "from" | "to">[],
): ReadonlyMap<string, number> {
  const next = new Map<string, string[]>();
  const called = new Set<string>();
  for (const { from, to } of edges) {
    if (from === to) continue;
    const list = next.get(from);
    if (list === undefined) next.set(from, [to]);
    else list.push(to);
    called.add(to);
  }
  const layers = new Map<string, number>();
  const sorted = [...ids].sort();
  const walk = (roots: readonly string[]) => {
    const queue = [...roots];
    for (const root of roots) layers.set(root, 0);
    for (let at = 0; at < queue.length; at++) {
      const from = queue[at]!;
      for (const to of next.get(from) ?? []) {
        if (layers.has(to)) continue;
        layers.set(to, layers.get(from)! + 1);
        queue.push(to);
      }
    }
  };
  walk(sorted.filter((id) => !called.has(id)));
  for (const id of sorted) if (!layers.has(id)) walk([id]);
  return layers;
}

import type { Security } from "../../../sight/host-report.ts";
import type { EdgeFigures, MeshReport } from "../../../sight/mesh-report.ts";
import { type Health, healthOf } from "../model/health.ts";
import { servicesOfWorkloads } from "../model/workloads.ts";

/** Services and callers as nodes, who talks to whom as edges. */
export interface GraphNode {
  readonly id: string;
  /** What it serves, or what it calls where it is no service. */
  readonly rps: number;
  readonly success: number | null;
  readonly health: Health;
  readonly isService: boolean;
  /** See `layersOf`. */
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
  const edges = joinedEdges(report).filter((edge) => matches(edge, filter));
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

/** Edges from the services that callers serve; of several callers of one service as one. */
function joinedEdges(report: MeshReport): GraphEdge[] {
  const serviceOf = servicesOfWorkloads(report);
  const groups = Map.groupBy(report.edges, ({ source, destination, protocol }) => {
    return `${serviceOf.get(source) ?? source} ${destination} ${protocol}`;
  });
  return [...groups].map(([id, [first, ...others]]) => {
    const figures = others.reduce(addFigures, first!);
    const { source, destination: to, success } = figures;
    const health = figures.rps === 0 ? "none" : success === null ? "good" : healthOf(success);
    return { id, from: serviceOf.get(source) ?? source, to, figures, health };
  });
}

/** Both together; percentiles cannot be added up, and the higher ones stand for both. */
function addFigures(a: EdgeFigures, b: EdgeFigures): EdgeFigures {
  const higher = (one: number | null, other: number | null) =>
    one === null ? other : Math.max(one, other ?? 0);
  const rps = a.rps + b.rps;
  const succeeded = (a.success ?? 0) * a.rps + (b.success ?? 0) * b.rps;
  const kinds = Object.keys({ ...a.securities, ...b.securities }) as Security[];
  const securities = kinds.map((kind) => [
    kind,
    (a.securities[kind] ?? 0) + (b.securities[kind] ?? 0),
  ]);
  return {
    ...{ source: a.source, destination: a.destination, protocol: a.protocol, rps },
    requests: a.requests + b.requests,
    failures: a.failures + b.failures,
    requestBytes: a.requestBytes + b.requestBytes,
    responseBytes: a.responseBytes + b.responseBytes,
    bytesPerSecond: a.bytesPerSecond + b.bytesPerSecond,
    success: rps === 0 ? null : succeeded / rps,
    p50Ms: higher(a.p50Ms, b.p50Ms),
    p95Ms: higher(a.p95Ms, b.p95Ms),
    p99Ms: higher(a.p99Ms, b.p99Ms),
    securities: Object.fromEntries(securities),
    secured: a.secured && b.secured,
    inFlight: a.inFlight + b.inFlight,
  };
}

function isWanted(name: string, { text, namespace, focus }: GraphFilter): boolean {
  if (focus !== "") return name === focus;
  return name.includes(text) && (namespace === "" || name.startsWith(`${namespace}/`));
}

function matches({ from, to }: GraphEdge, filter: GraphFilter): boolean {
  return isWanted(from, filter) || isWanted(to, filter);
}

type Call = Pick<GraphEdge, "from" | "to">;

/** The longest way to each node from those that nobody calls, so that calls lead to a later layer; see `Walk`. */
export function layersOf(
  ids: ReadonlySet<string>,
  edges: readonly Call[],
): ReadonlyMap<string, number> {
  const names = [...ids].sort();
  const called = new Set(edges.map(({ to }) => to));
  const walk = new Walk(edges);
  for (const root of names.filter((id) => !called.has(id))) walk.from(root);
  for (const id of names) walk.from(id);
  const layers = new Map(names.map((id) => [id, 0]));
  for (const id of walk.order.reverse()) {
    const layer = layers.get(id) ?? 0;
    for (const to of walk.kept.get(id) ?? []) {
      layers.set(to, Math.max(layers.get(to) ?? 0, layer + 1));
    }
  }
  return layers;
}

/** Goes through calls depth first, in the order of names. The call that closes a cycle is left out. */
class Walk {
  readonly #callees: ReadonlyMap<string, readonly Call[]>;
  readonly #done = new Set<string>();
  readonly #open = new Set<string>();
  /** Callees before their callers. */
  readonly order: string[] = [];
  readonly kept = new Map<string, string[]>();

  constructor(edges: readonly Call[]) {
    this.#callees = Map.groupBy(edges, ({ from }) => from);
  }

  from(root: string): void {
    if (this.#done.has(root)) return;
    // A stack of our own: a chain of thousands of calls must not end the one of the machine.
    const stack = [this.#enter(root)];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const { value: to } = top.callees.next();
      if (to === undefined) {
        this.#leave(top.id);
        stack.pop();
      } else if (!this.#open.has(to)) {
        this.kept.get(top.id)?.push(to);
        if (!this.#done.has(to)) stack.push(this.#enter(to));
      }
    }
  }

  #enter(id: string) {
    this.#open.add(id);
    this.kept.set(id, []);
    const callees = new Set((this.#callees.get(id) ?? []).map(({ to }) => to));
    return { id, callees: [...callees].sort().values() };
  }

  #leave(id: string): void {
    this.#open.delete(id);
    this.#done.add(id);
    this.order.push(id);
  }
}

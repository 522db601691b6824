import type { EdgeFigures, MeshReport } from "../../sight/mesh-report.ts";
import { CliError, EXIT } from "../cli-error.ts";
import type { TableData } from "../print-data.ts";
import { findName, isWithin } from "./names.ts";
import { reportNotes } from "./report-notes.ts";
import type { Picture } from "./show.ts";
import { type SortBy, sortFigures } from "./sort-figures.ts";
import {
  callersTable,
  destinationsTable,
  endpointsTable,
  hostsTable,
  routesTable,
  servicesTable,
  sourcesTable,
} from "./stat-tables.ts";

export const STAT_GROUPS = ["service", "route", "endpoint", "source", "host"] as const;
export type StatGroup = (typeof STAT_GROUPS)[number];

/** What is wanted of the traffic; names as the user wrote them. */
export interface StatQuery {
  /** Absent: chosen by what else is given. */
  readonly by?: StatGroup;
  readonly from?: string;
  readonly to?: string;
  readonly namespace?: string;
  readonly sort: SortBy;
  readonly wide: boolean;
  /** Also services that nobody calls. */
  readonly all: boolean;
}

/** Up to so many services are shown whether anybody calls them or not. */
const ALL_BELOW = 50;

/** Destinations that are no service. */
const NO_SERVICE: ReadonlySet<string> = new Set(["passthrough", "none"]);

/** What `stat` shows of a report. Throws a CliError for names that the mesh does not know. */
export function statPicture(report: MeshReport, query: StatQuery): Picture {
  const by = query.by ?? defaultGroup(query);
  switch (by) {
    case "service":
      return query.from === undefined ? ofServices(report, query) : ofDestinations(report, query);
    case "source":
      return query.to === undefined ? ofSources(report, query) : ofCallers(report, query);
    case "route":
      return ofRoutes(report, query);
    case "endpoint":
      return ofEndpoints(report, query);
    case "host":
      return ofHosts(report, query);
  }
}

function defaultGroup({ from, to }: StatQuery): StatGroup {
  return to !== undefined && from === undefined ? "endpoint" : "service";
}

function ofServices(report: MeshReport, query: StatQuery): Picture {
  const to = serviceOf(report, query);
  const named = report.services.filter(
    ({ service }) => isWithin(service, query.namespace) && (to === undefined || service === to),
  );
  const services = sortFigures(named, query.sort);
  const known = services.filter(({ service }) => !NO_SERVICE.has(service));
  const shown = query.all || known.length <= ALL_BELOW ? known : known.filter(isUsed);
  const notes = outsideNotes(services);
  const hidden = known.length - shown.length;
  if (hidden > 0) {
    notes.unshift(`${hidden} services without traffic are not shown; --all shows them.`);
  }
  return pictureOf(report, "services", services, servicesTable(shown, query.wide), notes);
}

function isUsed({ requests, inFlight }: { requests: number; inFlight: number }): boolean {
  return requests > 0 || inFlight > 0;
}

/** Traffic that belongs to no service is worth a line only where there is some. */
function outsideNotes(services: MeshReport["services"]): string[] {
  const of = (wanted: string) => services.find(({ service }) => service === wanted)?.requests ?? 0;
  const lines: string[] = [];
  if (of("passthrough") > 0)
    lines.push(`${of("passthrough")} connections went to destinations outside the mesh.`);
  if (of("none") > 0) lines.push(`${of("none")} requests named no service of the mesh.`);
  return lines;
}

function ofDestinations(report: MeshReport, query: StatQuery): Picture {
  const edges = sortFigures(wantedEdges(report, query), query.sort);
  return pictureOf(report, "edges", edges, destinationsTable(edges, query.wide));
}

function ofCallers(report: MeshReport, query: StatQuery): Picture {
  const edges = sortFigures(wantedEdges(report, query), query.sort);
  return pictureOf(report, "edges", edges, callersTable(edges, query.wide));
}

function wantedEdges(report: MeshReport, query: StatQuery): readonly EdgeFigures[] {
  const [from, to] = [sourceOf(report, query), serviceOf(report, query)];
  return report.edges.filter(
    ({ source, destination }) =>
      (from === undefined || source === from) &&
      (to === undefined || destination === to) &&
      isWithin(destination, query.namespace),
  );
}

function ofSources(report: MeshReport, query: StatQuery): Picture {
  const from = sourceOf(report, query);
  const sources = report.sources.filter(
    ({ source }) => (from === undefined || source === from) && isWithin(source, query.namespace),
  );
  const sorted = sortFigures(sources, query.sort);
  return pictureOf(report, "sources", sorted, sourcesTable(sorted, query.wide));
}

function ofRoutes(report: MeshReport, query: StatQuery): Picture {
  const [from, to] = [sourceOf(report, query), serviceOf(report, query)];
  const routes = report.routes.filter(
    ({ source, destination }) =>
      (from === undefined || source === from) &&
      (to === undefined || destination === to) &&
      isWithin(destination, query.namespace),
  );
  const sorted = sortFigures(routes, query.sort);
  return pictureOf(report, "routes", sorted, routesTable(sorted, query.wide));
}

function ofEndpoints(report: MeshReport, query: StatQuery): Picture {
  refuse(query, "from", "endpoints are not counted by who calls them", "hostmesh stat --from NAME");
  const to = serviceOf(report, query);
  const endpoints = report.services
    .filter(
      ({ service }) => (to === undefined || service === to) && isWithin(service, query.namespace),
    )
    .flatMap(({ service, endpoints: own }) => own.map((endpoint) => ({ service, ...endpoint })));
  const sorted = sortFigures(endpoints, query.sort);
  const table = endpointsTable(sorted, { wide: query.wide, oneService: to !== undefined });
  return pictureOf(report, "endpoints", sorted, table, ENDPOINT_NOTES);
}

const ENDPOINT_NOTES = [
  "A request counts where it was tried last. FAILED counts since the data paths started; IN-FLIGHT, COST and EJECTED BY are of now.",
  "COST is the balancer's estimate of the latency, in which a failure counts as slow.",
];

function ofHosts(report: MeshReport, query: StatQuery): Picture {
  const instead = "hostmesh stat --host HOST with --from or --to";
  refuse(query, "from", "hosts are not counted by who calls", instead);
  refuse(query, "to", "hosts are not counted by what is called", instead);
  refuse(query, "namespace", "hosts have no namespace", "leave out -n");
  const hosts = sortFigures(report.hosts, query.sort, ({ figures }) => figures);
  return pictureOf(report, "hosts", hosts, hostsTable(hosts, query.wide));
}

/** Programs get all that was asked for, whatever a table leaves out, in the table's order. */
function pictureOf(
  report: MeshReport,
  key: string,
  items: readonly unknown[],
  table: TableData,
  notes: readonly string[] = [],
): Picture {
  const { atMs, windowMs } = report;
  return {
    data: { atMs, windowMs, [key]: items },
    table,
    notes: [...notes, ...reportNotes(report)],
  };
}

function serviceOf(report: MeshReport, { to, namespace }: Pick<StatQuery, "to" | "namespace">) {
  if (to === undefined) return undefined;
  return findName(
    report.services.map(({ service }) => service),
    to,
    {
      kind: "service",
      remedy: "none is registered; try: hostmesh service register NAME --port PORT",
      namespace,
    },
  );
}

/** A workload that has not called anybody yet is a good name too. */
function sourceOf(report: MeshReport, { from, namespace }: StatQuery): string | undefined {
  if (from === undefined) return undefined;
  const callers = report.sources.map(({ source }) => source);
  const idle = report.hosts.flatMap(({ workloads }) => workloads.map(({ workload }) => workload));
  return findName([...new Set([...callers, ...idle])], from, {
    kind: "source",
    remedy: "nobody has called yet; hostmesh workload list shows who could",
    namespace,
  });
}

function refuse(
  query: StatQuery,
  key: "from" | "to" | "namespace",
  why: string,
  instead: string,
): void {
  if (query[key] === undefined) return;
  throw new CliError(`--by ${query.by} and ${key === "namespace" ? "-n" : `--${key}`}: ${why}`, {
    exitCode: EXIT.usage,
    remedy: `try: ${instead}`,
  });
}

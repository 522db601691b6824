import { formatHostPort } from "../../core/address.ts";
import { formatMs, formatShare } from "../../core/format-figures.ts";
import type { Style } from "../../core/terminal.ts";
import type { Cell, Column } from "../../core/text-table.ts";
import type {
  EdgeFigures,
  EndpointFigures,
  HostSummary,
  RouteFigures,
  ServiceFigures,
  SourceFigures,
} from "../../sight/mesh-report.ts";
import type { TableData } from "../print-data.ts";
import {
  BYTES_COLUMN,
  bytesCell,
  FIGURE_COLUMNS,
  figureCells,
  successCell,
  TOTAL_COLUMNS,
  totalCells,
} from "./figure-columns.ts";
import { shortName } from "./names.ts";

const IN_FLIGHT: Column = { title: "IN-FLIGHT", align: "right", optional: true };

const HEALTH_STYLE: Readonly<Record<string, Style>> = {
  passing: "good",
  warning: "warn",
  critical: "bad",
};

/** Columns and cells that a wide table has besides the others. */
interface Wide<T> {
  readonly columns: readonly Column[];
  readonly cells: (item: T) => readonly Cell[];
}

/** One line per service. */
export function servicesTable(services: readonly ServiceFigures[], wide: boolean): TableData {
  const more: Wide<ServiceFigures> = {
    columns: [
      ...TOTAL_COLUMNS,
      { title: "RETRIES", align: "right" },
      { title: "PROTOCOLS" },
      { title: "ERRORS", minWidth: 10 },
    ],
    cells: (service) => [
      ...totalCells(service),
      service.retries === undefined ? "-" : String(service.retries),
      service.protocols.join(" ") || "-",
      errorsText(service.errors),
    ],
  };
  return {
    columns: [
      { title: "SERVICE", minWidth: 10 },
      ...FIGURE_COLUMNS,
      BYTES_COLUMN,
      IN_FLIGHT,
      ...(wide ? more.columns : []),
    ],
    rows: services.map((service) => [
      shortName(service.service),
      ...figureCells(service),
      bytesCell(service),
      String(service.inFlight),
      ...(wide ? more.cells(service) : []),
    ]),
    empty: "There is no service here. Try: hostmesh service register NAME --port PORT",
  };
}

/** The most frequent first. */
function errorsText(errors: Readonly<Record<string, number>>): string {
  const all = Object.entries(errors).sort(([, a], [, b]) => b - a);
  return all.map(([code, count]) => `${code} ${count}`).join(", ") || "-";
}

/** One line per source. */
export function sourcesTable(sources: readonly SourceFigures[], wide: boolean): TableData {
  return {
    columns: [
      { title: "SOURCE", minWidth: 10 },
      ...FIGURE_COLUMNS,
      BYTES_COLUMN,
      IN_FLIGHT,
      ...(wide ? TOTAL_COLUMNS : []),
    ],
    rows: sources.map((source) => [
      shortName(source.source),
      ...figureCells(source),
      bytesCell(source),
      String(source.inFlight),
      ...(wide ? totalCells(source) : []),
    ]),
    empty: "Nobody has called anything yet. hostmesh workload list shows who could.",
  };
}

/** What is called, of one source. */
export function destinationsTable(edges: readonly EdgeFigures[], wide: boolean): TableData {
  return edgesTable(edges, wide, {
    title: "DESTINATION",
    name: ({ destination }) => destination,
    empty: "It has not called anything yet.",
  });
}

/** Who calls one service. */
export function callersTable(edges: readonly EdgeFigures[], wide: boolean): TableData {
  return edgesTable(edges, wide, {
    title: "SOURCE",
    name: ({ source }) => source,
    empty: "Nobody has called it yet.",
  });
}

function edgesTable(
  edges: readonly EdgeFigures[],
  wide: boolean,
  end: {
    readonly title: string;
    readonly name: (edge: EdgeFigures) => string;
    readonly empty: string;
  },
): TableData {
  return {
    columns: [
      { title: end.title, minWidth: 10 },
      { title: "PROTOCOL" },
      ...FIGURE_COLUMNS,
      BYTES_COLUMN,
      IN_FLIGHT,
      ...(wide ? TOTAL_COLUMNS : []),
    ],
    rows: edges.map((edge) => [
      shortName(end.name(edge)),
      edge.protocol,
      ...figureCells(edge),
      bytesCell(edge),
      String(edge.inFlight),
      ...(wide ? totalCells(edge) : []),
    ]),
    empty: end.empty,
  };
}

/** One line per route and source. */
export function routesTable(routes: readonly RouteFigures[], wide: boolean): TableData {
  return {
    columns: [
      { title: "DESTINATION", minWidth: 10 },
      { title: "ROUTE", minWidth: 10 },
      { title: "SOURCE", minWidth: 8 },
      ...FIGURE_COLUMNS,
      ...(wide ? [BYTES_COLUMN, ...TOTAL_COLUMNS] : []),
    ],
    rows: routes.map((route) => [
      shortName(route.destination),
      route.route,
      shortName(route.source),
      ...figureCells(route),
      ...(wide ? [bytesCell(route), ...totalCells(route)] : []),
    ]),
    empty: "No request has been routed yet. hostmesh get shows the resources that route.",
  };
}

type ServiceEndpoint = EndpointFigures & { readonly service: string };

/** One line per endpoint; of one service its name is left out. */
export function endpointsTable(
  endpoints: readonly ServiceEndpoint[],
  { wide, oneService }: { readonly wide: boolean; readonly oneService: boolean },
): TableData {
  const more: Wide<ServiceEndpoint> = {
    columns: [
      ...FIGURE_COLUMNS.slice(1, 4),
      BYTES_COLUMN,
      { title: "CONNS", align: "right" },
      { title: "WEIGHT", align: "right" },
      { title: "HOST", minWidth: 8 },
    ],
    cells: (endpoint) => [
      ...figureCells(endpoint).slice(1, 4),
      bytesCell(endpoint),
      String(endpoint.connections),
      String(endpoint.weight),
      endpoint.host,
    ],
  };
  const first: Column = { title: "SERVICE", minWidth: 8 };
  return {
    columns: [
      ...(oneService ? [] : [first]),
      { title: "ENDPOINT", minWidth: 10 },
      { title: "ADDRESS", minWidth: 12, optional: true },
      { title: "HEALTH" },
      { title: "SHARE", align: "right" },
      { title: "SUCCESS", align: "right" },
      IN_FLIGHT,
      { title: "COST", align: "right" },
      { title: "P99", align: "right" },
      { title: "FAILED", align: "right", optional: true },
      { title: "EJECTED BY", minWidth: 6 },
      ...(wide ? more.columns : []),
    ],
    rows: endpoints.map((endpoint) => [
      ...(oneService ? [] : [shortName(endpoint.service)]),
      endpoint.id.slice(endpoint.id.indexOf("/") + 1),
      formatHostPort(endpoint.address, endpoint.port),
      { text: endpoint.health, style: HEALTH_STYLE[endpoint.health] ?? "warn" },
      formatShare(endpoint.share),
      successCell(endpoint.success),
      String(endpoint.inFlight),
      formatMs(endpoint.latencyEwmaMs),
      formatMs(endpoint.p99Ms),
      `${endpoint.failures} of ${endpoint.requests}`,
      ejectedCell(endpoint.ejectedBy),
      ...(wide ? more.cells(endpoint) : []),
    ]),
    empty: "There is no endpoint here. Try: hostmesh service register NAME --port PORT",
  };
}

function ejectedCell(hosts: readonly string[]): Cell {
  if (hosts.length === 0) return "-";
  return { text: hosts.join(", "), style: "bad" };
}

/** What passed through each host. */
export function hostsTable(hosts: readonly HostSummary[], wide: boolean): TableData {
  return {
    columns: [
      { title: "HOST", minWidth: 10 },
      { title: "STATE" },
      ...FIGURE_COLUMNS,
      BYTES_COLUMN,
      ...(wide ? [...TOTAL_COLUMNS, { title: "ZONE" }] : []),
    ],
    rows: hosts.map(({ host, state, zone, figures }) => [
      host,
      { text: state, style: state === "reporting" ? "good" : "bad" },
      ...figureCells(figures),
      bytesCell(figures),
      ...(wide ? [...totalCells(figures), zone || "-"] : []),
    ]),
    empty: "No daemon has reported. Start one: hostmesh daemon",
  };
}

import type { Cell } from "../../core/text-table.ts";
import type {
  EndpointFigures,
  Figures,
  MeshReport,
  RouteFigures,
  ServiceFigures,
} from "../../sight/mesh-report.ts";
import type { TableData } from "../print-data.ts";
import { FIGURE_COLUMNS, figureCells, TOTAL_COLUMNS, totalCells } from "./figure-columns.ts";
import { findName, isWithin, shortName } from "./names.ts";
import { reportNotes } from "./report-notes.ts";
import type { Picture } from "./show.ts";
import { type SortBy, sortFigures } from "./sort-figures.ts";

/** Which routes are wanted; names as the user wrote them. */
export interface RoutesQuery {
  readonly service?: string;
  readonly from?: string;
  readonly namespace?: string;
  readonly sort: SortBy;
  readonly wide: boolean;
}

/** What the tries at all endpoints of a service came to. Of durations there is no sum, so it has none. */
interface Tries {
  readonly requests: number;
  readonly failures: number;
  readonly rps: number;
  readonly success: number | null;
  /** Within the window; null: no request ended in it. Below 1: some were answered without any endpoint. */
  readonly perRequest: number | null;
}

interface ServiceRoutes {
  readonly service: string;
  /** What callers saw, after retries. */
  readonly effective: Figures;
  readonly routes: readonly RouteFigures[];
  /** What endpoints were asked, retries included. */
  readonly actual: Tries;
  readonly endpoints: readonly EndpointFigures[];
}

/** What callers saw by route, and beside it what the endpoints did. Throws a CliError for names that the mesh does not know. */
export function routesPicture(report: MeshReport, query: RoutesQuery): Picture {
  const services = servicesOf(report, query);
  const { atMs, windowMs } = report;
  return {
    data: { atMs, windowMs, services },
    table: routesTable(services, query.wide),
    notes: [
      ...NOTES,
      ...(query.from === undefined
        ? []
        : ["A service's own line and its endpoints are of all callers."]),
      ...reportNotes(report),
    ],
  };
}

const NOTES = [
  "effective: what callers saw, after retries. actual: every try at an endpoint, retries included; its success without theirs.",
  "Tries are counted for each service, not for each route: which route led to which endpoint is not known here (hostmesh tap shows it of single requests).",
];

function servicesOf(report: MeshReport, query: RoutesQuery): readonly ServiceRoutes[] {
  const wanted = nameOf(report, query.service, query.namespace, "service");
  const from = nameOf(report, query.from, query.namespace, "source");
  const routesOf = Map.groupBy(
    report.routes.filter(({ source }) => from === undefined || source === from),
    ({ destination }) => destination,
  );
  return report.services
    .filter(({ service }) =>
      wanted === undefined
        ? isWithin(service, query.namespace) && routesOf.has(service)
        : service === wanted,
    )
    .map((service) => ofService(service, routesOf.get(service.service) ?? [], query.sort));
}

function nameOf(
  { services, sources }: MeshReport,
  wanted: string | undefined,
  namespace: string | undefined,
  kind: "service" | "source",
): string | undefined {
  if (wanted === undefined) return undefined;
  const names =
    kind === "service" ? services.map((each) => each.service) : sources.map((each) => each.source);
  return findName(names, wanted, { kind, remedy: "nobody has called anything yet", namespace });
}

function ofService(
  {
    service,
    endpoints,
    protocols: _,
    errors: _errors,
    inFlight: _inFlight,
    ...effective
  }: ServiceFigures,
  routes: readonly RouteFigures[],
  sort: SortBy,
): ServiceRoutes {
  return {
    service,
    effective,
    routes: sortFigures(routes, sort),
    actual: triesOf(endpoints, effective),
    endpoints: sortFigures(endpoints, sort),
  };
}

function triesOf(endpoints: readonly EndpointFigures[], effective: Figures): Tries {
  const sum = (of: (endpoint: EndpointFigures) => number) =>
    endpoints.reduce((total, endpoint) => total + of(endpoint), 0);
  const rps = sum((endpoint) => endpoint.rps);
  return {
    requests: sum(({ requests }) => requests),
    failures: sum(({ failures }) => failures),
    rps,
    // Weighted by the rates: those are counts of the same window.
    success: rps > 0 ? sum((endpoint) => endpoint.rps * (endpoint.success ?? 1)) / rps : null,
    perRequest: effective.rps > 0 ? rps / effective.rps : null,
  };
}

function routesTable(services: readonly ServiceRoutes[], wide: boolean): TableData {
  return {
    columns: [
      { title: "NAME", minWidth: 14 },
      { title: "SOURCE", minWidth: 6 },
      { title: "TYPE" },
      ...FIGURE_COLUMNS,
      ...(wide ? TOTAL_COLUMNS : []),
    ],
    rows: services.flatMap((service) => rowsOf(service, wide)),
    empty:
      "No request has been routed yet. Call a service; hostmesh get shows the resources that route.",
  };
}

function rowsOf(service: ServiceRoutes, wide: boolean): Cell[][] {
  const { routes, endpoints, actual } = service;
  const row = (name: Cell, source: string, type: string, figures: Figures): Cell[] => [
    name,
    source,
    { text: type, style: "dim" },
    ...figureCells(figures),
    ...(wide ? totalCells(figures) : []),
  ];
  const title: Cell = { text: shortName(service.service), style: "strong" };
  return [
    row(title, "", "effective", service.effective),
    ...routes.map((route) => row(`├─ ${route.route}`, shortName(route.source), "effective", route)),
    row(`└─► ${triesText(actual)}`, "", "actual", { ...NO_DURATIONS, ...actual }),
    ...endpoints.map((endpoint, index) => {
      const branch = index === endpoints.length - 1 ? "└─" : "├─";
      const name = endpoint.id.slice(endpoint.id.indexOf("/") + 1);
      return row(`    ${branch} ${name}`, "", "actual", endpoint);
    }),
  ];
}

const NO_DURATIONS = {
  requestBytes: 0,
  responseBytes: 0,
  bytesPerSecond: 0,
  p50Ms: null,
  p95Ms: null,
  p99Ms: null,
};

function triesText({ perRequest }: Tries): string {
  return perRequest === null ? "tries" : `${perRequest.toFixed(2)} tries a request`;
}

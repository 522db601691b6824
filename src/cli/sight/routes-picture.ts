import { formatRate } from "../../core/format-figures.ts";
import type { Cell } from "../../core/text-table.ts";
import type {
  EndpointFigures,
  Figures,
  MeshReport,
  RouteFigures,
  ServiceFigures,
} from "../../sight/mesh-report.ts";
import type { TableData } from "../print-data.ts";
import {
  FIGURE_COLUMNS,
  figureCells,
  successCell,
  TOTAL_COLUMNS,
  totalCells,
} from "./figure-columns.ts";
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

/** What the tries came to that the requests of a service took. Of their durations nothing is known. */
interface Tries {
  /** Since the data paths' start. */
  readonly retries: number;
  readonly rps: number;
  readonly success: number | null;
  /** Within the window; null: no request ended in it. */
  readonly perRequest: number | null;
}

interface ServiceRoutes {
  readonly service: string;
  /** What callers saw, after retries. */
  readonly effective: Figures;
  readonly routes: readonly RouteFigures[];
  /** All tries, those that were retried included; null: no daemon tells of retries. */
  readonly actual: Tries | null;
  /** Each request counts where it was tried last. */
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
  "effective: what callers saw, after retries; of an endpoint the requests that it was the last to be tried for. actual: all tries, of which each one that was retried had failed.",
  "Tries are counted for each service: which route or endpoint they were of is not known here.",
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
  figures: ServiceFigures,
  routes: readonly RouteFigures[],
  sort: SortBy,
): ServiceRoutes {
  const { service, endpoints } = figures;
  return {
    service,
    effective: figuresOf(figures),
    routes: sortFigures(routes, sort),
    actual: triesOf(figures),
    endpoints: sortFigures(endpoints, sort),
  };
}

function figuresOf(figures: ServiceFigures): Figures {
  const { requests, failures, requestBytes, responseBytes, rps, bytesPerSecond } = figures;
  const { success, p50Ms, p95Ms, p99Ms } = figures;
  return {
    ...{ requests, failures, requestBytes, responseBytes, rps, bytesPerSecond },
    ...{ success, p50Ms, p95Ms, p99Ms },
  };
}

/** A request is one try and its retries, and before each retry a try had failed. */
function triesOf({ retries, retriesPerSecond = 0, rps, success }: ServiceFigures): Tries | null {
  if (retries === undefined) return null;
  const all = rps + retriesPerSecond;
  return {
    retries,
    rps: all,
    success: success === null || all === 0 ? null : (rps * success) / all,
    perRequest: rps > 0 ? all / rps : null,
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
  const row = (name: Cell, source: string, type: string, cells: readonly Cell[]): Cell[] => [
    name,
    source,
    { text: type, style: "dim" },
    ...cells,
  ];
  const cellsOf = (figures: Figures) => [
    ...figureCells(figures),
    ...(wide ? totalCells(figures) : []),
  ];
  const title: Cell = { text: shortName(service.service), style: "strong" };
  return [
    row(title, "", "effective", cellsOf(service.effective)),
    ...routes.map((route) =>
      row(`├─ ${route.route}`, shortName(route.source), "effective", cellsOf(route)),
    ),
    ...(actual === null ? [] : [row(`├─ ${triesText(actual)}`, "", "actual", triesCells(actual))]),
    row(endpoints.length === 0 ? "└─► no endpoint" : "└─► endpoints", "", "", []),
    ...endpoints.map((endpoint, index) => {
      const branch = index === endpoints.length - 1 ? "└─" : "├─";
      const name = endpoint.id.slice(endpoint.id.indexOf("/") + 1);
      return row(`    ${branch} ${name}`, "", "effective", cellsOf(endpoint));
    }),
  ];
}

function triesCells({ success, rps }: Tries): Cell[] {
  return [successCell(success), formatRate(rps), "-", "-", "-"];
}

function triesText({ perRequest }: Tries): string {
  return perRequest === null ? "tries" : `${perRequest.toFixed(2)} tries a request`;
}

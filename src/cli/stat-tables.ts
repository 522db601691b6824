import { successStyle } from "../../daemon/demo/demo-frame.ts";
import type { EndpointView, ServiceView } from "../../daemon/demo/stat-view.ts";
import { formatHostPort } from "../core/address.ts";
import { formatMs, formatRate, formatShare } from "../core/format-figures.ts";
import { DEFAULT_NAMESPACE } from "../core/model.ts";
import type { TableData } from "./print-data.ts";

/** One line per service. */
export function servicesTable(services: readonly ServiceView[]): TableData {
  return {
    columns: [
      { title: "SERVICE", minWidth: 10 },
      { title: "SUCCESS", align: "right" },
      { title: "RPS", align: "right" },
      { title: "P50", align: "right" },
      { title: "P95", align: "right" },
      { title: "P99", align: "right" },
      { title: "IN-FLIGHT", align: "right" },
      { title: "RETRIES", align: "right" },
    ],
    rows: services.map((service) => [
      shortName(service.service),
      { text: formatShare(service.success), style: successStyle(service.success) },
      formatRate(service.rps),
      formatMs(service.p50Ms),
      formatMs(service.p95Ms),
      formatMs(service.p99Ms),
      String(service.inFlight),
      String(service.retries),
    ]),
    empty: "The daemon knows no service. Try: hostmesh service register NAME --port PORT",
  };
}

/** One line per endpoint of a service. */
export function endpointsTable(endpoints: readonly EndpointView[]): TableData {
  return {
    columns: [
      { title: "ENDPOINT", minWidth: 10 },
      { title: "ADDRESS", minWidth: 12 },
      { title: "HEALTH" },
      { title: "SHARE", align: "right" },
      { title: "IN-FLIGHT", align: "right" },
      { title: "COST", align: "right" },
      { title: "P99", align: "right" },
      { title: "FAILED", align: "right" },
      { title: "EJECTED" },
    ],
    rows: endpoints.map((endpoint) => [
      endpoint.id.slice(endpoint.id.indexOf("/") + 1),
      formatHostPort(endpoint.address, endpoint.port),
      { text: endpoint.health, style: endpoint.health === "passing" ? "good" : "bad" },
      formatShare(endpoint.share),
      String(endpoint.inFlight),
      formatMs(endpoint.latencyEwmaMs),
      formatMs(endpoint.p99Ms),
      `${endpoint.failures} of ${endpoint.requests}`,
      endpoint.ejected ? { text: "yes", style: "bad" } : "no",
    ]),
    empty: "The service has no endpoint.",
  };
}

/** What the columns of `endpointsTable` are about; `windowMs` is the time that rates look back. */
export function endpointNotes(windowMs: number): string[] {
  return [
    `SHARE and P99 are of the last ${Math.round(windowMs / 1_000)} s; FAILED counts since the data path started; the others are of now.`,
    "COST is the balancer's estimate of the latency, in which a failure counts as slow.",
  ];
}

/** `NAME` in the default namespace, else `NAME.NAMESPACE`, as the proxy's port takes it. */
export function shortName(key: string): string {
  const [namespace = "", name = ""] = key.split("/");
  return namespace === DEFAULT_NAMESPACE ? name : `${name}.${namespace}`;
}

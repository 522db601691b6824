import { formatMs, formatRate, formatShare } from "../../src/core/format-figures.ts";
import { paint, type Style, truncate } from "../../src/core/terminal.ts";
import { type Cell, type Column, type TableOptions, textTable } from "../../src/core/text-table.ts";
import { DEMO_INSTANCES, DEMO_PREFIX } from "./application.ts";
import type { EndpointView, ServiceView, StatView } from "./stat-view.ts";

const COLUMNS: readonly Column[] = [
  { title: "SERVICE", minWidth: 10 },
  { title: "SUCCESS", align: "right" },
  { title: "RPS", align: "right" },
  { title: "P50", align: "right" },
  { title: "P99", align: "right" },
  { title: "IN FLIGHT", align: "right" },
  { title: "SHARE", align: "right" },
  { title: "", minWidth: 0 },
];

/** Colour of a success rate: all, nearly all, or not. */
export function successStyle(success: number | null): Style {
  if (success === null) return "dim";
  return success >= 0.999 ? "good" : success >= 0.95 ? "warn" : "bad";
}

/** The demo's live table: every service, and below it its endpoints where it has several. */
export function demoFrame(stats: StatView, options: TableOptions): string[] {
  const rows = stats.services.flatMap((service) => [
    serviceRow(service),
    ...(service.endpoints.length > 1 ? service.endpoints.map(endpointRow) : []),
  ]);
  const alive = stats.workers.filter((worker) => worker.alive).length;
  const total = stats.services.reduce((sum, service) => sum + service.rps, 0);
  const seconds = Math.round(stats.windowMs / 1_000);
  const headline = `${formatRate(total)} requests/s through one daemon with ${alive} workers, last ${seconds} s (success of an endpoint: since the start)`;
  return [
    paint(truncate(headline, options.width), "strong", options.color),
    "",
    ...textTable(COLUMNS, rows, options),
  ];
}

/** One line per service, for a log or a pipe. */
export function demoLines(stats: StatView, time: Date): string[] {
  const clock = time.toISOString().slice(11, 19);
  return stats.services.map((service) => {
    const shares = service.endpoints
      .map(({ id, share }) => `${endpointName(id)} ${formatShare(share)}`)
      .join(", ");
    return [
      `${clock} ${nameOf(service).padEnd(8)}`,
      `${formatRate(service.rps)} rps`,
      `success ${formatShare(service.success)}`,
      `p50 ${formatMs(service.p50Ms)}`,
      `p99 ${formatMs(service.p99Ms)}`,
      `in flight ${service.inFlight}`,
      ...(service.endpoints.length > 1 ? [`share: ${shares}`] : []),
    ].join("  ");
  });
}

function serviceRow(service: ServiceView): Cell[] {
  return [
    { text: nameOf(service), style: "strong" },
    { text: formatShare(service.success), style: successStyle(service.success) },
    formatRate(service.rps),
    formatMs(service.p50Ms),
    formatMs(service.p99Ms),
    String(service.inFlight),
    "",
    service.retries === 0 ? "" : { text: `retries ${service.retries}`, style: "dim" },
  ];
}

function endpointRow(endpoint: EndpointView): Cell[] {
  const name = endpointName(endpoint.id);
  const success = endpoint.requests === 0 ? null : 1 - endpoint.failures / endpoint.requests;
  const note = DEMO_INSTANCES.find((instance) => instance.name === name)?.note ?? "";
  return [
    `  ${name}`,
    { text: formatShare(success), style: successStyle(success) },
    "",
    formatMs(endpoint.p50Ms),
    formatMs(endpoint.p99Ms),
    String(endpoint.inFlight),
    formatShare(endpoint.share),
    endpoint.ejected ? { text: "ejected", style: "bad" } : { text: note, style: "dim" },
  ];
}

function nameOf({ service }: ServiceView): string {
  return service.startsWith("default/") ? service.slice(8) : service;
}

/** The instance's name, without its host and the demo's prefix. */
function endpointName(id: string): string {
  const instance = id.slice(id.indexOf("/") + 1);
  return instance.startsWith(DEMO_PREFIX) ? instance.slice(DEMO_PREFIX.length) : instance;
}

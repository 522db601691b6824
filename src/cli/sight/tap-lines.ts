import { formatBytes, formatMs } from "../../core/format-figures.ts";
import { paint, printable } from "../../core/terminal.ts";
import type { TapEvent, TapItem } from "../../sight/tap-event.ts";
import { shortName } from "./names.ts";

export interface TapView {
  readonly wide: boolean;
  readonly color: boolean;
}

/** Widths of the columns; what is longer moves the rest of its line. */
const TIME = 12;
const NAME = 18;
const METHOD = 6;
const STATUS = 6;
const LATENCY = 8;

/** The names of the columns that the lines of {@link tapItemLines} have. */
export function tapHeader({ wide, color }: TapView): string {
  const columns = [
    "TIME".padEnd(TIME),
    "SOURCE".padEnd(NAME),
    "SERVICE".padEnd(NAME),
    "STATUS".padEnd(STATUS),
    "LATENCY".padStart(LATENCY),
    "METHOD".padEnd(METHOD),
    "PATH",
    ...(wide ? ["(ROUTE, ENDPOINT, SECURED, BYTES, TRIES, HOST, TRACE)"] : []),
  ];
  return paint(columns.join("  "), "dim", color);
}

/** What people see of an item of a tap: a line for each request, and one for each header that it shows. */
export function tapItemLines(item: TapItem, view: TapView): string[] {
  if (item.type === "event") return eventLines(item.event, view);
  const count = item.events === 1 ? "1 request was" : `${item.events} requests were`;
  const text = `${count} left out on ${printable(item.host)}: more than --max-rps a second matched`;
  return [paint(text, "warn", view.color)];
}

function eventLines(event: TapEvent, { wide, color }: TapView): string[] {
  const style = event.error !== null || event.status >= 500 ? "bad" : undefined;
  const columns = [
    new Date(event.atMs).toISOString().slice(11, 23),
    printable(shortName(event.source)).padEnd(NAME),
    printable(shortName(event.destination ?? event.entry)).padEnd(NAME),
    paint(statusOf(event).padEnd(STATUS), style, color),
    formatMs(event.durationMs).padStart(LATENCY),
    printable(event.method === "" ? event.protocol : event.method).padEnd(METHOD),
    printable(event.path),
    ...(event.error === null ? [] : [paint(`${event.flag} ${event.error}`, "bad", color)]),
    ...(wide ? [wideOf(event)] : []),
  ];
  return [
    columns.join("  "),
    ...headerLines(">", event.requestHeaders, color),
    ...headerLines("<", event.responseHeaders, color),
  ];
}

function statusOf({ status, grpcStatus }: TapEvent): string {
  if (grpcStatus !== null) return `grpc ${grpcStatus}`;
  return status === 0 ? "-" : String(status);
}

function wideOf(event: TapEvent): string {
  const { route, endpoint, endpointAddress, security, requestBytes, responseBytes } = event;
  const bytes = `${formatBytes(requestBytes)}/${formatBytes(responseBytes)}`;
  const place = endpoint === null ? "-" : `${endpoint} (${endpointAddress})`;
  const trace = event.traceId === "" ? "-" : event.traceId;
  const words = [`route=${route}`, `endpoint=${place}`, security, bytes];
  return printable([...words, `tries=${event.attempts}`, event.host, trace].join("  "));
}

function headerLines(mark: string, headers: TapEvent["requestHeaders"], color: boolean): string[] {
  return (headers ?? []).map(([name, value]) =>
    paint(`    ${mark} ${printable(name)}: ${printable(value)}`, "dim", color),
  );
}

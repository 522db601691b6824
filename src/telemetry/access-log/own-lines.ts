import { formatHostPort } from "../../core/address.ts";
import { CODES } from "../../core/errors.ts";
import type { RequestFacts } from "../../core/facts.ts";
import { quoted, token } from "../escape.ts";
import { traceIdOf } from "../trace-context.ts";

/**
 * The line as a JSON object. `time` is when the exchange began; `flag` is the short reason of
 * docs/errors.md or `-`; times in ms, sizes in bytes.
 */
export function jsonLine(facts: Readonly<RequestFacts>, endMs: number): string {
  const { source, service, endpoint } = facts;
  return `{"time":"${startTime(facts, endMs)}","entry":"${facts.entry}","protocol":"${facts.protocol}","source":${orNull(source?.key)},"sourceAddress":${quoted(facts.sourceAddress)},"service":${orNull(service?.key)},"endpoint":${orNull(endpoint?.id)},"endpointAddress":${orNull(addressOf(facts))},"method":${quoted(facts.method)},"authority":${quoted(facts.authority)},"path":${quoted(facts.target)},"status":${facts.status},"httpVersion":${orNull(facts.httpVersion || undefined)},"upstreamHttpVersion":${orNull(UPSTREAM_VERSIONS[facts.upstreamVersion])},"grpcStatus":${facts.grpcStatus === -1 ? null : facts.grpcStatus},"flag":"${flagOf(facts)}","error":${orNull(facts.error ?? undefined)},"requestBytes":${facts.requestBytes},"responseBytes":${facts.responseBytes},"durationMs":${micros(facts.durationMs)},"queueMs":${micros(facts.queueMs)},"upstreamMs":${micros(facts.upstreamMs)},"proxyMs":${micros(facts.proxyMs)},"attempts":${facts.attempts},"requestId":${quoted(facts.requestId)},"traceId":${quoted(traceIdOf(facts.traceparent))}}`;
}

/** The line for people: what happened first, then who, then how much. */
export function textLine(facts: Readonly<RequestFacts>, endMs: number): string {
  const request =
    facts.protocol === "tcp"
      ? `"TCP"`
      : quoted(`${facts.method} ${facts.target} @ ${facts.authority}`);
  const who = `source=${token(facts.source?.key ?? "")} from=${token(facts.sourceAddress)} service=${token(facts.service?.key ?? "")} endpoint=${token(facts.endpoint?.id ?? "")} to=${token(addressOf(facts) ?? "")} entry=${facts.entry} version=${token(facts.httpVersion)} upstreamVersion=${token(UPSTREAM_VERSIONS[facts.upstreamVersion] ?? "")}`;
  const much = `in=${facts.requestBytes} out=${facts.responseBytes} ms=${micros(facts.durationMs)} queue=${micros(facts.queueMs)} upstream=${micros(facts.upstreamMs)} proxy=${micros(facts.proxyMs)} attempts=${facts.attempts}`;
  return `${startTime(facts, endMs)} ${facts.status} ${flagOf(facts)} ${request} ${who} ${much} error=${facts.error ?? "-"} request=${token(facts.requestId)} trace=${token(traceIdOf(facts.traceparent))}`;
}

/** By their major version; requests of HTTP/1.0 go on as HTTP/1.1. */
const UPSTREAM_VERSIONS: readonly (string | undefined)[] = [undefined, "HTTP/1.1", "HTTP/2"];

function startTime(facts: Readonly<RequestFacts>, endMs: number): string {
  return new Date(endMs - facts.durationMs).toISOString();
}

function flagOf({ error }: Readonly<RequestFacts>): string {
  return error === null ? "-" : CODES[error].flag;
}

function addressOf({ endpoint }: Readonly<RequestFacts>): string | undefined {
  return endpoint === null ? undefined : formatHostPort(endpoint.address, endpoint.port);
}

function orNull(text: string | undefined): string {
  return text === undefined ? "null" : quoted(text);
}

/** A time in ms with whole microseconds. */
function micros(durationMs: number): number {
  return Math.round(durationMs * 1000) / 1000;
}

import { formatHostPort } from "../../core/address.ts";
import { CODES } from "../../core/errors.ts";
import type { RequestFacts } from "../../core/facts.ts";
import { keyOf } from "../../core/model.ts";
import type { TapEvent } from "../../sight/tap-event.ts";
import { originForm } from "../access-log/header-fields.ts";
import { traceIdOf } from "../trace-context.ts";
import { redactedFields, withoutQuery } from "./redact.ts";

const MAX_TEXT = 512;
const cut = (text: string) => text.slice(0, MAX_TEXT);
/** With whole microseconds. */
const micros = (durationMs: number) => Math.round(durationMs * 1_000) / 1_000;

export interface EventOptions {
  /** Name of this host. */
  readonly host: string;
  readonly headers: boolean;
  readonly query: boolean;
}

/** What a tap shows of an exchange. `endMs`: time of day, since 1970. */
export function makeEvent(
  facts: Readonly<RequestFacts>,
  { host, headers, query }: EventOptions,
  endMs: number,
): TapEvent {
  const { source, service, endpoint, error, details } = facts;
  // An absolute target may begin with a login.
  const path = originForm(facts.target);
  return {
    host,
    atMs: Math.round(endMs - facts.durationMs),
    entry: facts.entry,
    protocol: facts.protocol,
    httpVersion: facts.httpVersion,
    source: source === null ? "unknown" : keyOf(source),
    sourceAddress: facts.sourceAddress,
    destination: service?.key ?? null,
    route: facts.route,
    endpoint: endpoint?.id ?? null,
    endpointAddress: endpoint === null ? null : formatHostPort(endpoint.address, endpoint.port),
    security: facts.security,
    method: cut(facts.method),
    authority: cut(facts.authority),
    path: query ? path.slice(0, 4 * MAX_TEXT) : withoutQuery(path),
    status: facts.status,
    grpcStatus: facts.grpcStatus === -1 ? null : facts.grpcStatus,
    error,
    flag: error === null ? "-" : CODES[error].flag,
    requestBytes: facts.requestBytes,
    responseBytes: facts.responseBytes,
    durationMs: micros(facts.durationMs),
    attempts: facts.attempts,
    requestId: cut(facts.requestId),
    traceId: traceIdOf(facts.traceparent),
    ...(headers && details !== null
      ? {
          requestHeaders: redactedFields(details.request?.fields ?? []),
          responseHeaders: redactedFields(details.response?.fields ?? []),
        }
      : {}),
  };
}

import { formatHostPort } from "../../core/address.ts";
import { CODES } from "../../core/errors.ts";
import type { SocketPlaces } from "../../core/exchange-details.ts";
import type { RequestFacts } from "../../core/facts.ts";
import { GRPC } from "../../core/grpc.ts";
import type { OperatorName } from "../../core/log-format.ts";
import { compileTime } from "../../core/strftime.ts";
import { traceIdOf } from "../trace-context.ts";
import { requestField, responseField, trailerField } from "./header-fields.ts";
import { DIRECT_RESPONSE, RESPONSE_DETAILS, VIA_UPSTREAM } from "./response-details.ts";

/** One value of a line; null: there is none. `endMs`: time of day at the exchange's end, since 1970. */
export type Read = (facts: Readonly<RequestFacts>, endMs: number) => string | number | null;

/** What an operator is compiled with. */
interface Given {
  readonly argument: string;
  /** Name of this host. */
  readonly host: string;
}

/** Envoy's default for times. */
const DEFAULT_TIME = "%Y-%m-%dT%H:%M:%E3SZ";
/** Istio's name for the destinations that the mesh does not know. */
const PASSTHROUGH_CLUSTER = "PassthroughCluster";
const UPSTREAM_VERSIONS: readonly (string | null)[] = [null, "HTTP/1.1", "HTTP/2"];
/** Of gRPC, by their numbers: `DeadlineExceeded` and `DEADLINE_EXCEEDED`. */
const SNAKE: ReadonlyMap<number, string> = new Map(
  Object.entries(GRPC).map(([name, number]) => [number, name]),
);

const orNull = (text: string | undefined) => (text === undefined || text === "" ? null : text);
const whole = (valueMs: number) => Math.max(0, Math.round(valueMs));

/** The functions behind the operators that take nothing. */
const PLAIN: Readonly<Partial<Record<OperatorName, Read>>> = {
  PROTOCOL: ({ httpVersion, protocol }) => (protocol === "tcp" ? null : orNull(httpVersion)),
  UPSTREAM_PROTOCOL: ({ upstreamVersion }) => UPSTREAM_VERSIONS[upstreamVersion] ?? null,
  RESPONSE_CODE: ({ status }) => status,
  RESPONSE_CODE_DETAILS: responseCodeDetails,
  RESPONSE_FLAGS: ({ error }) => (error === null ? null : CODES[error].flag),
  CONNECTION_TERMINATION_DETAILS: ({ protocol, error }) =>
    protocol === "tcp" && error !== null ? RESPONSE_DETAILS[error] : null,
  UPSTREAM_TRANSPORT_FAILURE_REASON: transportFailure,
  BYTES_RECEIVED: ({ requestBytes }) => requestBytes,
  BYTES_SENT: ({ responseBytes }) => responseBytes,
  REQUEST_HEADERS_BYTES: ({ details }) => details?.request?.bytes ?? 0,
  RESPONSE_HEADERS_BYTES: ({ details }) => details?.response?.bytes ?? 0,
  DURATION: ({ durationMs }) => whole(durationMs),
  REQUEST_DURATION: (facts) => sinceStart(facts, facts.details?.requestEndMs),
  RESPONSE_DURATION: (facts) => sinceStart(facts, facts.details?.firstByteMs),
  RESPONSE_TX_DURATION: (facts) => {
    const toFirst = sinceStart(facts, facts.details?.firstByteMs);
    return toFirst === null ? null : whole(facts.durationMs - toFirst);
  },
  UPSTREAM_HOST: upstreamHost,
  UPSTREAM_REMOTE_ADDRESS: upstreamHost,
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ endpoint, details }) =>
    orNull(endpoint?.address ?? details?.upstream?.remoteAddress),
  UPSTREAM_REMOTE_PORT: ({ endpoint, details }) =>
    endpoint?.port ?? details?.upstream?.remotePort ?? null,
  UPSTREAM_LOCAL_ADDRESS: ({ details }) => localPlace(details?.upstream),
  UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: ({ details }) => orNull(details?.upstream?.localAddress),
  UPSTREAM_LOCAL_PORT: ({ details }) => details?.upstream?.localPort ?? null,
  UPSTREAM_CLUSTER: cluster,
  UPSTREAM_CLUSTER_RAW: cluster,
  UPSTREAM_REQUEST_ATTEMPT_COUNT: ({ attempts }) => attempts,
  UPSTREAM_PEER_URI_SAN: ({ endpoint, security }) =>
    security === "mutual_tls" ? orNull(endpoint?.identity) : null,
  DOWNSTREAM_LOCAL_ADDRESS: ({ details }) =>
    details?.destination
      ? formatHostPort(details.destination.host, details.destination.port)
      : localPlace(details?.client),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: ({ details }) =>
    orNull(details?.destination?.host ?? details?.client?.localAddress),
  DOWNSTREAM_LOCAL_PORT: ({ details }) =>
    details?.destination?.port ?? details?.client?.localPort ?? null,
  DOWNSTREAM_REMOTE_ADDRESS: clientPlace,
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ sourceAddress }) => orNull(sourceAddress),
  DOWNSTREAM_REMOTE_PORT: ({ details }) => details?.client?.remotePort ?? null,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: clientPlace,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: ({ sourceAddress }) => orNull(sourceAddress),
  DOWNSTREAM_DIRECT_REMOTE_PORT: ({ details }) => details?.client?.remotePort ?? null,
  DOWNSTREAM_PEER_URI_SAN: ({ details }) => orNull(details?.identity),
  REQUESTED_SERVER_NAME: ({ details }) => orNull(details?.serverName),
  ROUTE_NAME: ({ route }) => orNull(route),
  GRPC_STATUS_NUMBER: ({ grpcStatus }) => (grpcStatus === -1 ? null : grpcStatus),
  TRACE_ID: ({ traceparent }) => orNull(traceIdOf(traceparent)),
  CONNECTION_ID: ({ details }) => (details?.client ? connectionId(details.client) : null),
  STREAM_ID: ({ requestId }) => orNull(requestId),
};

/** The function behind an operator of a checked format. Everything that can be made ready is made here, not per line. */
export function compileOperator(name: OperatorName, { argument, host }: Given): Read {
  const time = () => compileTime(argument === "" ? DEFAULT_TIME : argument);
  switch (name) {
    case "START_TIME": {
      const format = time();
      return ({ durationMs }, endMs) => format(endMs - durationMs);
    }
    case "EMIT_TIME": {
      const format = time();
      return (_, endMs) => format(endMs);
    }
    case "REQ":
      return requestField(argument);
    case "RESP":
      return responseField(argument);
    case "TRAILER":
      return trailerField(argument);
    case "GRPC_STATUS":
      return grpcStatus(argument);
    case "HOSTNAME":
      return () => host;
    default: {
      const read = PLAIN[name];
      if (read === undefined) throw new TypeError(`no function behind ${name}`);
      return read;
    }
  }
}

/** Do lines with this operator need the exchange's details? */
export function needsDetails(name: OperatorName, argument: string): boolean {
  if (name === "TRAILER") return true;
  if (name === "REQ") return !FROM_FACTS.test(argument);
  if (name === "RESP") return !/^x-envoy-upstream-service-time$/i.test(argument);
  return (
    /^(?:UPSTREAM_(?:HOST|LOCAL|REMOTE|TRANSPORT)|DOWNSTREAM_(?:LOCAL|REMOTE_(?:ADDRESS$|PORT)|DIRECT_REMOTE_(?:ADDRESS$|PORT)|PEER)|REQUESTED_SERVER|CONNECTION_ID|REQUEST_(?:HEADERS|DURATION)|RESPONSE_(?:HEADERS|DURATION|TX))/.test(
      name,
    ) || name === "RESPONSE_CODE_DETAILS"
  );
}

/** Fields of the request that the facts have. The first one of a pair may be a field that must be looked for. */
const FROM_FACTS = /^(?::method|:path|:authority|x-request-id|traceparent)$/i;

function responseCodeDetails({ protocol, error, status, details }: Readonly<RequestFacts>) {
  if (error !== null) return RESPONSE_DETAILS[error];
  if (protocol === "tcp" || status === 0) return null;
  return details !== null && details.response === null ? DIRECT_RESPONSE : VIA_UPSTREAM;
}

function transportFailure({ error, details }: Readonly<RequestFacts>): string | null {
  if (error !== "TLS_FAILED" && error !== "IDENTITY_MISMATCH") return null;
  return orNull(details?.failure) ?? CODES[error].text;
}

function sinceStart({ startMs }: Readonly<RequestFacts>, atMs: number | undefined): number | null {
  return atMs === undefined || atMs === 0 ? null : whole(atMs - startMs);
}

function upstreamHost({ endpoint, details }: Readonly<RequestFacts>): string | null {
  if (endpoint !== null) return formatHostPort(endpoint.address, endpoint.port);
  const { remoteAddress, remotePort } = details?.upstream ?? {};
  return remoteAddress === undefined ? null : formatHostPort(remoteAddress, remotePort ?? 0);
}

function localPlace(places: SocketPlaces | null | undefined): string | null {
  const { localAddress, localPort } = places ?? {};
  return localAddress === undefined ? null : formatHostPort(localAddress, localPort ?? 0);
}

/** A stream of another host's has no connection of its own: then there is no port to show. */
function clientPlace({ sourceAddress, details }: Readonly<RequestFacts>): string | null {
  const port = details?.client?.remotePort;
  if (sourceAddress === "" || port === undefined) return orNull(sourceAddress);
  return formatHostPort(sourceAddress, port);
}

function cluster({ service, entry }: Readonly<RequestFacts>): string | null {
  return service?.key ?? (entry === "passthrough" ? PASSTHROUGH_CLUSTER : null);
}

/** Connections get their numbers when they are first written of. */
const connectionIds = new WeakMap<SocketPlaces, number>();
let lastConnectionId = 0;

function connectionId(client: SocketPlaces): number {
  const known = connectionIds.get(client);
  if (known !== undefined) return known;
  connectionIds.set(client, ++lastConnectionId);
  return lastConnectionId;
}

function grpcStatus(form: string): Read {
  if (form === "NUMBER") {
    return ({ grpcStatus: status }) => (status === -1 ? null : status);
  }
  const write = form === "SNAKE_STRING" ? (name: string) => name : camel;
  const names = new Map([...SNAKE].map(([number, name]) => [number, write(name)]));
  return ({ grpcStatus: status }) => (status === -1 ? null : (names.get(status) ?? String(status)));
}

/** `DEADLINE_EXCEEDED` as `DeadlineExceeded`. Envoy writes OK as it is. */
function camel(name: string): string {
  if (name === "OK") return name;
  return name
    .split("_")
    .map((word) => word.slice(0, 1) + word.slice(1).toLowerCase())
    .join("");
}

import type { ExchangeDetails, SocketPlaces } from "../core/exchange-details.ts";
import type { Carrier } from "../http/carrier.ts";
import { Conn } from "../http/conn.ts";
import type { ResponseHead } from "../http/message.ts";
import { readClientHello } from "../identity/client-hello.ts";
import type { Origin } from "./context.ts";
import { linesBehind } from "./grpc.ts";

/** What some observers of an exchange want to know beyond its facts: made only while there are such. */
export function newDetails(origin: Origin): ExchangeDetails {
  return {
    request: null,
    response: null,
    trailers: "",
    requestEndMs: 0,
    firstByteMs: 0,
    failure: "",
    serverName: "",
    client: origin.places ?? null,
    upstream: null,
    destination: origin.destination,
    identity: origin.identity,
  };
}

/** Both ends of a connection, which may be asked for when it is closed. */
export function placesOf(places: SocketPlaces): SocketPlaces {
  const { remoteAddress, remotePort, localAddress, localPort } = places;
  return { remoteAddress, remotePort, localAddress, localPort };
}

/** The request goes to an endpoint by this connection. */
export function noteUpstream(details: ExchangeDetails, conn: Carrier): void {
  details.upstream = conn instanceof Conn ? placesOf(conn.socket) : null;
  details.response = null;
}

/** The endpoint's response begins. */
export function noteResponse(details: ExchangeDetails, head: ResponseHead, nowMs: number): void {
  details.response = head;
  details.firstByteMs = nowMs;
}

/** The last piece of a response has come by this carrier. */
export function noteTrailers(
  details: ExchangeDetails,
  { trailers }: Carrier,
  chunk: Buffer,
  start: number,
  end: number,
): void {
  details.trailers = trailers === "" ? linesBehind(chunk, start, end) : trailers;
}

/** What the client of an opaque connection has sent so far may be a TLS handshake that names whom it wants. */
export function noteServerName(details: ExchangeDetails, early: Buffer): void {
  const hello = readClientHello(early);
  if (typeof hello !== "string") details.serverName = hello.serverName;
}

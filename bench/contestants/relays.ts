import { freePorts } from "../lib/free-ports.ts";
import type { Peer, Protocol, Target } from "../model.ts";
import { isHttp, isHttp2, type Relay, type Route, type Wire } from "./relay.ts";

/**
 * Relays to these services on free ports of an address: one for all of HTTP, which says in Host what is meant, and one
 * for each of TCP.
 */
export async function makeRelays(
  name: string,
  host: string,
  { accepts, dials }: Wires,
  routes: readonly Route[],
): Promise<Relay[]> {
  const groups: (readonly Route[])[] = isHttp(accepts) ? [routes] : routes.map((route) => [route]);
  const ports = await freePorts(groups.length);
  return groups.map((group, at) => ({
    name: isHttp(accepts) ? name : `${name}-${group[0]?.authority}`,
    listen: { host, port: ports[at] ?? 0 },
    ...{ accepts, dials, routes: group },
  }));
}

export interface Wires {
  readonly accepts: Wire;
  readonly dials: Wire;
}

/**
 * What a proxy speaks with the load and with servers: the same, but for nginx. That speaks HTTP/2 to clients, and to servers
 * HTTP/1.1 or gRPC. Since 1.29.4 it has HTTP/2 to servers, one request at a time on a connection: not used here.
 */
export function serverWires(peer: Peer, protocol: Protocol): Wires {
  const isNginx = peer === "nginx" && protocol === "http2";
  return { accepts: protocol, dials: isNginx ? "http1" : protocol };
}

/** What a name says of a proxy that translates. */
export function noteOf({ accepts, dials }: Wires): string {
  return isHttp2(accepts) && !isHttp2(dials) ? ", h1 to servers" : "";
}

/** How the services behind relays are called, in the order of their routes. */
export function targetsOf(relays: readonly Relay[]): Target[] {
  return relays.flatMap(({ listen, routes }) =>
    routes.map(({ authority }) => ({ ...listen, authority, connect: false })),
  );
}

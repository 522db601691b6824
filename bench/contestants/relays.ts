import { freePorts } from "../lib/free-ports.ts";
import type { Target } from "../model.ts";
import { isHttp, type Relay, type Route, type Wire } from "./relay.ts";

/**
 * Relays to these services on free ports of an address: one for all of HTTP, which says in Host what is meant, and one
 * for each of TCP.
 */
export async function makeRelays(
  name: string,
  host: string,
  { accepts, dials }: { readonly accepts: Wire; readonly dials: Wire },
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

/** How the services behind relays are called, in the order of their routes. */
export function targetsOf(relays: readonly Relay[]): Target[] {
  return relays.flatMap(({ listen, routes }) =>
    routes.map(({ authority }) => ({ ...listen, authority, connect: false })),
  );
}

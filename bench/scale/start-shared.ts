import { packageVersion } from "../../daemon/package-version.ts";
import type { Crew } from "../contestants/crew.ts";
import { WARM_UP_SECONDS } from "../contestants/entry.ts";
import { findPeer } from "../contestants/find-peer.ts";
import type { Program } from "../contestants/program.ts";
import { type Address, type ProxyPlan, slug } from "../contestants/relay.ts";
import { makeRelays, noteOf, serverWires, targetsOf, type Wires } from "../contestants/relays.ts";
import { declared, startHostmeshProxy } from "../contestants/start-hostmesh.ts";
import type { Contestant, HttpProtocol, Missing, Peer, Target } from "../model.ts";
import { largeProgram } from "./large-program.ts";

/** What one shared proxy has to carry. */
export interface SharedLoad {
  /** Each with one endpoint or more; several only where there is one service. */
  readonly services: readonly { readonly name: string; readonly endpoints: readonly Address[] }[];
  /** How many of the services will be called. */
  readonly called: number;
  /** Requests under way all the time, and client connections that idle. */
  readonly active: number;
  readonly idle: number;
  readonly workers: number;
  /** What clients and servers speak. */
  readonly protocol: HttpProtocol;
}

/**
 * Chance brings several requests to one endpoint at once, each on a connection of its own, which is kept. In all there
 * are more of them than requests under way.
 */
const BUSY_AT_ONCE = 8;

/** A peer as it is on this machine. */
export type Found = { readonly peer: "hostmesh" } | Program;

/** Looks for the peers. */
export async function findPeers(
  peers: readonly Peer[],
  envoyBinary: string | null,
): Promise<{ readonly found: readonly Found[]; readonly missing: readonly Missing[] }> {
  const found: Found[] = [];
  const missing: Missing[] = [];
  for (const peer of peers) {
    const one = peer === "hostmesh" ? { peer } : await findPeer(peer, envoyBinary);
    if ("reason" in one) missing.push({ name: peer, ...one });
    else found.push(one);
  }
  return { found, missing };
}

/**
 * Starts one proxy for all services, on one host; its targets are those that will be called. Resolves once it has
 * answered for every one of these. Every peer has room for its clients and for one connection to each endpoint.
 */
export async function startShared(crew: Crew, found: Found, load: SharedLoad): Promise<Contestant> {
  const all = await (found.peer === "hostmesh"
    ? startHostmesh(crew, load)
    : startProgram(crew, found, load));
  const targets = amongAll(all, load.called);
  await crew.untilAnswers(load.protocol, targets);
  const isHostmesh = found.peer === "hostmesh";
  return {
    ...{ name: found.peer + noteOf(wiresOf(found, load.protocol)), peer: found.peer },
    ...{ mode: "host", between: "none", targets },
    version: isHostmesh ? packageVersion() : found.version,
    warmUpSeconds: isHostmesh ? WARM_UP_SECONDS.hostmesh : WARM_UP_SECONDS.others,
    ...{ proxies: crew.proxies, configFiles: crew.files, tlsPorts: [] },
  };
}

/** What a peer speaks with clients and servers that want this. */
export function wiresOf({ peer }: Found, protocol: HttpProtocol): Wires {
  return serverWires(peer, protocol);
}

/** So many of them at equal distances: neighbours in a configuration are neighbours in memory, too. */
function amongAll(targets: readonly Target[], count: number): Target[] {
  return targets.filter((_, at) => at === 0 || share(at) > share(at - 1));

  function share(at: number): number {
    return Math.floor((at * count) / targets.length);
  }
}

/** Node raises the limit of open files by itself, so that the number of connections needs no settings. */
async function startHostmesh(
  crew: Crew,
  { services: plain, workers, protocol }: SharedLoad,
): Promise<readonly Target[]> {
  const services = plain.map((service) => ({ ...service, ...declared(protocol) }));
  const options = { services, workers, connections: 0, protocol };
  return (await startHostmeshProxy(crew, { ...options, place: crew.site.a })).targets;
}

async function startProgram(
  crew: Crew,
  program: Program,
  { services, active, idle, workers, protocol }: SharedLoad,
): Promise<readonly Target[]> {
  const { a: place } = crew.site;
  const endpoints = services.flatMap((one) => one.endpoints);
  const connections = active + idle;
  const serverConnections = endpoints.length + BUSY_AT_ONCE * active;
  const large = largeProgram(program, {
    endpoints: services.length === 1 && endpoints.length > 1 ? endpoints : [],
    serverConnections,
  });
  const routes = services.map(({ name: authority, endpoints: [to] }) => {
    if (to === undefined) throw new RangeError(`${authority} has no endpoint`);
    return { authority, to };
  });
  const wires = wiresOf(program, protocol);
  const relays = await makeRelays("services", place.address, wires, routes);
  const role = "host proxy";
  // A plan has room for as many connections to servers as to clients.
  const half = Math.ceil((connections + serverConnections) / 2);
  const plan: ProxyPlan = {
    ...{ role, place, relays, workers, credentials: null, scratch: await crew.scratch(role) },
    connections: Math.max(connections, half),
  };
  const file = await crew.keep(`${slug(role)}.${program.ending}`, large.config(plan));
  const command = large.command(file, plan);
  await crew.start({ role, place, cpus: "proxy", command, connections: half });
  return targetsOf(relays);
}

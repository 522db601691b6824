import { type Issuer, openIssuer } from "../contestants/credentials.ts";
import type { Crew } from "../contestants/crew.ts";
import { findPeer } from "../contestants/find-peer.ts";
import type { Program } from "../contestants/program.ts";
import { type Address, isTls, type Relay, type Wire } from "../contestants/relay.ts";
import { noteOf, serverWires } from "../contestants/relays.ts";
import {
  declared,
  startDaemon,
  startRegistry,
  targetThrough,
} from "../contestants/start-hostmesh.ts";
import { startProxy } from "../contestants/start-proxy.ts";
import { freePorts } from "../lib/free-ports.ts";
import type { HttpProtocol, Missing, Peer, Target } from "../model.ts";

/** Starts the sidecar of container `at`, in front of its own application. Resolves before it answers. */
export type StartSidecar = (at: number) => Promise<Target>;

/** Sidecars of one kind, all of which run side by side on one host. */
export interface SidecarKind {
  /** As the report names it: `haproxy sidecars, mTLS`. */
  readonly name: string;
  /** It runs on Node, as the bench does. */
  readonly isNode: boolean;
  /** What all of them share is started here; `apps` are the containers' own applications. */
  prepare(crew: Crew, apps: readonly Address[]): Promise<StartSidecar>;
}

/** Client connections that a sidecar has room for: the fewer, the less it allocates. */
const CONNECTIONS = 64;
const WORKERS = 1;

/** The kinds of the peers, and who is missing. Envoy is measured without TLS, which is less than it has in a mesh. */
export async function sidecarKinds(
  peers: readonly Peer[],
  envoyBinary: string | null,
  protocol: HttpProtocol,
): Promise<{ readonly kinds: readonly SidecarKind[]; readonly missing: readonly Missing[] }> {
  const kinds: SidecarKind[] = [];
  const missing: Missing[] = [];
  for (const peer of peers) {
    if (peer === "hostmesh") {
      const prepare: SidecarKind["prepare"] = (crew, apps) => prepareHostmesh(crew, apps, protocol);
      kinds.push({ name: "hostmesh sidecars", isNode: true, prepare });
      continue;
    }
    const program = await findPeer(peer, envoyBinary);
    if ("reason" in program) missing.push({ name: `${peer} sidecars`, ...program });
    else kinds.push(...kindsOf(program, protocol));
  }
  return { kinds, missing };
}

function kindsOf(program: Program, protocol: HttpProtocol): SidecarKind[] {
  const { accepts, dials } = serverWires(program.peer, protocol);
  const kind = (title: string, wire: Wire): SidecarKind => ({
    name: `${program.peer} sidecars${title}${noteOf({ accepts, dials })}`,
    isNode: false,
    prepare: (crew, apps) => prepareProgram(crew, apps, program, { accepts, wire, dials }),
  });
  const plain = kind("", dials);
  return program.peer === "haproxy" ? [plain, kind(", mTLS", `tls-${protocol}`)] : [plain];
}

/** What a sidecar speaks with clients, with other sidecars and with applications. */
interface SidecarWires {
  readonly accepts: Wire;
  readonly wire: Wire;
  readonly dials: Wire;
}

async function prepareProgram(
  crew: Crew,
  apps: readonly Address[],
  program: Program,
  wires: SidecarWires,
): Promise<StartSidecar> {
  const issuer = isTls(wires.wire) ? await openIssuer(crew.bench.folder) : null;
  return async (at) => {
    const app = apps[at];
    if (app === undefined) throw new RangeError(`container ${at} has no application`);
    return startProgram(crew, program, { at, app, wires, issuer });
  };
}

/**
 * What a sidecar is at least: one way in, to its own application, and one way out, to one service. That service is its
 * own, by way of its own way in, so that a request goes through both.
 */
async function startProgram(
  crew: Crew,
  program: Program,
  given: {
    readonly at: number;
    readonly app: Address;
    readonly wires: SidecarWires;
    readonly issuer: Issuer | null;
  },
): Promise<Target> {
  const { at, app, wires, issuer } = given;
  const { accepts, wire, dials } = wires;
  const { a: place } = crew.site;
  const [inPort = 0, outPort = 0] = await freePorts(2);
  const authority = `web-${at}`;
  const inbound: Relay = {
    ...{ name: "inbound", listen: { host: place.address, port: inPort } },
    ...{ accepts: wire, dials, routes: [{ authority, to: app }] },
  };
  const outbound: Relay = {
    ...{ name: "outbound", listen: { host: place.address, port: outPort } },
    ...{ accepts, dials: wire, routes: [{ authority, to: inbound.listen }] },
  };
  await startProxy(crew, program, {
    ...{ role: `sidecar ${at}`, place, relays: [inbound, outbound] },
    ...{ workers: WORKERS, connections: CONNECTIONS },
    credentials: issuer === null ? null : await issuer.issue(authority),
  });
  return { ...outbound.listen, authority, connect: false };
}

/** A daemon for each container, with one registry for all of them, which is not counted. */
async function prepareHostmesh(
  crew: Crew,
  apps: readonly Address[],
  protocol: HttpProtocol,
): Promise<StartSidecar> {
  const services = apps.map((app, at) => ({
    ...{ name: `web-${at}`, endpoints: [app] },
    ...declared(protocol),
  }));
  const { url: registryUrl } = await startRegistry(crew, { role: "registry", services });
  return async (at) => {
    const { explicit } = await startDaemon(crew, {
      ...{ role: `sidecar ${at}`, place: crew.site.a, registryUrl },
      ...{ workers: WORKERS, connections: CONNECTIONS },
    });
    return targetThrough(explicit, `web-${at}`, protocol);
  };
}

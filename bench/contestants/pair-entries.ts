import { packageVersion } from "../../daemon/package-version.ts";
import type { Between, Missing, Peer, Protocol } from "../model.ts";
import type { Crew } from "./crew.ts";
import { type Entry, type Started, WARM_UP_SECONDS } from "./entry.ts";
import type { FieldContext } from "./field-context.ts";
import type { Program } from "./program.ts";
import { isTls, type Route, type Wire } from "./relay.ts";
import { makeRelays, noteOf, serverWires, targetsOf } from "./relays.ts";
import { declared, startDaemon, startRegistry, targetThrough } from "./start-hostmesh.ts";
import { startProxy } from "./start-proxy.ts";

type PairBetween = Exclude<Between, "none">;

/** What a name adds for what is spoken between the two sidecars. */
const TITLES: Readonly<Record<PairBetween, string>> = {
  plain: "",
  "mtls-http1": ", mTLS h1",
  "mtls-http2": ", mTLS h2",
  "mtls-tcp": ", mTLS tcp",
};

/** Which ways of TLS the peers have between two of themselves. */
const TLS_HOPS: Readonly<Record<Program["peer"], readonly PairBetween[]>> = {
  nginx: ["mtls-http1", "mtls-tcp"],
  haproxy: ["mtls-http1", "mtls-http2", "mtls-tcp"],
  envoy: ["mtls-http2", "mtls-tcp"],
};

/** What that is on the wire; undefined: the protocol does not go that way. */
function hopOf(peer: Program["peer"], protocol: Protocol, between: PairBetween): Wire | undefined {
  const { dials } = serverWires(peer, protocol);
  if (between === "plain") return dials;
  if (protocol === "tcp") return between === "mtls-tcp" ? "tls-tcp" : undefined;
  if (between === "mtls-http2") return protocol === "grpc" ? "tls-grpc" : "tls-http2";
  // What a program speaks between its two proxies need not be what comes in; but gRPC needs HTTP/2.
  return between === "mtls-http1" && protocol !== "grpc" ? "tls-http1" : undefined;
}

/** Pairs of sidecars of a peer: the client's, and one for each service. */
export function programPairs(context: FieldContext, program: Program): (Entry | Missing)[] {
  const { protocol, tls } = context.request;
  const { peer } = program;
  // grpc_pass speaks HTTP/2, one request at a time on each connection.
  const isNginxGrpc = peer === "nginx" && protocol === "grpc";
  const tlsHops = isNginxGrpc ? (["mtls-http2"] as const) : TLS_HOPS[peer];
  const entries = (tls ? tlsHops : (["plain"] as const)).flatMap((between) => {
    const wire = hopOf(peer, protocol, between);
    return wire === undefined ? [] : [programPair(context, program, between, wire)];
  });
  return tls ? [...entries, ...lacksOf(peer, protocol)] : entries;
}

/** Forms of a pair with TLS that others have. */
function lacksOf(peer: Program["peer"], protocol: Protocol): Missing[] {
  if (peer === "haproxy" && protocol === "grpc") {
    const reason = "gRPC is defined over HTTP/2 only; the pair that speaks it is measured";
    return [{ name: pairName("haproxy", "mtls-http1"), reason }];
  }
  if (peer !== "nginx" || protocol === "tcp" || protocol === "grpc") return [];
  // Also since 1.29.4, whose HTTP/2 to servers carries one request at a time on a connection.
  const reason =
    "nginx does not multiplex requests over HTTP/2 to servers; its pair speaks HTTP/1.1 over TLS";
  return [{ name: pairName("nginx", "mtls-http2"), reason }];
}

function programPair(
  context: FieldContext,
  program: Program,
  between: PairBetween,
  wire: Wire,
): Entry {
  const { peer, version } = program;
  const wires = serverWires(peer, context.request.protocol);
  return {
    ...{ name: pairName(peer, between) + noteOf(wires), peer, version, mode: "sidecar", between },
    warmUpSeconds: WARM_UP_SECONDS.others,
    start: (crew) => startPair(crew, program, context, wire),
  };
}

async function startPair(
  crew: Crew,
  program: Program,
  { site, request, routes, issuer }: FieldContext,
  wire: Wire,
): Promise<Started> {
  const { workers, connections, protocol } = request;
  const { accepts, dials } = serverWires(program.peer, protocol);
  const hasTls = isTls(wire);
  const credentialsFor = (workload: string) =>
    hasTls && issuer !== null ? issuer.issue(workload) : Promise.resolve(null);
  const sidecars: Route[] = [];
  for (const route of routes) {
    const { authority } = route;
    const wires = { accepts: wire, dials };
    const relays = await makeRelays("inbound", site.b.address, wires, [route]);
    const credentials = await credentialsFor(authority);
    const plan = { place: site.b, relays, workers, connections, credentials };
    await startProxy(crew, program, { role: `server sidecar of ${authority}`, ...plan });
    for (const { listen } of relays) sidecars.push({ authority, to: listen });
  }
  const wires = { accepts, dials: wire };
  const relays = await makeRelays("outbound", site.a.address, wires, sidecars);
  const credentials = await credentialsFor("client");
  const plan = { place: site.a, relays, workers, connections, credentials };
  await startProxy(crew, program, { role: "client sidecar", ...plan });
  return { targets: targetsOf(relays), tlsPorts: hasTls ? sidecars.map(({ to }) => to.port) : [] };
}

/** hostmesh run as others run sidecars: a daemon for the client and one for each service. */
export function hostmeshPair({ site, request, routes }: FieldContext): Entry | Missing {
  const { protocol, tls, workers, connections } = request;
  const hop = meshHop(protocol);
  const name = pairName("hostmesh", tls ? hop : "plain");
  if (tls) {
    const reason =
      "one daemon for the host needs no TLS on it; two of them speak it between hosts: --topology cross-host";
    return { name, reason };
  }
  if (protocol === "tcp") {
    const reason =
      "without capture a daemon takes TCP by CONNECT only, which the client's daemon does not send to the server's";
    return { name, reason };
  }
  return {
    ...{ name, peer: "hostmesh", mode: "sidecar", between: "plain", version: packageVersion() },
    warmUpSeconds: WARM_UP_SECONDS.hostmesh,
    async start(crew) {
      // Each side has a registry, as the same name leads the client to a sidecar and that to the service itself.
      const behind = await register(crew, "registry of the servers", routes, protocol);
      const sidecars: Route[] = [];
      for (const { authority } of routes) {
        const { explicit } = await startDaemon(crew, {
          ...{ role: `server sidecar of ${authority}`, place: site.b, registryUrl: behind },
          ...{ workers, connections },
        });
        sidecars.push({ authority, to: explicit });
      }
      const registryUrl = await register(crew, "registry of the client", sidecars, protocol);
      const own = { role: "client sidecar", place: site.a, registryUrl, workers, connections };
      const { explicit } = await startDaemon(crew, own);
      const targets = routes.map(({ authority }) => targetThrough(explicit, authority, protocol));
      return { targets, tlsPorts: [] };
    },
  };
}

async function register(
  crew: Crew,
  role: string,
  routes: readonly Route[],
  protocol: Protocol,
): Promise<string> {
  const services = routes.map(({ authority, to }) => ({
    ...{ name: authority, endpoints: [to] },
    ...declared(protocol),
  }));
  return (await startRegistry(crew, { role, services })).url;
}

/** What two daemons speak between hosts. */
export function meshHop(protocol: Protocol): "mtls-http1" | "mtls-http2" | "mtls-tcp" {
  if (protocol === "tcp") return "mtls-tcp";
  return protocol === "http1" ? "mtls-http1" : "mtls-http2";
}

/** As `haproxy pair, mTLS h2`. */
export function pairName(peer: Peer, between: PairBetween): string {
  return `${peer} pair${TITLES[between]}`;
}

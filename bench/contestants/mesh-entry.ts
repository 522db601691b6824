import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { packageVersion } from "../../daemon/package-version.ts";
import type { Protocol } from "../model.ts";
import type { HopJob } from "./count-hop.ts";
import type { Crew } from "./crew.ts";
import { type Entry, type Started, WARM_UP_SECONDS } from "./entry.ts";
import type { FieldContext } from "./field-context.ts";
import { meshHop, pairName } from "./pair-entries.ts";
import { declared, startDaemon, startRegistry, targetThrough } from "./start-hostmesh.ts";

/** Names of the two hosts in the mesh. */
const HOSTS = { a: "client-host", b: "server-host" };
const TOKEN_SECONDS = 10;
const CHECK_SECONDS = 10;
/** Whole bodies of 16 MiB are read, also on a machine that is busy. */
const OBSERVE_SECONDS = 60;
/** Requests or tunnels for each worker of a daemon: more than connections that workers with HTTP/2 open for them. */
const HELD_AT_ONCE = 8;

/**
 * hostmesh as it is made to be used between hosts: a daemon on each, which all services there share, and mutual TLS with
 * the identities of the workloads between them. null where that is not asked for.
 */
export function hostmeshMesh(context: FieldContext): Entry | null {
  const { site, request } = context;
  if (!request.tls || site.topology === "same-host") return null;
  const { protocol } = request;
  const between = meshHop(protocol);
  // Whether others share a connection is seen once it runs.
  const name = isMultiplexed(protocol) ? pairName("hostmesh", between) : "hostmesh pair, mTLS";
  return {
    ...{ name, peer: "hostmesh", mode: "host", between },
    ...{ version: packageVersion(), warmUpSeconds: WARM_UP_SECONDS.hostmesh },
    start: (crew) => startMesh(crew, context),
  };
}

/** Requests that come on shared connections go on so. */
function isMultiplexed(protocol: Protocol): boolean {
  return protocol === "http2" || protocol === "grpc";
}

/**
 * What the two daemons speak: requests of HTTP/1.1, or tunnels, that are under way at the same time on fewer connections are
 * streams of HTTP/2, and else each has one to itself.
 */
async function observeHop(
  crew: Crew,
  given: { readonly job: HopJob; readonly protocol: Protocol },
): Promise<Pick<Entry, "name" | "between">> {
  const { job, protocol } = given;
  const file = join(await crew.scratch("hop"), "job.json");
  await writeFile(file, JSON.stringify(job));
  const connections = Number(await crew.runScript("count-hop", [file], OBSERVE_SECONDS));
  if (!(connections > 0)) throw new Error("no connection between the daemons was seen");
  const between = connections < job.atOnce ? "mtls-http2" : meshHop(protocol);
  return { name: pairName("hostmesh", between), between };
}

/**
 * One registry, where the services are said to be on the servers' host and to be reached by mutual TLS or not at all: so
 * until certificates are there the probe is refused, and nothing is ever measured in clear text.
 */
async function startMesh(crew: Crew, { site, request, routes }: FieldContext): Promise<Started> {
  const { workers, connections, protocol } = request;
  const registry = await startRegistry(crew, {
    role: "registry",
    services: routes.map(({ authority: name, to }) => ({
      ...{ name, endpoints: [to], meshHost: HOSTS.b },
      ...declared(protocol),
    })),
    workloads: [{ name: "client", address: site.a.address, host: HOSTS.a }],
  });
  const startOn = async (on: "a" | "b", role: string) => {
    const host = HOSTS[on];
    const joinTokenFile = join(await crew.scratch(role), "join-token");
    await crew.runScript("fetch-join-token", [registry.url, host, joinTokenFile], TOKEN_SECONDS);
    return startDaemon(crew, {
      ...{ role, place: site[on], registryUrl: registry.tlsUrl, workers, connections },
      member: { host, joinTokenFile },
    });
  };
  const server = await startOn("b", "daemon of the servers' host");
  const client = await startOn("a", "daemon of the client's host");
  const names = routes.map(({ authority }) => authority);
  const metrics = `http://127.0.0.1:${server.metricsPort}/metrics`;
  const targets = names.map((name) => targetThrough(client.explicit, name, protocol));
  const [target] = targets;
  if (target === undefined) throw new RangeError("there is no service");
  const job = { target, port: server.meshPort, atOnce: HELD_AT_ONCE * workers };
  const observe = () => observeHop(crew, { job, protocol });
  return {
    ...{ targets, tlsPorts: [server.meshPort] },
    ...(isMultiplexed(protocol) ? {} : { observe }),
    verify: async () => {
      await crew.runScript("check-mesh-entry", [metrics, names.join()], CHECK_SECONDS, site.b);
    },
  };
}

import { join } from "node:path";
import { packageVersion } from "../../daemon/package-version.ts";
import type { Crew } from "./crew.ts";
import { type Entry, type Started, WARM_UP_SECONDS } from "./entry.ts";
import type { FieldContext } from "./field-context.ts";
import { meshHop, pairName } from "./pair-entries.ts";
import { declared, startDaemon, startRegistry, targetThrough } from "./start-hostmesh.ts";

/** Names of the two hosts in the mesh. */
const HOSTS = { a: "client-host", b: "server-host" };
const TOKEN_SECONDS = 10;
const CHECK_SECONDS = 10;

/**
 * hostmesh as it is made to be used between hosts: a daemon on each, which all services there share, and mutual TLS with
 * the identities of the workloads between them. null where that is not asked for.
 */
export function hostmeshMesh(context: FieldContext): Entry | null {
  const { site, request } = context;
  if (!request.tls || site.topology === "same-host") return null;
  const between = meshHop(request.protocol);
  return {
    ...{ name: pairName("hostmesh", between), peer: "hostmesh", mode: "host", between },
    ...{ version: packageVersion(), warmUpSeconds: WARM_UP_SECONDS.hostmesh },
    start: (crew) => startMesh(crew, context),
  };
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
  return {
    targets: names.map((name) => targetThrough(client.explicit, name, protocol)),
    tlsPorts: [server.meshPort],
    verify: () =>
      crew.runScript("check-mesh-entry", [metrics, names.join()], CHECK_SECONDS, site.b),
  };
}

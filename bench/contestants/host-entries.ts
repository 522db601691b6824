import { packageVersion } from "../../daemon/package-version.ts";
import type { Missing, Peer, Topology } from "../model.ts";
import { type Entry, WARM_UP_SECONDS } from "./entry.ts";
import type { FieldContext } from "./field-context.ts";
import type { Program } from "./program.ts";
import { makeRelays, noteOf, serverWires, targetsOf } from "./relays.ts";
import { declared, startHostmeshProxy } from "./start-hostmesh.ts";
import { startProxy } from "./start-proxy.ts";

/** One proxy of hostmesh for all services, on the client's host, without TLS. */
export function hostmeshHost({ site, request, routes }: FieldContext): Entry {
  const name = nameOf("hostmesh", site.topology);
  const { workers, connections, protocol } = request;
  return {
    ...{ name, peer: "hostmesh", mode: "host", between: "none", version: packageVersion() },
    warmUpSeconds: WARM_UP_SECONDS.hostmesh,
    async start(crew) {
      const services = routes.map(({ authority, to }) => ({
        ...{ name: authority, endpoints: [to] },
        ...declared(protocol),
      }));
      const options = { services, place: site.a, workers, connections, protocol };
      const { targets } = await startHostmeshProxy(crew, options);
      return { targets, tlsPorts: [] };
    },
  };
}

/** The same of another peer. */
export function programHost(context: FieldContext, program: Program): Entry | Missing {
  const { site, request, routes } = context;
  const { peer, version } = program;
  const wires = serverWires(peer, request.protocol);
  const name = nameOf(peer, site.topology) + noteOf(wires);
  if (needsTls(context)) {
    const reason = `one ${peer} on the client's host has nobody on the other to speak mutual TLS with: measure its pair`;
    return { name, reason };
  }
  const { workers, connections } = request;
  return {
    ...{ name, peer, version, mode: "host", between: "none" },
    warmUpSeconds: WARM_UP_SECONDS.others,
    async start(crew) {
      const relays = await makeRelays("services", site.a.address, wires, routes);
      const plan = { role: "host proxy", place: site.a, relays, workers, connections };
      await startProxy(crew, program, { ...plan, credentials: null });
      return { targets: targetsOf(relays), tlsPorts: [] };
    },
  };
}

/** On one host the services are reached without TLS, which is the point of one proxy for the host. */
function needsTls({ site, request }: FieldContext): boolean {
  return request.tls && site.topology === "cross-host";
}

/** Across hosts one proxy beside the client leads to the services themselves, in clear text. */
function nameOf(peer: Peer, topology: Topology): string {
  return topology === "same-host" ? peer : `${peer}, one plain hop`;
}

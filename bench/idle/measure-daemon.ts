import { setTimeout as delay } from "node:timers/promises";
import { Crew } from "../contestants/crew.ts";
import type { Address } from "../contestants/relay.ts";
import { declared, startHostmesh } from "../contestants/start-hostmesh.ts";
import { readMemoryWithoutBench } from "../measure/process-reading.ts";
import type { IdleRow } from "../model.ts";
import { ask } from "./ask.ts";
import type { IdleLab } from "./idle-lab.ts";

/** The names under which the report knows them. */
const DAEMON = "hostmesh daemon";
const REGISTRY = "hostmesh registry (one for all hosts)";

/**
 * One daemon for a host with as many containers as there are applications: each is a workload with an address of its
 * own, and a service that is called. The daemon is guardian and generation; the registry is a row of its own.
 */
export async function measureDaemon(
  lab: IdleLab,
  apps: readonly Address[],
): Promise<readonly IdleRow[]> {
  const { bench, site, configFolder, protocol, requests, settleMs, onProgress } = lab;
  const containers = apps.length;
  onProgress(`${DAEMON}: ${containers} containers`);
  const name = `${DAEMON}, ${containers} containers`;
  const crew = await Crew.open({ bench, site, name, configFolder });
  const { pid, registryPid, targets } = await startHostmesh(crew, {
    services: apps.map((app, at) => ({
      ...{ name: `web-${at}`, endpoints: [app] },
      ...declared(protocol),
    })),
    workloads: apps.map((_, at) => ({ name: `web-${at}`, address: containerAddress(at) })),
    ...{ place: site.a, workers: 1, connections: 64, protocol },
  });
  for (const target of targets) await ask(target, protocol, requests);
  await delay(settleMs, undefined, { signal: lab.signal });
  const rowOf = async (contestant: string, root: number): Promise<IdleRow> => {
    const { pssBytes, rssBytes, pids } = await readMemoryWithoutBench([root]);
    return { contestant, protocol, containers, pssBytes, rssBytes, processes: pids.length };
  };
  return [await rowOf(DAEMON, pid), await rowOf(REGISTRY, registryPid)];
}

/** Of the range for benchmarks (RFC 2544): no real container of this host has it. */
function containerAddress(at: number): string {
  return `198.18.${at >> 8}.${at & 255}`;
}

import type { Topology } from "../model.ts";
import { BenchError } from "./bench-error.ts";
import { openNamespacePair } from "./namespace-pair.ts";
import { type Pins, pinsOfMachine } from "./pins.ts";
import { findProgram } from "./tools.ts";

/** Where a process runs. */
export interface Place {
  readonly host: "a" | "b";
  /** null: in the machine's own network. */
  readonly netns: string | null;
  /** Address that processes of both places reach; servers listen on it. */
  readonly address: string;
}

/** What a process is, which decides on its CPUs. `load`: also whatever is on no path, as a registry. */
export type Role = "proxy" | "load" | "upstream";

/** Where everything runs: the client's place a, the servers' place b, and the CPUs. */
export interface Site extends Pins {
  readonly topology: Topology;
  readonly a: Place;
  /** On one host the same place as a. */
  readonly b: Place;
  /**
   * A command as it is started in a place; the process that is started becomes the command itself. `nth`: which proxy of
   * its path it is, from 0.
   */
  command(place: Place, role: Role, command: readonly string[], nth?: number): string[];
  /** Removes what was made, and ends what still runs in it. May be called again. */
  close(): Promise<void>;
}

export interface SiteOptions {
  /** Worker threads or processes of each proxy, for which CPUs are looked for. */
  readonly workers: number;
  /** So many proxies of a path have cores of their own; null or absent: those of a path share CPUs. */
  readonly proxiesApart?: number | null;
  readonly signal: AbortSignal;
}

/** Opens the places of a topology. Throws a BenchError where this process may not, or a program is missing. */
export async function openSite(
  topology: Topology,
  { workers, proxiesApart = null, signal }: SiteOptions,
): Promise<Site> {
  const taskset = await findProgram("taskset");
  const pins = await pinsOfMachine({ workers, proxiesApart }, taskset !== null);
  const pinned = (cpus: readonly number[] | null) =>
    cpus === null || taskset === null ? [] : [taskset, "-c", cpus.join(",")];
  const onCpus = (role: Role, nth: number): string[] => {
    if (role === "load") return pinned(pins.loadCpus);
    if (role === "upstream") return pinned(pins.upstreamCpus);
    return pinned(pins.ownCpus === null ? pins.proxyCpus : (pins.ownCpus[nth] ?? null));
  };
  if (topology === "same-host") {
    const here: Place = { host: "a", netns: null, address: "127.0.0.1" };
    return {
      ...{ topology, ...pins, a: here, b: here },
      command: (_place, role, command, nth = 0) => [...onCpus(role, nth), ...command],
      close: () => Promise.resolve(),
    };
  }
  const ip = await findIp();
  const pair = await openNamespacePair(ip, signal);
  const placeOf = (host: "a" | "b"): Place => ({
    ...{ host, netns: pair[host].name, address: pair[host].address },
  });
  return {
    ...{ topology, ...pins, a: placeOf("a"), b: placeOf("b") },
    command({ netns }, role, command, nth = 0) {
      const inside = netns === null ? [] : [ip, "netns", "exec", netns];
      return [...inside, ...onCpus(role, nth), ...command];
    },
    close: () => pair.close(),
  };
}

async function findIp(): Promise<string> {
  const instead = "; measure with --topology same-host instead";
  if (process.platform !== "linux") {
    throw new BenchError(`cross-host needs the network namespaces of Linux${instead}`);
  }
  if (process.getuid?.() !== 0) {
    throw new BenchError(`cross-host needs root, to make network namespaces${instead}`);
  }
  const ip = await findProgram("ip");
  if (ip === null) throw new BenchError(`cross-host needs ip: apt-get install iproute2${instead}`);
  return ip;
}

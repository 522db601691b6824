import { readFile } from "node:fs/promises";
import { BenchError } from "./bench-error.ts";

/** Which CPUs carry the proxies, and which load and upstream; null: everything runs where the kernel likes. */
export interface Pins {
  readonly proxyCpus: readonly number[] | null;
  /** Those of each proxy of a path, in the order in which they are started; null: all have the same. */
  readonly ownCpus: readonly (readonly number[])[] | null;
  readonly loadCpus: readonly number[] | null;
  readonly upstreamCpus: readonly number[] | null;
  /** What a reader of the figures has to know about it. */
  readonly note: string;
}

/** Load generator and upstream, one thread each, need no more. */
const LOAD_CPUS = 2;

/**
 * As many CPUs for all proxies of a path together as one has workers, each of a core of its own where that can be had, and others for
 * load and upstream, which get at least one. `cores` lists the CPUs that this process may use, by core.
 */
export function choosePins(
  cores: readonly (readonly number[])[],
  workers: number,
  hasTaskset: boolean,
): Pins {
  const unpinned = { proxyCpus: null, ownCpus: null, loadCpus: null, upstreamCpus: null };
  // The first CPU of each core comes before all second ones.
  const deepest = Math.max(0, ...cores.map((core) => core.length));
  const inTurn = Array.from({ length: deepest }, (_, level) => cores.map((core) => core[level]))
    .flat()
    .filter((cpu) => cpu !== undefined);
  if (!hasTaskset) return { ...unpinned, note: "not pinned: taskset (util-linux) is missing" };
  if (inTurn.length < 2) {
    return {
      ...unpinned,
      note: "not pinned: there is one CPU, which proxies, load and upstream share",
    };
  }
  const proxyCpus = inTurn.slice(0, Math.min(workers, inTurn.length - 1));
  const loadCpus = inTurn.slice(proxyCpus.length, proxyCpus.length + LOAD_CPUS);
  const coresOf = (cpus: readonly number[]) =>
    cores.filter((core) => core.some((cpu) => cpus.includes(cpu)));
  const proxyCores = coresOf(proxyCpus);
  const sharesCore = coresOf(loadCpus).some((core) => proxyCores.includes(core));
  const short = workers > proxyCpus.length ? `, where ${workers} workers share them` : "";
  const same = sharesCore ? " (of the same core)" : "";
  const note = `proxies on ${listed(proxyCpus)}${short}; load and upstream on ${listed(loadCpus)}${same}`;
  return { proxyCpus, ownCpus: null, loadCpus, upstreamCpus: loadCpus, note };
}

/**
 * A core of its own for each worker of each of so many proxies, and others for load and upstream. Where none is left for
 * these, the load runs beside the last proxy, which is the client's, and the upstream beside the first: as on two hosts, but
 * then they take CPU from each other, which the note says. Throws a BenchError where proxies would have to share.
 */
export function chooseOwnCores(
  cores: readonly (readonly number[])[],
  { workers, proxies }: { readonly workers: number; readonly proxies: number },
  hasTaskset: boolean,
): Pins {
  const needed = proxies * workers;
  if (!hasTaskset) {
    throw new BenchError("--cores own needs taskset: apt-get install util-linux");
  }
  if (cores.length < Math.max(2, needed)) {
    throw new BenchError(
      `--cores own needs a core for each worker of each proxy, which is ${Math.max(2, needed)}, and there ${cores.length === 1 ? "is 1" : `are ${cores.length}`}: measure fewer services or workers, or leave it out`,
    );
  }
  const firsts = cores.map(([first]) => first).filter((cpu) => cpu !== undefined);
  const ownCpus = Array.from({ length: proxies }, (_, at) =>
    firsts.slice(at * workers, (at + 1) * workers),
  );
  const proxyCpus = firsts.slice(0, needed);
  const left = firsts.slice(needed, needed + LOAD_CPUS);
  const each = `each proxy on cores of its own (${ownCpus.map(listed).join("; ")})`;
  if (left.length > 0) {
    const note = `${each}; load and upstream on ${listed(left)}`;
    return { proxyCpus, ownCpus, loadCpus: left, upstreamCpus: left, note };
  }
  const loadCpus = ownCpus.at(-1) ?? [];
  const upstreamCpus = ownCpus[0] ?? [];
  const note = `${each}; ${TOO_FEW_CORES}: ${cores.length} of the ${needed + 1} that this takes, so the load shares ${listed(loadCpus)} with the client's proxy, and the upstream ${listed(upstreamCpus)} with the server's`;
  return { proxyCpus, ownCpus, loadCpus, upstreamCpus, note };
}

/** Begins what a note says where proxies cannot be kept apart from the load. */
export const TOO_FEW_CORES = "too few cores";

/**
 * The pins for this machine and this process's own CPU mask. `proxiesApart`: so many have cores of their own; null: they
 * share CPUs.
 */
export async function pinsOfMachine(
  { workers, proxiesApart }: { readonly workers: number; readonly proxiesApart: number | null },
  hasTaskset: boolean,
): Promise<Pins> {
  const status = await readFile("/proc/self/status", "utf8").catch(() => "");
  const allowed = parseCpuList(/^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? "");
  const cores: number[][] = [];
  for (const cpu of allowed) {
    if (cores.some((core) => core.includes(cpu))) continue;
    const file = `/sys/devices/system/cpu/cpu${cpu}/topology/thread_siblings_list`;
    // Containers and some virtual machines hide the topology.
    const siblings = parseCpuList(await readFile(file, "utf8").catch(() => ""));
    cores.push([cpu, ...siblings.filter((one) => one !== cpu && allowed.includes(one))]);
  }
  if (proxiesApart === null) return choosePins(cores, workers, hasTaskset);
  return chooseOwnCores(cores, { workers, proxies: proxiesApart }, hasTaskset);
}

/** Parses a list of CPUs such as `0-3,8`. */
export function parseCpuList(text: string): number[] {
  return text
    .trim()
    .split(",")
    .filter((part) => part !== "")
    .flatMap((part) => {
      const [first = Number.NaN, last = first] = part.split("-").map(Number);
      if (!Number.isInteger(first) || !Number.isInteger(last)) {
        throw new Error(`not a list of CPUs: ${text}`);
      }
      return Array.from({ length: last - first + 1 }, (_, at) => first + at);
    });
}

function listed(cpus: readonly number[]): string {
  return `${cpus.length === 1 ? "CPU" : "CPUs"} ${cpus.join(", ")}`;
}

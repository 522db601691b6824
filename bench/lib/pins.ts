import { readFile } from "node:fs/promises";

/** Which CPUs carry the proxies, and which load and upstream; null: everything runs where the kernel likes. */
export interface Pins {
  readonly proxyCpus: readonly number[] | null;
  readonly loadCpus: readonly number[] | null;
  /** What a reader of the figures has to know about it. */
  readonly note: string;
}

/** Load generator and upstream, one thread each, need no more. */
const LOAD_CPUS = 2;

/**
 * As many CPUs for the proxies as they have workers, each of a core of its own where that can be had, and others for
 * load and upstream, which get at least one. `cores` lists the CPUs that this process may use, by core.
 */
export function choosePins(
  cores: readonly (readonly number[])[],
  workers: number,
  hasTaskset: boolean,
): Pins {
  const unpinned = { proxyCpus: null, loadCpus: null };
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
  return { proxyCpus, loadCpus, note };
}

/** The pins for this machine and this process's own CPU mask. */
export async function pinsOfMachine(workers: number, hasTaskset: boolean): Promise<Pins> {
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
  return choosePins(cores, workers, hasTaskset);
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

import type { Pins } from "../lib/pins.ts";

/** Length of a tick of /proc/stat (proc(5)). */
const TICK_MS = 10;

/** How long each CPU had nothing to do, since the machine started, and when that was read. */
export interface CpuClock {
  readonly atMs: number;
  readonly idleMs: ReadonlyMap<number, number>;
}

/** Which CPUs belong to whom; null: nothing is pinned. */
export interface CpuPlaces {
  readonly proxyCpus: readonly number[] | null;
  readonly loadCpus: readonly number[] | null;
}

/** Those of one path, and whether load or upstream run on CPUs of its proxies. */
export interface PathPlaces extends CpuPlaces {
  readonly isLoadBeside: boolean;
  readonly isUpstreamBeside: boolean;
}

/** The CPUs that a path of so many proxies has. */
export function placesOf(
  pins: Pick<Pins, "proxyCpus" | "ownCpus" | "loadCpus" | "upstreamCpus">,
  proxies: number,
): PathPlaces {
  const { ownCpus, loadCpus, upstreamCpus } = pins;
  const proxyCpus = ownCpus === null ? pins.proxyCpus : ownCpus.slice(0, proxies).flat();
  const isBeside = (cpus: readonly number[] | null) =>
    cpus?.some((cpu) => proxyCpus?.includes(cpu)) === true;
  const both = new Set([...(loadCpus ?? []), ...(upstreamCpus ?? [])]);
  return {
    // The direct way has no proxies, and so nothing that could be busy.
    proxyCpus: proxyCpus?.length === 0 ? null : proxyCpus,
    loadCpus: loadCpus === null ? null : [...both],
    isLoadBeside: isBeside(loadCpus),
    isUpstreamBeside: isBeside(upstreamCpus),
  };
}

/** From 0 to 1, null where nothing is pinned. */
export interface BusyShares {
  readonly loadBusy: number | null;
  readonly proxyBusy: number | null;
  /** Share of the proxies' CPUs that somebody else had; null also where the proxies' own time is not known. */
  readonly foreignShare: number | null;
}

/** Parses /proc/stat: idle time and time in which a CPU waited for a disk. */
export function parseCpuClock(text: string, atMs: number): CpuClock {
  const idleMs = new Map<number, number>();
  for (const [, cpu, values] of text.matchAll(/^cpu(\d+) (.+)$/gm)) {
    const [, , , idle = 0, waiting = 0] = (values ?? "").trim().split(/\s+/).map(Number);
    idleMs.set(Number(cpu), (idle + waiting) * TICK_MS);
  }
  if (idleMs.size === 0) throw new Error("/proc/stat tells nothing about CPUs");
  return { atMs, idleMs };
}

/**
 * How busy the CPUs were between two readings. What is not idle is busy: interrupts for packets and time that a
 * hypervisor took away leave no room for more work either. `proxiesMs`: CPU time that the bench knows of on the proxies'
 * CPUs: theirs, and what shares them.
 */
export function busyShares(
  { proxyCpus, loadCpus }: CpuPlaces,
  before: CpuClock,
  after: CpuClock,
  proxiesMs: number | null,
): BusyShares {
  const elapsedMs = after.atMs - before.atMs;
  const loadBusy = loadCpus === null ? null : busyOf(loadCpus, before, after);
  if (proxyCpus === null) return { loadBusy, proxyBusy: null, foreignShare: null };
  const proxyBusy = busyOf(proxyCpus, before, after);
  const own = proxiesMs === null ? null : proxiesMs / (elapsedMs * proxyCpus.length);
  return { loadBusy, proxyBusy, foreignShare: own === null ? null : clamp(proxyBusy - own) };
}

function busyOf(cpus: readonly number[], before: CpuClock, after: CpuClock): number {
  const idle = ({ idleMs }: CpuClock) =>
    cpus.reduce((sum, cpu) => sum + (idleMs.get(cpu) ?? Number.NaN), 0);
  const idleMs = idle(after) - idle(before);
  if (Number.isNaN(idleMs)) throw new Error(`/proc/stat has no CPU ${cpus.join(", ")}`);
  return clamp(1 - idleMs / ((after.atMs - before.atMs) * cpus.length));
}

function clamp(share: number): number {
  return Math.min(1, Math.max(0, share));
}

import { readFile } from "node:fs/promises";

/** Which CPU carries what; without pins everything runs where the kernel likes. */
export interface Pinning {
  readonly proxyCpu: number | null;
  readonly loadCpu: number | null;
  /** What a reader of the figures has to know about it. */
  readonly note: string;
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

/**
 * One CPU for the proxies and another, not a hyperthread of the same core where that can be had, for load and
 * upstream.
 */
export function choosePinning(
  allowed: readonly number[],
  siblings: readonly number[],
  hasTaskset: boolean,
): Pinning {
  const [proxyCpu, next] = allowed;
  const unpinned = { proxyCpu: null, loadCpu: null };
  if (!hasTaskset) return { ...unpinned, note: "not pinned: taskset (util-linux) is missing" };
  if (proxyCpu === undefined || next === undefined) {
    return { ...unpinned, note: "not pinned: there is one CPU, which load and upstream share" };
  }
  const other = allowed.find((cpu) => cpu !== proxyCpu && !siblings.includes(cpu));
  const loadCpu = other ?? next;
  const where = `proxies on CPU ${proxyCpu}, load and upstream on CPU ${loadCpu}`;
  return { proxyCpu, loadCpu, note: other === undefined ? `${where} (of the same core)` : where };
}

/** The pins for this machine and this process's own CPU mask. */
export async function pinningOfMachine(hasTaskset: boolean): Promise<Pinning> {
  const status = await readFile("/proc/self/status", "utf8");
  const allowed = parseCpuList(/^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? "");
  const topology = `/sys/devices/system/cpu/cpu${allowed[0] ?? 0}/topology/thread_siblings_list`;
  // Containers and some virtual machines hide the topology.
  const siblings = await readFile(topology, "utf8").catch(() => "");
  return choosePinning(allowed, parseCpuList(siblings), hasTaskset);
}

/** The command as it runs on one CPU; children and threads inherit that. */
export function pinned(command: readonly string[], cpu: number | null): string[] {
  return cpu === null ? [...command] : ["taskset", "-c", String(cpu), ...command];
}

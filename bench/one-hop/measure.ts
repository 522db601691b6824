import { cpuBusyMs, treeTimes } from "../lib/cpu-time.ts";
import type { Contestant } from "./contestant.ts";
import type { Load, LoadResult } from "./load.ts";

/** One measurement of one contestant. */
export interface Sample extends LoadResult {
  readonly name: Contestant["name"];
  readonly bodyBytes: number;
  readonly round: number;
  /** CPU time of the contestant's processes; null for the direct way. */
  readonly userMs: number | null;
  readonly systemMs: number | null;
  /** Share of the proxies' CPU that somebody else had meanwhile; null where nothing is pinned. */
  readonly foreignShare: number | null;
}

export interface Plan {
  readonly contestants: readonly Contestant[];
  readonly bodies: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
  readonly load: Load;
  readonly proxyCpu: number | null;
  /** Told of every sample as it comes. */
  readonly onSample: (sample: Sample) => void;
}

/** Seconds of load on everybody when the body size changes. */
const SETTLE_SECONDS = 1;

/**
 * Measures everybody in turn, round after round, so that what changes on the machine meets all of them; each round
 * begins with another one, so that nobody always runs after the same neighbour.
 */
export async function measure(plan: Plan): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (const [index, bodyBytes] of plan.bodies.entries()) {
    for (const contestant of plan.contestants) {
      const seconds = index === 0 ? contestant.warmUpSeconds : SETTLE_SECONDS;
      await plan.load(contestant, bodyBytes, seconds);
    }
    for (let round = 0; round < plan.rounds; round++) {
      for (const contestant of rotated(plan.contestants, round)) {
        const sample = await takeSample(plan, contestant, bodyBytes, round);
        samples.push(sample);
        plan.onSample(sample);
      }
    }
  }
  return samples;
}

/** The same list, beginning with another item each time. */
export function rotated<Item>(items: readonly Item[], by: number): Item[] {
  const start = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

async function takeSample(
  { load, seconds, proxyCpu }: Plan,
  contestant: Contestant,
  bodyBytes: number,
  round: number,
): Promise<Sample> {
  const begin = performance.now();
  const before = await readCpu(contestant.pid, proxyCpu);
  const result = await load(contestant, bodyBytes, seconds);
  const after = await readCpu(contestant.pid, proxyCpu);
  const elapsedMs = performance.now() - begin;
  const problems = [...result.problems];
  if (String(before.tree?.pids) !== String(after.tree?.pids)) {
    problems.push("processes began or ended meanwhile");
  }
  const userMs = difference(before.tree?.userMs, after.tree?.userMs);
  const systemMs = difference(before.tree?.systemMs, after.tree?.systemMs);
  const busyMs = difference(before.busyMs, after.busyMs);
  const foreignMs = busyMs === null ? null : busyMs - (userMs ?? 0) - (systemMs ?? 0);
  const foreignShare = foreignMs === null ? null : Math.max(0, foreignMs / elapsedMs);
  const who = { name: contestant.name, bodyBytes, round };
  return { ...who, ...result, problems, userMs, systemMs, foreignShare };
}

async function readCpu(pid: number | null, cpu: number | null) {
  return {
    tree: pid === null ? undefined : await treeTimes(pid),
    busyMs: cpu === null ? undefined : await cpuBusyMs(cpu),
  };
}

function difference(before: number | undefined, after: number | undefined): number | null {
  return before === undefined || after === undefined ? null : after - before;
}

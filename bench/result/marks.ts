import type { Mark, ResultRow } from "./result.ts";
import type { Round } from "./round.ts";

/** What each mark tells the reader. */
export const MARKS: Readonly<Record<Mark, string>> = {
  invalid: "no round was valid: there is no figure",
  "rounds-left-out":
    "some rounds had errors or a process came or went: they are not in the figures",
  "load-bound":
    "generator or upstream set the pace in a round: throughput and latency are theirs, CPU per request holds",
  "rate-missed": "the asked rate was not reached: latencies are those of a queue that grows",
  "late-load":
    "the generator sent late (p99 of lateness above a fifth of the p99): the tail is partly its own",
  disturbed:
    "other programs took 5 % or more of the proxies' CPUs in a round: figures are too high",
  "shared-core":
    "too few cores: load or upstream ran on a core of the proxies, so latencies hold waiting for these, and throughput is nobody's",
  coarse:
    "the proxies used less than ten ticks of 10 ms in a round: CPU per request is a rough guess; measure longer",
};

/** Share of the proxies' CPUs from which somebody else is a disturbance. */
const DISTURBED = 0.05;
/** Share of the asked rate that has to be reached. */
const REACHED = 0.98;
/** CPU time below which the kernel's ticks of 10 ms are too coarse. */
const FINE_MS = 100;
/** Part of the p99 that lateness of the generator may make up. */
const LATE = 0.2;

const LOAD: ReadonlySet<string> = new Set(["load", "generator", "upstream"]);

type Judged = Pick<ResultRow, "rate" | "rounds" | "throughput" | "latencyMs" | "lateP99Ms">;

/** Marks of a row, from its figures and its valid rounds. */
export function marksOf(row: Judged, rounds: readonly Round[]): Mark[] {
  if (rounds.length === 0) return ["invalid"];
  const { rate, throughput, latencyMs, lateP99Ms } = row;
  const holds: readonly (readonly [Mark, boolean])[] = [
    ["rounds-left-out", row.rounds.leftOut > 0],
    ["load-bound", rounds.some(({ bottleneck }) => LOAD.has(bottleneck))],
    ["rate-missed", rate !== null && (throughput?.median ?? 0) < rate * REACHED],
    ["late-load", (lateP99Ms?.median ?? 0) > (latencyMs?.p99.median ?? 0) * LATE],
    ["disturbed", rounds.some(({ foreignShare }) => (foreignShare ?? 0) >= DISTURBED)],
    ["shared-core", rounds.some(({ isCpuShared }) => isCpuShared)],
    ["coarse", rounds.some(({ cpuMs }) => cpuMs !== null && cpuMs < FINE_MS)],
  ];
  return holds.filter(([, isSo]) => isSo).map(([mark]) => mark);
}

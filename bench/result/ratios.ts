import { pairedRatio } from "../lib/statistics.ts";
import type { Contestant, Figure } from "../model.ts";
import type { HostmeshRatio, Ratios } from "./result.ts";
import type { Round } from "./round.ts";

/** A contestant with its valid rounds under one workload. */
export interface Rated {
  readonly who: Pick<Contestant, "name" | "peer" | "mode" | "between">;
  readonly valid: ReadonlyMap<number, Round>;
}

/** Rounds that are valid for both. */
export function pairsOf(one: Rated, other: Rated): [Round, Round][] {
  return [...one.valid].flatMap(([at, own]) => {
    const partner = other.valid.get(at);
    return partner === undefined ? [] : [[own, partner] as [Round, Round]];
  });
}

/** The figures of `one` divided by those of `base`, in each round that both have. */
export function ratiosOf(one: Rated, base: Rated): Ratios {
  const both = pairsOf(one, base);
  const of = (pick: (round: Round) => number | null): Figure | null => {
    const known = both
      .map(([own, other]) => ({ own: pick(own), other: pick(other) }))
      .filter(
        (pair): pair is { own: number; other: number } =>
          pair.own !== null && pair.other !== null && pair.other > 0,
      );
    if (known.length === 0) return null;
    return pairedRatio(
      known.map(({ own }) => own),
      known.map(({ other }) => other),
    );
  };
  return {
    cpu: of(({ cpuMicros, cpuSecondsPerGigabyte }) => cpuSecondsPerGigabyte ?? cpuMicros),
    gigabytesPerCpuSecond: of(({ gigabytesPerCpuSecond }) => gigabytesPerCpuSecond),
    p50: of(({ latency }) => latency.p50),
    p99: of(({ latency }) => latency.p99),
    p999: of(({ latency }) => latency.p999),
    throughput: of(({ throughput }) => throughput),
    pss: of(({ pss }) => pss && pss.a + pss.b),
  };
}

/**
 * hostmesh's figures divided by those of `one`: the same question as a baseline's, asked of every row at once. null for
 * hostmesh itself, for the direct way, and where there is no hostmesh.
 */
export function hostmeshRatio(one: Rated, all: readonly Rated[]): HostmeshRatio | null {
  if (one.who.peer === "hostmesh" || one.who.mode === "direct") return null;
  const own = counterpart(one, all);
  return own === null ? null : { contestant: own.who.name, ...ratiosOf(own, one) };
}

/**
 * The hostmesh that stands in for a row: with TLS for one with TLS, where it was measured; else the shared proxy, which is
 * there instead of a pair, and last a pair of its own.
 */
function counterpart({ who }: Rated, all: readonly Rated[]): Rated | null {
  const ours = all.filter((one) => one.who.peer === "hostmesh");
  const isTls = ({ between }: Rated["who"]) => between.startsWith("mtls");
  const alike = ours.filter((one) => isTls(one.who) === isTls(who));
  const shared = (some: readonly Rated[]) => some.find((one) => one.who.mode === "host");
  return shared(alike) ?? shared(ours) ?? alike[0] ?? ours[0] ?? null;
}

import { spread } from "../lib/statistics.ts";
import type { Bottleneck, Contestant, Figure, Sample, Topology } from "../model.ts";
import { latencyCurve } from "./latency.ts";
import { marksOf } from "./marks.ts";
import { hostmeshRatio, pairsOf, type Rated, ratiosOf } from "./ratios.ts";
import type { Percentiles, ResultRow } from "./result.ts";
import { type Round, readRound } from "./round.ts";
import { workloadKey } from "./workload-key.ts";

/** The part of a contestant that a row repeats. */
type Who = Pick<Contestant, "name" | "peer" | "mode" | "between">;

/** All rounds of one contestant under one workload. */
interface Series extends Rated {
  readonly samples: readonly Sample[];
  readonly problems: readonly string[];
}

/**
 * Rows of what was measured: workloads in the order in which they came first, contestants in the given one. Percentiles
 * are taken in each round, and the median of the rounds counts: in a histogram of all rounds together, one disturbed
 * round would own the whole tail. Rounds with problems are left out and named. `baseline` is the name of the
 * contestant that ratios refer to. A contestant that was not measured under a workload has no row there.
 */
export function summarize(
  samples: readonly Sample[],
  contestants: readonly Who[],
  baseline: string | null,
  topology: Topology,
): ResultRow[] {
  const byWorkload = Map.groupBy(samples, ({ workload }) => workloadKey(workload));
  return [...byWorkload.values()].flatMap((group) => {
    const all = contestants
      .map((who) =>
        series(
          who,
          group.filter(({ contestant }) => contestant === who.name),
        ),
      )
      .filter((one) => one.samples.length > 0);
    const direct = all.find(({ who }) => who.mode === "direct") ?? null;
    const base = all.find(({ who }) => who.name === baseline) ?? null;
    return all.map((one) => ({
      ...row(one, direct, base, topology),
      hostmeshRatio: hostmeshRatio(one, all),
    }));
  });
}

function series(who: Who, unsorted: readonly Sample[]): Series {
  const samples = unsorted.toSorted((a, b) => a.round - b.round);
  const valid = new Map<number, Round>();
  const problems: string[] = [];
  for (const sample of samples) {
    const outcome = readRound(sample);
    if (!("problems" in outcome)) valid.set(sample.round, outcome);
    else problems.push(...outcome.problems.map((one) => `round ${sample.round + 1}: ${one}`));
  }
  return { who, samples, valid, problems };
}

function row(
  one: Series,
  direct: Series | null,
  base: Series | null,
  topology: Topology,
): Omit<ResultRow, "hostmeshRatio"> {
  const { who, samples, valid, problems } = one;
  const [first] = samples;
  if (first === undefined) throw new RangeError("a row needs a sample");
  const { protocol, services, bodyBytes, connections, streams, call, messages, rate } =
    first.workload;
  const rounds = [...valid.values()];
  const isAdded = direct !== null && who.mode !== "direct";
  const plain = {
    ...{ contestant: who.name, peer: who.peer, mode: who.mode, between: who.between, topology },
    ...{ protocol, tls: who.between.startsWith("mtls"), services, bodyBytes, connections, streams },
    ...{ call, messages, rate },
    rounds: { valid: valid.size, leftOut: samples.length - valid.size },
    ...figures(rounds),
    addedLatencyMs: isAdded ? added(one, direct) : null,
    latencyCurve: latencyCurve(rounds.map(({ histogram }) => histogram)),
    errors: spread(samples.map(({ load }) => sum(Object.values(load.errors)))),
    errorKinds: errorKinds(samples),
    bottleneck: bottleneckOf(rounds),
    ratioToBaseline: base === null ? null : ratiosOf(one, base),
    problems,
  };
  return { ...plain, marks: marksOf(plain, rounds) };
}

type Figures = Omit<
  ResultRow,
  | ("contestant" | "peer" | "mode" | "between" | "topology" | "protocol" | "tls" | "services")
  | (
      | "bodyBytes"
      | "connections"
      | "streams"
      | "call"
      | "messages"
      | "rate"
      | "rounds"
      | "addedLatencyMs"
      | "latencyCurve"
    )
  | ("errors" | "errorKinds" | "bottleneck" | "ratioToBaseline" | "hostmeshRatio")
  | ("marks" | "problems")
>;

function figures(rounds: readonly Round[]): Figures {
  const of = (pick: (round: Round) => number | null) => figure(rounds.map(pick));
  const pssA = of(({ pss }) => pss?.a ?? null);
  const pssB = of(({ pss }) => pss?.b ?? null);
  const tcp = of(({ handshakes }) => handshakes?.tcp ?? null);
  const tls = of(({ handshakes }) => handshakes?.tls ?? null);
  return {
    throughput: of(({ throughput }) => throughput),
    latencyMs: percentiles(rounds.map(({ latency }) => latency)),
    cpuMicrosPerRequest: of(({ cpuMicros }) => cpuMicros),
    systemMicrosPerRequest: of(({ systemMicros }) => systemMicros),
    cpuSecondsPerGigabyte: of(({ cpuSecondsPerGigabyte }) => cpuSecondsPerGigabyte),
    gigabytesPerCpuSecond: of(({ gigabytesPerCpuSecond }) => gigabytesPerCpuSecond),
    contextSwitchesPerRequest: of(({ contextSwitches }) => contextSwitches),
    pssBytes: of(({ pss }) => pss && pss.a + pss.b),
    pssBytesByHost: pssA === null || pssB === null ? null : { a: pssA, b: pssB },
    rssBytes: of(({ rss }) => rss && rss.a + rss.b),
    openConnections: of(({ openConnections }) => openConnections),
    handshakes: tcp === null || tls === null ? null : { tcp, tls },
    lateP99Ms: of(({ lateP99Ms }) => lateP99Ms),
    loadBusy: of(({ loadBusy }) => loadBusy),
    proxyBusy: of(({ proxyBusy }) => proxyBusy),
    generatorMicrosPerRequest: of(({ generatorMicros }) => generatorMicros),
  };
}

/** Of the values that there are; null where there is none. */
function figure(values: readonly (number | null)[]): Figure | null {
  const known = values.filter((one): one is number => one !== null && Number.isFinite(one));
  return known.length === 0 ? null : spread(known);
}

function percentiles(rounds: readonly Round["latency"][]): Percentiles | null {
  const p50 = figure(rounds.map((one) => one.p50));
  const p90 = figure(rounds.map((one) => one.p90));
  const p99 = figure(rounds.map((one) => one.p99));
  const p999 = figure(rounds.map((one) => one.p999));
  if (p50 === null || p90 === null || p99 === null || p999 === null) return null;
  return { p50, p90, p99, p999 };
}

function added(one: Series, direct: Series): Percentiles | null {
  return percentiles(
    pairsOf(one, direct).map(([own, bare]) => ({
      p50: own.latency.p50 - bare.latency.p50,
      p90: own.latency.p90 - bare.latency.p90,
      p99: own.latency.p99 - bare.latency.p99,
      p999: own.latency.p999 - bare.latency.p999,
    })),
  );
}

function errorKinds(samples: readonly Sample[]): Record<string, number> {
  const kinds = new Map<string, number>();
  for (const { load } of samples) {
    for (const [kind, count] of Object.entries(load.errors)) {
      kinds.set(kind, (kinds.get(kind) ?? 0) + count);
    }
  }
  return Object.fromEntries(kinds);
}

/** The most frequent one; of several the one that came first. */
function bottleneckOf(rounds: readonly Round[]): Bottleneck {
  const counted = Map.groupBy(rounds, ({ bottleneck }) => bottleneck);
  const [first] = [...counted].sort(([, a], [, b]) => b.length - a.length);
  return first?.[0] ?? "unknown";
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

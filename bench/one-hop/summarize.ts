import { pairedRatio, type Spread, spread } from "../lib/statistics.ts";
import type { Contestant } from "./contestant.ts";
import type { Sample } from "./measure.ts";

/** One contestant with one body size, over all rounds. */
export interface Row {
  readonly name: Contestant["name"];
  readonly bodyBytes: number;
  readonly perSecond: Spread;
  /** CPU time of one unit; null for the direct way, and where a sample is not valid. */
  readonly cost: Spread | null;
  readonly user: Spread | null;
  readonly system: Spread | null;
  /** Cost against these two, round by round. */
  readonly ofHaproxy: Spread | null;
  readonly ofNginx: Spread | null;
  /** Largest share of the proxies' CPU that somebody else had in a round. */
  readonly foreignShare: number | null;
  /** Empty, or what makes the row invalid. */
  readonly problems: readonly string[];
}

/** What a cost refers to: CPU microseconds of a request, or CPU seconds of a gigabyte (10^9 bytes). */
export type Unit = "us/request" | "s/GB";

/** Rows in the order in which the samples came first. */
export function summarize(samples: readonly Sample[], unit: Unit): Row[] {
  const bodies = [...new Set(samples.map(({ bodyBytes }) => bodyBytes))];
  const names = [...new Set(samples.map(({ name }) => name))];
  return bodies.flatMap((body) => {
    const of = (name: Contestant["name"]) =>
      samples
        .filter((sample) => sample.bodyBytes === body && sample.name === name)
        .sort((a, b) => a.round - b.round);
    const bases = { haproxy: costs(of("HAProxy"), unit), nginx: costs(of("nginx"), unit) };
    return names.map((name) => row(of(name), unit, bases));
  });
}

interface Costs {
  readonly total: readonly number[];
  readonly user: readonly number[];
  readonly system: readonly number[];
}

/** Costs round by round; null where there are none that can be trusted. */
function costs(samples: readonly Sample[], unit: Unit): Costs | null {
  const isValid = ({ problems, userMs }: Sample) => problems.length === 0 && userMs !== null;
  if (samples.length === 0 || !samples.every(isValid)) return null;
  const per = (ms: number, { requests, bytes }: Sample) =>
    unit === "us/request" ? (ms * 1e3) / requests : ms / 1e3 / (bytes / 1e9);
  return {
    total: samples.map((one) => per((one.userMs ?? 0) + (one.systemMs ?? 0), one)),
    user: samples.map((one) => per(one.userMs ?? 0, one)),
    system: samples.map((one) => per(one.systemMs ?? 0, one)),
  };
}

function row(
  samples: readonly Sample[],
  unit: Unit,
  bases: { readonly haproxy: Costs | null; readonly nginx: Costs | null },
): Row {
  const [first] = samples;
  if (first === undefined) throw new RangeError("a row needs a sample");
  const own = costs(samples, unit);
  const ratio = (base: Costs | null) =>
    own === null || base === null ? null : pairedRatio(own.total, base.total);
  const foreign = samples.map(({ foreignShare }) => foreignShare).filter((one) => one !== null);
  const amount = ({ requests, bytes }: Sample) => (unit === "us/request" ? requests : bytes / 1e9);
  return {
    name: first.name,
    bodyBytes: first.bodyBytes,
    perSecond: spread(samples.map((sample) => amount(sample) / sample.seconds)),
    cost: own && spread(own.total),
    user: own && spread(own.user),
    system: own && spread(own.system),
    ofHaproxy: ratio(bases.haproxy),
    ofNginx: ratio(bases.nginx),
    foreignShare: foreign.length === 0 ? null : Math.max(...foreign),
    problems: samples.flatMap(({ problems, round }) =>
      problems.map((problem) => `round ${round + 1}: ${problem}`),
    ),
  };
}

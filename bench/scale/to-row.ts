import { spread } from "../lib/statistics.ts";
import type { Bottleneck, HttpProtocol, Sample, ScaleRow } from "../model.ts";
import { percentilesOf } from "../result/latency.ts";
import type { ScalePoint } from "./scale-point.ts";

/** The row of one contestant at one point; null where no sample of it has a request that was answered. */
export function toRow(
  { dimension, value }: ScalePoint,
  protocol: HttpProtocol,
  samples: readonly Sample[],
): ScaleRow | null {
  const [first] = samples;
  const answered = samples.filter(({ load, cpu }) => load.requests > 0 && cpu !== null);
  if (first === undefined || answered.length === 0) return null;
  const cpuMicros = answered.map(({ cpu, load }) => {
    const { userMs = 0, systemMs = 0 } = cpu ?? {};
    return ((userMs + systemMs) * 1e3) / load.requests;
  });
  return {
    ...{ contestant: first.contestant, protocol, dimension, value },
    cpuMicrosPerRequest: spread(cpuMicros),
    throughput: spread(answered.map(({ load }) => load.requests / load.seconds)),
    p99Ms: spread(answered.map(({ load }) => percentilesOf(load.histogram).p99)),
    pssBytes: spread(answered.map(({ pssBytes }) => (pssBytes?.a ?? 0) + (pssBytes?.b ?? 0)))
      .median,
    bottleneck: mostFrequent(answered.map(({ bottleneck }) => bottleneck)),
    problems: samples.flatMap(({ round, problems }) =>
      problems.map((problem) => `round ${round + 1}: ${problem}`),
    ),
  };
}

function mostFrequent(values: readonly Bottleneck[]): Bottleneck {
  const count = (value: Bottleneck) => values.filter((one) => one === value).length;
  return values.toSorted((a, b) => count(b) - count(a))[0] ?? "unknown";
}

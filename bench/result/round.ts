import type { Bottleneck, Sample } from "../model.ts";
import { type LatencyPercentiles, percentilesOf } from "./latency.ts";

/** What one valid measurement says, in the units of a row. */
export interface Round {
  readonly throughput: number;
  readonly latency: LatencyPercentiles;
  readonly histogram: string;
  /** Of all proxies, in ticks of 10 ms. */
  readonly cpuMs: number | null;
  readonly cpuMicros: number | null;
  readonly systemMicros: number | null;
  readonly cpuSecondsPerGigabyte: number | null;
  readonly gigabytesPerCpuSecond: number | null;
  readonly contextSwitches: number | null;
  readonly pss: Sample["pssBytes"];
  readonly rss: Sample["rssBytes"];
  readonly openConnections: number | null;
  readonly handshakes: Sample["handshakes"];
  readonly lateP99Ms: number | null;
  readonly loadBusy: number | null;
  readonly proxyBusy: number | null;
  readonly generatorMicros: number;
  readonly foreignShare: number | null;
  readonly isCpuShared: boolean;
  readonly bottleneck: Bottleneck;
}

/** The figures of a measurement, or why it cannot be used. */
export function readRound(sample: Sample): Round | { readonly problems: readonly string[] } {
  const { load, problems } = sample;
  if (problems.length > 0) return { problems };
  if (load.requests === 0) return { problems: ["no request was completed"] };
  const { cpu } = sample;
  if (cpu !== null && cpu.userMs + cpu.systemMs === 0) {
    return { problems: ["too short to see any CPU time"] };
  }
  if (load.seconds <= 0) return { problems: ["the counted time is empty"] };
  try {
    return valid(sample, percentilesOf(load.histogram));
  } catch (error) {
    return { problems: [`the latencies cannot be read: ${String(error)}`] };
  }
}

function valid(sample: Sample, latency: LatencyPercentiles): Round {
  const { load, cpu, contextSwitches, workload } = sample;
  const totalMs = cpu && cpu.userMs + cpu.systemMs;
  const isTcp = workload.protocol === "tcp" && load.bodyBytes > 0;
  return {
    throughput: load.requests / load.seconds,
    latency,
    histogram: load.histogram,
    cpuMs: totalMs,
    cpuMicros: totalMs === null ? null : (totalMs * 1e3) / load.requests,
    systemMicros: cpu && (cpu.systemMs * 1e3) / load.requests,
    cpuSecondsPerGigabyte:
      totalMs === null || !isTcp ? null : totalMs / 1e3 / (load.bodyBytes / 1e9),
    gigabytesPerCpuSecond:
      totalMs === null || !isTcp ? null : load.bodyBytes / 1e9 / (totalMs / 1e3),
    contextSwitches: contextSwitches === null ? null : contextSwitches / load.requests,
    pss: sample.pssBytes,
    rss: sample.rssBytes,
    openConnections: sample.openConnections,
    handshakes: sample.handshakes,
    lateP99Ms: load.lateP99Micros === null ? null : load.lateP99Micros / 1e3,
    loadBusy: sample.loadBusy,
    proxyBusy: sample.proxyBusy,
    generatorMicros: (load.cpuMs * 1e3) / load.requests,
    foreignShare: sample.foreignShare,
    isCpuShared: sample.isCpuShared,
    bottleneck: sample.bottleneck,
  };
}

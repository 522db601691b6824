import type { Bottleneck } from "../model.ts";

/** What is known of one measurement when it is asked what set its throughput. */
export interface Pressure {
  /** Requests per second that were asked for; null: as many as possible. */
  readonly rate: number | null;
  /** Answers per second. */
  readonly throughput: number;
  /** How late the generator sent, 99th percentile; null without a rate. */
  readonly lateP99Ms: number | null;
  /** Share of one core that the generator, and the upstream, used: both are one thread. */
  readonly generatorCores: number;
  readonly upstreamCores: number;
  /** Busiest proxy: cores that it used for each of its workers. */
  readonly proxyCores: number;
  /** Busy share of the CPUs of load and upstream, and of the proxies; null where nothing is pinned. */
  readonly loadBusy: number | null;
  readonly proxyBusy: number | null;
}

/** A rate counts as reached from this share on. */
const REACHED = 0.99;
/** A core, or a thread, counts as full from this share on: CPU times come in ticks of 10 ms. */
const FULL = 0.95;
/** A generator that sends so late had no time, although its CPU may look idle: something else held it up. */
const LATE_MS = 20;

/**
 * What set the throughput. Generator and upstream are asked before the proxies: where both sides were full, the
 * throughput may be either's, and must not be taken for the proxies'.
 */
export function judgeBottleneck(pressure: Pressure): Bottleneck {
  const { rate, throughput, loadBusy, proxyBusy } = pressure;
  if (rate !== null && throughput >= rate * REACHED) return "rate";
  if (pressure.generatorCores >= FULL || (pressure.lateP99Ms ?? 0) >= LATE_MS) return "generator";
  if (pressure.upstreamCores >= FULL) return "upstream";
  if (loadBusy !== null && loadBusy >= FULL) return "load";
  const isProxyFull = proxyBusy !== null && proxyBusy >= FULL;
  return isProxyFull || pressure.proxyCores >= FULL ? "proxy" : "unknown";
}

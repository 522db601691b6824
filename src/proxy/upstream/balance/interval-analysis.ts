import type { DataEndpoint } from "../../../core/snapshot.ts";
import type { OutlierPolicy } from "../../../core/traffic.ts";
import type { IntervalCounts } from "./interval-counts.ts";

/** An endpoint with fewer answers in an interval is not judged by their latency. */
const MIN_LATENCY_SAMPLES = 10;

/** What one endpoint did in an interval. */
interface Record {
  readonly endpoint: DataEndpoint;
  readonly requests: number;
  readonly successes: number;
  readonly latencyMs: number;
}

/** Has the policy a detector that compares the endpoints of an interval with each other? */
export function analysesIntervals(policy: OutlierPolicy): boolean {
  const { successRate, failurePercentage, latency } = policy;
  const isOn = (successRate?.stdevFactor ?? 0) > 0 || (failurePercentage?.percent ?? 0) > 0;
  return isOn || (latency?.factor ?? 0) > 0;
}

/** Those of the endpoints that stood out in an interval, the worst first. */
export function outliersOf(
  endpoints: readonly DataEndpoint[],
  policy: OutlierPolicy,
  counts: IntervalCounts,
  interval: number,
): DataEndpoint[] {
  const records = endpoints.map((endpoint) => ({
    endpoint,
    requests: counts.requests(endpoint.slot, interval),
    successes: counts.successes(endpoint.slot, interval),
    latencyMs: counts.meanLatencyMs(endpoint.slot, interval),
  }));
  const found = [
    ...byRate([...lowSuccessRates(records, policy), ...failurePercentages(records, policy)]),
    ...latencyOutliers(records, policy),
  ];
  return [...new Set(found.map(({ endpoint }) => endpoint))];
}

/** Envoy's success rate detector: below mean - factor * standard deviation of all that had enough requests. */
function lowSuccessRates(records: readonly Record[], { successRate }: OutlierPolicy): Record[] {
  if (successRate === undefined || successRate.stdevFactor <= 0) return [];
  const judged = records.filter((one) => hasEnough(one, successRate.minRequests));
  if (judged.length < Math.max(1, successRate.minHosts)) return [];
  const mean = judged.reduce((sum, one) => sum + rateOf(one), 0) / judged.length;
  const squares = judged.reduce((sum, one) => sum + (rateOf(one) - mean) ** 2, 0);
  const threshold = mean - successRate.stdevFactor * Math.sqrt(squares / judged.length);
  return judged.filter((one) => rateOf(one) < threshold);
}

/** Envoy's failure percentage detector: at or above a fixed share of failures. */
function failurePercentages(records: readonly Record[], policy: OutlierPolicy): Record[] {
  const { failurePercentage: rule } = policy;
  if (rule === undefined || rule.percent <= 0) return [];
  const judged = records.filter((one) => hasEnough(one, rule.minRequests));
  if (judged.length < Math.max(1, rule.minHosts)) return [];
  return judged.filter((one) => (1 - rateOf(one)) * 100 >= rule.percent);
}

/** Mean latency above `factor` times the median of the others' means, and above `minMs`. */
function latencyOutliers(records: readonly Record[], { latency }: OutlierPolicy): Record[] {
  if (latency === undefined || latency.factor <= 0) return [];
  const judged = records
    .filter(({ successes }) => successes >= MIN_LATENCY_SAMPLES)
    .sort((a, b) => b.latencyMs - a.latencyMs);
  if (judged.length < Math.max(2, latency.minHosts)) return [];
  const isSlow = ({ latencyMs }: Record, at: number) =>
    latencyMs > latency.minMs && latencyMs > latency.factor * medianWithout(judged, at);
  return judged.filter(isSlow);
}

/** Median of the sorted records' latencies but one. */
function medianWithout(sorted: readonly Record[], left: number): number {
  const others = sorted.length - 1;
  const at = (index: number) => sorted[index < left ? index : index + 1]!.latencyMs;
  const middle = others >> 1;
  return others % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2;
}

function byRate(records: Record[]): Record[] {
  return records.sort((a, b) => rateOf(a) - rateOf(b));
}

function rateOf({ requests, successes }: Record): number {
  return successes / requests;
}

function hasEnough({ requests }: Record, minRequests: number): boolean {
  return requests >= Math.max(1, minRequests);
}

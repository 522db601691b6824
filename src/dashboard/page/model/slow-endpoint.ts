import type { EndpointFigures, ServiceFigures } from "../../../sight/mesh-report.ts";
import { formatMs, formatPercent } from "./format.ts";

/** So many times the median of the others is slow. */
const SLOW_FACTOR = 3;
/** Below it, nobody feels the difference. */
const SLOW_MS = 5;
/** With less than this part of an equal share, an endpoint has lost its traffic. */
const LOST = 0.5;

export interface Verdict {
  readonly endpoint: EndpointFigures;
  readonly isSlow: boolean;
  /** It is sent much less than an equal share. */
  readonly hasLostTraffic: boolean;
  readonly isEjected: boolean;
  /** What is the matter, as a sentence; empty: nothing. */
  readonly words: string;
}

/** Latency of an endpoint as callers feel it: the balancer's estimate, else the median of what ended. */
export function latencyOf(endpoint: EndpointFigures): number | null {
  return endpoint.latencyEwmaMs ?? endpoint.p50Ms;
}

/** The share that each endpoint of a service would have were all the same: by weight. */
export function fairShare(service: ServiceFigures, endpoint: EndpointFigures): number {
  const sum = service.endpoints.reduce((total, { weight }) => total + weight, 0);
  return sum === 0 ? 0 : endpoint.weight / sum;
}

/** Judges each endpoint against the others of its service. */
export function judgeEndpoints(service: ServiceFigures): Verdict[] {
  return service.endpoints.map((endpoint) => {
    const others = service.endpoints.filter((one) => one !== endpoint);
    const usual = median(others.flatMap((one) => latencyOf(one) ?? []));
    const own = latencyOf(endpoint);
    const isSlow =
      own !== null && usual !== null && own >= SLOW_FACTOR * usual && own - usual >= SLOW_MS;
    const fair = fairShare(service, endpoint);
    const hasLostTraffic =
      others.length > 0 && endpoint.share !== null && endpoint.share < LOST * fair;
    const isEjected = endpoint.ejectedBy.length > 0;
    const parts: string[] = [];
    if (isSlow) {
      const times = own / Math.max(usual, 0.1);
      const factor = times < 10 ? times.toFixed(1) : String(Math.round(times));
      parts.push(
        `${factor} times slower than the others (${formatMs(own)} against ${formatMs(usual)})`,
      );
    }
    if (isEjected) parts.push(`ejected by ${endpoint.ejectedBy.join(", ")}`);
    if (hasLostTraffic && (isSlow || isEjected)) {
      const share = formatPercent(endpoint.share);
      parts.push(`gets ${share} of the requests in place of ${formatPercent(fair)}`);
    }
    return { endpoint, isSlow, hasLostTraffic, isEjected, words: parts.join("; ") };
  });
}

function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? null;
}

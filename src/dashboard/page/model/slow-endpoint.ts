import { type EndpointVerdict, judgeEndpoints } from "../../../sight/judge-endpoints.ts";
import type { ServiceFigures } from "../../../sight/mesh-report.ts";
import { formatMs, formatPercent } from "./format.ts";

export interface Verdict extends EndpointVerdict {
  /** What it is, in a word or two; empty: nothing is the matter. */
  readonly word: string;
  /** What is the matter, as a sentence; empty: nothing. */
  readonly words: string;
}

/** What to say of each endpoint of a service. */
export function endpointVerdicts(service: ServiceFigures, windowMs: number): Verdict[] {
  return judgeEndpoints(service, windowMs).map((verdict) => {
    return { ...verdict, word: wordOf(verdict), words: wordsOf(verdict) };
  });
}

function wordOf({ isEjected, isSlow, isFailing, isAvoided }: EndpointVerdict): string {
  if (isSlow) return "slow";
  if (isFailing) return "failing";
  if (isEjected) return "ejected";
  return isAvoided ? "avoided" : "";
}

function wordsOf(verdict: EndpointVerdict): string {
  const { endpoint, isSlow, isFailing, isEjected, isAvoided, fairShare } = verdict;
  const parts: string[] = [];
  if (isSlow) {
    const times = (endpoint.p50Ms ?? 0) / Math.max(verdict.usualMs ?? 0, 0.1);
    const factor = times < 10 ? times.toFixed(1) : String(Math.round(times));
    const against = `${formatMs(endpoint.p50Ms)} against ${formatMs(verdict.usualMs)}`;
    parts.push(`${factor} times slower than the others (${against})`);
  }
  if (isFailing) {
    const failed = 1 - (endpoint.success ?? 0);
    parts.push(`fails ${formatPercent(failed)} of its requests, the others almost none`);
  }
  if (isEjected) parts.push(`ejected by ${endpoint.ejectedBy.join(", ")}`);
  if (isAvoided) {
    const costs = `${formatMs(endpoint.latencyEwmaMs)} against ${formatMs(verdict.usualCostMs)}`;
    parts.push(`tries at it failed or took long: its cost is ${costs} of the others`);
  }
  // Of one that fails alone: it may be a split that gives it little.
  if (verdict.hasLostTraffic && (isSlow || isEjected || isAvoided)) {
    const share = formatPercent(endpoint.share);
    parts.push(`gets ${share} of the requests in place of ${formatPercent(fairShare)}`);
  }
  return parts.join("; ");
}

import { formatMs, formatShare } from "../../core/format-figures.ts";
import type { EndpointVerdict } from "../../sight/judge-endpoints.ts";

/** What an endpoint does worse than its peers, to follow its name; null: nothing. Of ejections others tell. */
export function verdictWords(verdict: EndpointVerdict): string | null {
  const { endpoint, usualMs, usualCostMs } = verdict;
  const parts: string[] = [];
  if (verdict.isSlow) {
    parts.push(`takes ${formatMs(endpoint.p50Ms)}, its peers ${formatMs(usualMs)}`);
  }
  if (verdict.isFailing) {
    const failed = formatShare(1 - (endpoint.success ?? 0));
    parts.push(`fails ${failed} of its requests, its peers almost none`);
  }
  if (verdict.isAvoided) {
    const costs = `${formatMs(endpoint.latencyEwmaMs)}, that of its peers ${formatMs(usualCostMs)}`;
    parts.push(`is avoided, as tries at it failed or took long: its cost is ${costs}`);
  }
  if (parts.length === 0) return null;
  if (endpoint.share !== null) {
    // Of one that fails alone: it may be a split that gives it little.
    const isTurnedFrom = verdict.hasLostTraffic && (verdict.isSlow || verdict.isAvoided);
    const fair = isTurnedFrom ? ` in place of ${formatShare(verdict.fairShare)}` : "";
    parts.push(`it gets ${formatShare(endpoint.share)} of the requests${fair}`);
  }
  return parts.join("; ");
}

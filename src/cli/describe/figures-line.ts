import {
  formatAge,
  formatBytes,
  formatMs,
  formatRate,
  formatShare,
} from "../../core/format-figures.ts";
import type { CertificateReport } from "../../sight/host-report.ts";
import type { EdgeFigures, Figures } from "../../sight/mesh-report.ts";

/** `9.5/s, 98 % ok, p50 1.5 ms, p99 12 ms`. */
export function figuresText({ rps, success, p50Ms, p99Ms, bytesPerSecond }: Figures): string {
  if (rps === 0 && success === null) return `no request, ${formatBytes(bytesPerSecond)}/s`;
  const latency = p50Ms === null ? "" : `, p50 ${formatMs(p50Ms)}, p99 ${formatMs(p99Ms)}`;
  return `${formatRate(rps)}/s, ${formatShare(success)} ok${latency}`;
}

export function edgeText(edge: EdgeFigures, other: string): string {
  const ways = Object.keys(edge.securities).join(", ");
  const secured = edge.secured ? "secured" : "NOT secured";
  return `${other}: ${figuresText(edge)}, ${secured}${ways === "" ? "" : ` (${ways})`}`;
}

export function certificateText({ state, notAfterMs }: CertificateReport, atMs: number): string {
  if (notAfterMs === null) return state;
  const left = notAfterMs - atMs;
  return left <= 0 ? `expired ${formatAge(-left)} ago` : `${state} for ${formatAge(left)} more`;
}

import { sumOfParts } from "../core/durations.ts";

/** Reads a duration as Go writes it (`10s`, `1m30s`, `1.5h`), in ms; null where it is none or negative. */
export function parseGoDuration(text: string): number | null {
  if (text === "0") return 0;
  if (!/^\+?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(text)) return null;
  return sumOfParts(text.replace("+", ""), /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g);
}

/** Writes ms as Go prints a duration (`1m30s`), for Consul's answers. */
export function formatGoDuration(durationMs: number): string {
  if (durationMs === 0) return "0s";
  if (durationMs < 1_000) return `${durationMs}ms`;
  const hours = Math.floor(durationMs / 3_600_000);
  const minutes = Math.floor(durationMs / 60_000) % 60;
  const seconds = (durationMs % 60_000) / 1_000;
  const parts = hours > 0 ? `${hours}h${minutes}m` : minutes > 0 ? `${minutes}m` : "";
  return `${parts}${seconds}s`;
}

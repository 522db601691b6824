const NOTHING = "-";

/** A duration for people: three figures and a unit, `850 µs`, `12.3 ms`, `4.1 s`. `-` for null. */
export function formatMs(ms: number | null): string {
  if (ms === null) return NOTHING;
  if (ms < 1) return `${Math.round(ms * 1_000)} µs`;
  if (ms < 100) return `${ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  return `${(ms / 1_000).toFixed(1)} s`;
}

/**
 * A share (0 to 1) in per cent with one decimal. Only all is 100 % and only none is 0 %: a figure that would be
 * rounded there shows that it is not. `-` for null.
 */
export function formatShare(share: number | null): string {
  if (share === null) return NOTHING;
  const percent = share * 100;
  if (percent < 100 && percent >= 99.95) return ">99.9 %";
  if (percent > 0 && percent < 0.05) return "<0.1 %";
  return `${percent.toFixed(percent === 100 || percent === 0 ? 0 : 1)} %`;
}

/** A rate per second: one decimal below a hundred. */
export function formatRate(perSecond: number): string {
  return perSecond < 100 ? perSecond.toFixed(1) : String(Math.round(perSecond));
}

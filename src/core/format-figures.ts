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

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** Bytes with two to four figures: `850 B`, `1.2 KiB`, `34 MiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // Whatever would be rounded to 1024 is one of the next unit.
  while (Math.round(value) >= 1_024 && unit < BYTE_UNITS.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 9.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${BYTE_UNITS[unit]}`;
}

const AGE_UNITS: readonly (readonly [unit: string, seconds: number])[] = [
  ["d", 86_400],
  ["h", 3_600],
  ["m", 60],
  ["s", 1],
];

/** A span of time as kubectl shows ages: its two largest units, `3d4h`, `12m5s`, `8s`. `-` for null. */
export function formatAge(ms: number | null): string {
  if (ms === null) return NOTHING;
  let seconds = Math.max(0, Math.floor(ms / 1_000));
  const parts: string[] = [];
  for (const [unit, length] of AGE_UNITS) {
    const count = Math.floor(seconds / length);
    seconds -= count * length;
    if (count > 0) parts.push(`${count}${unit}`);
    // Days and seconds together say nothing that anybody wants to know.
    if (parts.length === 2 || (parts.length === 1 && count === 0)) break;
  }
  return parts.join("") || "0s";
}

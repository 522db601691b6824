/** Numbers as people read them. What is not known is a dash. */
const NOTHING = "–";

/** Three digits at most, with k, M, G for thousands. */
export function formatCount(value: number): string {
  const size = Math.abs(value);
  for (const [unit, letter] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e4, "k"],
  ] as const) {
    if (size >= unit) {
      const scaled = value / (letter === "k" ? 1e3 : unit);
      return `${scaled.toFixed(Math.abs(scaled) < 100 ? 1 : 0)}${letter}`;
    }
  }
  return Math.round(value).toLocaleString("en");
}

/** A rate per second: a decimal below 10, as one in ten seconds matters there. */
export function formatRate(value: number): string {
  if (value === 0) return "0";
  if (value < 0.05) return "<0.1";
  return value < 10 ? value.toFixed(1) : formatCount(value);
}

export function formatMs(value: number | null): string {
  if (value === null) return NOTHING;
  if (value < 10) return `${value.toFixed(1)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  return `${(value / 1000).toFixed(value < 10_000 ? 2 : 1)} s`;
}

/** A share of 0 to 1; 100 % is only said when nothing was missing. */
export function formatPercent(share: number | null): string {
  if (share === null) return NOTHING;
  const percent = share * 100;
  if (share === 1 || share === 0) return `${percent} %`;
  if (percent >= 99) return `${Math.min(percent, 99.99).toFixed(2)} %`;
  return `${percent.toFixed(percent < 10 ? 1 : 0)} %`;
}

export function formatBytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let scaled = value;
  let unit = 0;
  while (scaled >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  return `${scaled.toFixed(unit > 0 && scaled < 10 ? 1 : 0)} ${units[unit]}`;
}

/** A span in its two largest units. */
export function formatSpan(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
  ];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  if (minutes > 0) return `${minutes} min`;
  return `${seconds} s`;
}

/** Time of day with seconds, in the reader's zone. */
export function formatTime(atMs: number): string {
  return new Date(atMs).toLocaleTimeString("en-GB");
}

export function formatDate(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

export function plural(count: number, one: string, more = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : more}`;
}

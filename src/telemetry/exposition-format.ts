import type { ExpositionFormat } from "./exposition.ts";

const OPEN_METRICS = "application/openmetrics-text";
/** A list of more media types is nobody's who scrapes. */
const MOST_TYPES = 16;

/**
 * The format that an `Accept` field prefers (RFC 9110 section 12.5.1). OpenMetrics only where it is named, in the version
 * that is written here, or in none; text otherwise, which everybody reads.
 */
export function expositionFormat(accept: string): ExpositionFormat {
  let best: ExpositionFormat = "text";
  let highest = 0;
  for (const item of accept.split(",", MOST_TYPES)) {
    const [type = "", ...params] = item.split(";").map((part) => part.trim().toLowerCase());
    const format = formatOf(type, params);
    const weight = Number(params.find((one) => one.startsWith("q="))?.slice(2) ?? 1);
    const wins = weight > highest || (weight === highest && format === "openmetrics");
    if (format === null || !(weight > 0) || !wins) continue;
    best = format;
    highest = weight;
  }
  return best;
}

function formatOf(type: string, params: readonly string[]): ExpositionFormat | null {
  if (type === "text/plain" || type === "text/*" || type === "*/*") return "text";
  if (type !== OPEN_METRICS) return null;
  const version = params.find((one) => one.startsWith("version="));
  return version === undefined || version === "version=1.0.0" ? "openmetrics" : null;
}

import { decodeFromCompressedBase64, type Histogram } from "hdr-histogram-js";
import type { CurvePoint } from "./result.ts";

/** Microseconds of a histogram's percentiles, as milliseconds. */
export interface LatencyPercentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
}

/** Points of a curve between two powers of ten of 1/(1-p). */
const POINTS_PER_DECADE = 10;

/** Reads a histogram of microseconds (HdrHistogram, V2 compressed, base64); throws where it is none. */
function decode(encoded: string): Histogram {
  const histogram = decodeFromCompressedBase64(encoded);
  histogram.autoResize = true;
  return histogram;
}

/** Throws where the histogram cannot be read or holds nothing. */
export function percentilesOf(encoded: string): LatencyPercentiles {
  const histogram = decode(encoded);
  if (histogram.totalCount === 0) throw new RangeError("the histogram is empty");
  const ms = (percentile: number) => histogram.getValueAtPercentile(percentile) / 1e3;
  return { p50: ms(50), p90: ms(90), p99: ms(99), p999: ms(99.9) };
}

/**
 * All histograms in one, as a curve whose points lie evenly on the scale 1/(1-p), up to the slowest answer. Its length is
 * bounded by the logarithm of the number of answers.
 */
export function latencyCurve(encoded: readonly string[]): CurvePoint[] {
  const [first, ...others] = encoded;
  if (first === undefined) return [];
  const all = decode(first);
  for (const one of others) all.add(decode(one));
  const decades = Math.log10(Math.max(1, all.totalCount));
  const steps = Math.floor(decades * POINTS_PER_DECADE);
  return Array.from({ length: steps + 1 }, (_, step) => {
    const percentile = 100 * (1 - 10 ** (-step / POINTS_PER_DECADE));
    return { percentile, ms: all.getValueAtPercentile(percentile) / 1e3 };
  });
}

/** The middle of several measurements and how far they lie apart. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Spread of at least one value; throws a RangeError where there is none, or one that is no number. */
export function spread(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError("a spread needs at least one value");
  if (values.some((value) => Number.isNaN(value))) throw new RangeError("a value is not a number");
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1] ?? 0;
  const lower = sorted[(sorted.length - 1) >> 1] ?? 0;
  return { median: (lower + upper) / 2, min: sorted[0] ?? 0, max: sorted.at(-1) ?? 0 };
}

/**
 * Spread of the quotients of values that were measured in the same round. Pairs are compared, and not the two
 * medians, because what disturbs the machine for a while disturbs both of a pair.
 */
export function pairedRatio(values: readonly number[], bases: readonly number[]): Spread {
  if (values.length !== bases.length) throw new RangeError("a ratio needs values in pairs");
  return spread(values.map((value, at) => value / (bases[at] ?? Number.NaN)));
}

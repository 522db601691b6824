/** From values to places of a plot, with the values that are worth a line of the grid. */
export interface Scale {
  readonly ticks: readonly number[];
  at(value: number): number;
}

/** Place of the least and of the greatest value; the first may be the greater one, as on an axis that goes up. */
export type Span = readonly [number, number];

/** From zero, or the least value where that is wanted, to a round number above the greatest. */
export function linearScale([low, high]: Span, [from, to]: Span, wanted = 4): Scale {
  const step = roundStep((high - low) / wanted);
  const first = Math.floor(low / step);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  const ticks = Array.from({ length: last - first + 1 }, (_, at) => tidy((first + at) * step));
  const [bottom, top] = [first * step, last * step];
  return { ticks, at: (value) => from + ((value - bottom) / (top - bottom)) * (to - from) };
}

/** From zero to exactly the greatest value, so that bars are as long as there is room. */
export function barScale(most: number, [from, to]: Span, wanted = 3): Scale {
  const top = most > 0 ? most : 1;
  const step = roundStep(top / wanted);
  const ticks = Array.from({ length: Math.floor(top / step) + 1 }, (_, at) => tidy(at * step));
  return { ticks, at: (value) => from + (value / top) * (to - from) };
}

/**
 * Equal quotients are equal distances. Values must be above zero. Ticks are powers of ten, with 2 and 5 between them
 * while they are few.
 */
export function logScale([low, high]: Span, [from, to]: Span): Scale {
  const decades = Math.log10(high / low);
  const factors = decades > 3 ? [1] : [1, 2, 5];
  const bottom = low;
  const top = high > low ? high : low * 10;
  const first = Math.floor(Math.log10(bottom));
  const powers = Array.from({ length: Math.ceil(Math.log10(top)) - first + 1 }, (_, at) => at);
  const ticks = powers
    .flatMap((at) => factors.map((factor) => tidy(factor * 10 ** (first + at))))
    .filter((tick) => tick >= bottom * 0.999 && tick <= top * 1.001);
  const size = Math.log(top / bottom);
  return { ticks, at: (value) => from + (Math.log(value / bottom) / size) * (to - from) };
}

/** 1, 2 or 5 times a power of ten, at least as large as asked. */
function roundStep(rough: number): number {
  const size = rough > 0 ? rough : 1;
  const power = 10 ** Math.floor(Math.log10(size));
  const factor = [1, 2, 5, 10].find((one) => one * power >= size * 0.999) ?? 10;
  return factor * power;
}

/** Without the rests of binary fractions. */
function tidy(value: number): number {
  return Number(value.toPrecision(12));
}

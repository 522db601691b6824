import type { Backend } from "../net/types.ts";

/** Weights as whole percents whose sum is 100: the largest remainders are rounded up. All zero: equal parts. */
export function toPercents(backends: readonly Backend[]): Backend[] {
  const sum = backends.reduce((total, { weight }) => total + weight, 0);
  const exact = backends.map(({ weight }) =>
    sum === 0 ? 100 / backends.length : (100 * weight) / sum,
  );
  const whole = exact.map(Math.floor);
  const rest = 100 - whole.reduce((total, one) => total + one, 0);
  const byRemainder = exact
    .map((value, at) => ({ at, remainder: value - Math.floor(value) }))
    .sort((a, b) => b.remainder - a.remainder || a.at - b.at);
  for (const { at } of byRemainder.slice(0, rest)) whole[at] = (whole[at] ?? 0) + 1;
  return backends.map(({ name }, at) => ({ name, weight: whole[at] ?? 0 }));
}

/** Gives one backend so many percent; the others share what is left as they did. */
export function setPercent(backends: readonly Backend[], name: string, percent: number): Backend[] {
  const wanted = Math.min(100, Math.max(0, Math.round(percent)));
  const others = backends.filter((one) => one.name !== name);
  if (others.length === 0) return backends.map(() => ({ name, weight: 100 }));
  const left = 100 - wanted;
  const shares = toPercents(others).map((one) => ({ ...one, weight: (one.weight * left) / 100 }));
  // Whole percents again, now of what is left.
  const scaled = left === 0 ? others.map((one) => ({ ...one, weight: 0 })) : roundTo(shares, left);
  return backends.map((one) =>
    one.name === name ? { name, weight: wanted } : scaled.find((other) => other.name === one.name)!,
  );
}

function roundTo(backends: readonly Backend[], sum: number): Backend[] {
  let carried = 0;
  let given = 0;
  return backends.map(({ name, weight }) => {
    carried += weight;
    const upTo = Math.min(sum, Math.round(carried));
    const own = upTo - given;
    given = upTo;
    return { name, weight: own };
  });
}

/** Units in which durations are written, in ms: Go's (`time.ParseDuration`) and the day. */
const UNITS_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** The longest that a timer of Node.js takes; a longer delay would fire at once. */
export const LONGEST_TIMER_MS = 2_147_483_647;

/**
 * Adds up a duration of several parts (`1m30s`), in ms. `part` is global, and finds an amount and one of the units above;
 * null where something of the text is none of its parts. The empty text has none and is 0.
 */
export function sumOfParts(text: string, part: RegExp): number | null {
  let [sum, length] = [0, 0];
  for (const [whole, amount, unit = ""] of text.matchAll(part)) {
    sum += Number(amount) * (UNITS_MS[unit] ?? Number.NaN);
    length += whole.length;
  }
  return length === text.length && Number.isFinite(sum) ? sum : null;
}

/** A duration of one part (`10s`, up to days), in ms; null for what is none. */
export function singleDuration(text: string): number | null {
  return /^\d{1,9}(?:ms|s|m|h|d)$/.test(text) ? sumOfParts(text, /(\d+)(\D+)/g) : null;
}

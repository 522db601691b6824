/** Makes the text of a time of day in ms since 1970, in UTC. */
export type FormatTime = (atMs: number) => string;

/** A conversion that is not known. `at`: its place in the format. */
export class TimeFormatError extends Error {
  readonly at: number;

  constructor(conversion: string, at: number) {
    super(`${conversion} is no conversion that a time can be written with`);
    this.name = "TimeFormatError";
    this.at = at;
  }
}

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  ...["January", "February", "March", "April", "May", "June"],
  ...["July", "August", "September", "October", "November", "December"],
];
const DAY_MS = 86_400_000;
/** Nanoseconds, of which the clock knows the first three digits. */
const MAX_DIGITS = 9;
const two = (value: number) => String(value).padStart(2, "0");
const twelve = (hour: number) => (hour % 12 === 0 ? 12 : hour % 12);

type Conversion = (date: Date) => string;

/** Those of strftime(3) that have a meaning in UTC and no locale, as absl::FormatTime has them. */
const CONVERSIONS: Readonly<Record<string, Conversion>> = {
  Y: (date) => String(date.getUTCFullYear()),
  y: (date) => two(date.getUTCFullYear() % 100),
  m: (date) => two(date.getUTCMonth() + 1),
  d: (date) => two(date.getUTCDate()),
  e: (date) => String(date.getUTCDate()).padStart(2),
  j: (date) => String(dayOfYear(date)).padStart(3, "0"),
  H: (date) => two(date.getUTCHours()),
  I: (date) => two(twelve(date.getUTCHours())),
  p: (date) => (date.getUTCHours() < 12 ? "AM" : "PM"),
  M: (date) => two(date.getUTCMinutes()),
  S: (date) => two(date.getUTCSeconds()),
  s: (date) => String(Math.floor(date.getTime() / 1_000)),
  a: (date) => (DAYS[date.getUTCDay()] ?? "").slice(0, 3),
  A: (date) => DAYS[date.getUTCDay()] ?? "",
  b: (date) => (MONTHS[date.getUTCMonth()] ?? "").slice(0, 3),
  h: (date) => (MONTHS[date.getUTCMonth()] ?? "").slice(0, 3),
  B: (date) => MONTHS[date.getUTCMonth()] ?? "",
  F: (date) => date.toISOString().slice(0, 10),
  T: (date) => date.toISOString().slice(11, 19),
  R: (date) => date.toISOString().slice(11, 16),
  D: (date) =>
    `${two(date.getUTCMonth() + 1)}/${two(date.getUTCDate())}/${two(date.getUTCFullYear() % 100)}`,
  z: () => "+0000",
  Z: () => "UTC",
  "%": () => "%",
};

function dayOfYear(date: Date): number {
  return Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / DAY_MS) + 1;
}

/** `%3f` is Envoy's, `%E3S` and `%Ez` are absl's. */
const CONVERSION = /%(?:([1-9])?f|E([1-9])S|(Ez)|(.?))/gs;

/**
 * Compiles a format of strftime(3), with Envoy's `%f` (fraction of the second; `%3f`: so many digits) and absl's `%E3S`.
 * Throws {@link TimeFormatError}.
 */
export function compileTime(format: string): FormatTime {
  const parts: Conversion[] = [];
  let end = 0;
  for (const match of format.matchAll(CONVERSION)) {
    if (match.index > end) parts.push(constant(format.slice(end, match.index)));
    parts.push(conversionOf(match));
    end = match.index + match[0].length;
  }
  if (end < format.length) parts.push(constant(format.slice(end)));
  return (atMs) => {
    const date = new Date(atMs);
    let text = "";
    for (const part of parts) text += part(date);
    return text;
  };
}

function constant(text: string): Conversion {
  return () => text;
}

function conversionOf(match: RegExpExecArray): Conversion {
  const [whole, fraction, seconds, zone, letter] = match;
  if (seconds !== undefined) {
    const digits = Number(seconds);
    return (date) => `${two(date.getUTCSeconds())}.${fractionOf(date, digits)}`;
  }
  if (zone !== undefined) return constant("+00:00");
  if (letter === undefined) {
    const digits = fraction === undefined ? MAX_DIGITS : Number(fraction);
    return (date) => fractionOf(date, digits);
  }
  const known = Object.hasOwn(CONVERSIONS, letter) ? CONVERSIONS[letter] : undefined;
  if (known === undefined) throw new TimeFormatError(whole, match.index);
  return known;
}

function fractionOf(date: Date, digits: number): string {
  const millis = String(date.getUTCMilliseconds()).padStart(3, "0");
  return millis.padEnd(MAX_DIGITS, "0").slice(0, digits);
}

import { parseGoDuration } from "../../src/registry/duration.ts";
import { UsageError } from "../lib/bench-error.ts";

/** A whole number in a range; anything else is a {@link UsageError}. */
export function wholeNumber(flag: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`${flag} takes a whole number from ${min} to ${max}, not "${text}"`);
}

/** Items with commas between, each once, in their order. */
export function list<Item>(
  flag: string,
  text: string,
  max: number,
  parse: (text: string) => Item,
): Item[] {
  const items = [...new Set(text.split(",").map((part) => parse(part.trim())))];
  if (items.length > max) throw new UsageError(`${flag} takes at most ${max} values`);
  return items;
}

/** One word of a few. */
export function word<Word extends string>(
  flag: string,
  text: string,
  words: readonly Word[],
): Word {
  const found = words.find((one) => one === text);
  if (found !== undefined) return found;
  throw new UsageError(`${flag} knows ${words.join(", ")}; not "${text}"`);
}

const FACTORS: Readonly<Record<string, number>> = { "": 1, k: 1_024, m: 1_048_576 };

/** A size in bytes, KiB (`10k`) or MiB (`1m`), in bytes. */
export function byteSize(flag: string, text: string, max: number): number {
  const [, digits = "", unit = ""] = /^(\d{1,9})([km]?)$/i.exec(text) ?? [];
  const value = digits === "" ? Number.NaN : Number(digits) * (FACTORS[unit.toLowerCase()] ?? 1);
  if (value <= max) return value;
  throw new UsageError(
    `${flag} takes sizes in bytes, KiB or MiB up to ${max / 1_048_576}m, such as 115, 10k or 1m; not "${text}"`,
  );
}

/** A duration such as `500ms`, `10s` or `1m`, in seconds. */
export function seconds(flag: string, text: string, min: number, max: number): number {
  const value = (parseGoDuration(text) ?? Number.NaN) / 1_000;
  if (value >= min && value <= max) return value;
  throw new UsageError(
    `${flag} takes a duration from ${min * 1_000}ms to ${max / 60}m, such as 500ms, 10s or 1m; not "${text}"`,
  );
}

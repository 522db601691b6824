import type { Figure } from "../model.ts";

/** What stands where a figure does not apply. */
export const NOTHING = "-";

/** A count or rate with separators: `12,345`, `7`, `12.5`. One decimal below a hundred, where it is not whole. */
export function grouped(value: number): string {
  const digits = Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : 1;
  return value.toFixed(digits).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Three figures that count, without a unit: `1,234`, `123`, `12.3`, `1.23`, `0.123`. */
export function significant(value: number): string {
  const size = Math.abs(value);
  if (size >= 100) return grouped(Math.round(value));
  if (size >= 10) return value.toFixed(1);
  if (size >= 1 || size === 0) return value.toFixed(2);
  return value.toFixed(3);
}

/** Mebibytes. */
export function mebibytes(bytes: number): string {
  return significant(bytes / 1_048_576);
}

/** The median; `-` for null. */
export function medianOf(value: Figure | null | undefined, format = significant): string {
  return value === null || value === undefined ? NOTHING : format(value.median);
}

/** Least and greatest; `-` for null. */
export function rangeOf(value: Figure | null, format = significant): string {
  return value === null ? NOTHING : `${format(value.min)} to ${format(value.max)}`;
}

/** A quotient: two decimals and the sign that says what it is. `-` for null. */
export function ratioOf(value: Figure | null): string {
  return medianOf(value, (one) => `${one.toFixed(2)}x`);
}

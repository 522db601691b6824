import { InvalidArgumentError } from "commander";

/** Parser of an option that takes a whole number in a range; anything else is wrong usage. */
export function parseNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
  };
}

/** A share from 0 to 1. */
export function parseShare(text: string): number {
  const value = Number(text);
  if (/^\d*\.?\d+$/.test(text) && value <= 1) return value;
  throw new InvalidArgumentError("Expected a number from 0 to 1, such as 0.1.");
}

/** Collects `key=value` options into one record. */
export function collectPair(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError("Expected key=value.");
  return { ...before, [text.slice(0, equals)]: text.slice(equals + 1) };
}

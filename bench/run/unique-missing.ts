import type { Missing } from "../model.ts";

/** Each once: a program that is not there is missed by every part that wanted it. */
export function uniqueMissing(missing: readonly Missing[]): Missing[] {
  return [...new Map(missing.map((one) => [`${one.name}\n${one.reason}`, one])).values()];
}

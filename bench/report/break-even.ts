/** Memory that some number of containers takes. */
export interface Held {
  readonly containers: number;
  readonly bytes: number;
}

/** From how many containers on `one` holds no more than `many`; `below` and `above` where that is outside what was measured. */
export type BreakEven =
  | { readonly kind: "at"; readonly containers: number; readonly bytes: number }
  | { readonly kind: "below" | "above"; readonly containers: number };

/**
 * Where the two lines cross, with straight lines between what was measured. null where they have less than one number of
 * containers in common.
 */
export function breakEven(one: readonly Held[], many: readonly Held[]): BreakEven | null {
  const common = one
    .flatMap(({ containers, bytes }) => {
      const other = many.find((held) => held.containers === containers);
      return other === undefined ? [] : [{ containers, bytes, more: bytes - other.bytes }];
    })
    .sort((a, b) => a.containers - b.containers);
  const [first] = common;
  const last = common.at(-1);
  if (first === undefined || last === undefined) return null;
  if (first.more <= 0) return { kind: "below", containers: first.containers };
  const at = common.findIndex(({ more }) => more <= 0);
  const [before, after] = [common[at - 1], common[at]];
  if (before === undefined || after === undefined) {
    return { kind: "above", containers: last.containers };
  }
  const share = before.more / (before.more - after.more);
  const between = (low: number, high: number) => low + share * (high - low);
  return {
    kind: "at",
    containers: between(before.containers, after.containers),
    bytes: between(before.bytes, after.bytes),
  };
}

import fc from "fast-check";

/** The same inputs in each run; `FC_SEED=123 node --test test/properties/hpack.test.ts` tries others. */
const SEED = Number(process.env["FC_SEED"] ?? 1);

/** Tries a property with that many inputs. */
export function check<T>(property: fc.IProperty<T>, numRuns: number): void {
  fc.assert(property, { numRuns, seed: SEED });
}

/** A source of uniform numbers in [0, 1). Injected wherever chance decides, so that tests can replay it. */
export type Random = () => number;

/**
 * Seedable generator: mulberry32 (Tommy Ettinger's public-domain mixer), period 2^32. Good enough to
 * spread load and to jitter; never for identifiers or secrets.
 */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

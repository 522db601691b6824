/**
 * How new a state is that was read from a cluster's API: the newest resourceVersion of each kind. Versions of one kind are
 * whole numbers that grow (KEP-5504), whichever registry read them. Empty: the state is no cluster's.
 */
export type Position = Readonly<Record<string, string>>;

const NUMBER = /^[0-9]{1,40}$/;

/** Is a state older than another in any kind? What is no number cannot be compared, and counts as equal. */
export function isBehind(own: Position, other: Position): boolean {
  return Object.entries(other).some(([kind, version]) => {
    const mine = Object.hasOwn(own, kind) ? own[kind] : undefined;
    if (mine === undefined) return true;
    if (!NUMBER.test(mine) || !NUMBER.test(version)) return false;
    return BigInt(mine) < BigInt(version);
  });
}

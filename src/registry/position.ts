/**
 * How new a state is that was read from a cluster's API: a resourceVersion for each kind. Versions of one kind are whole
 * numbers that grow (KEP-5504), whichever registry read them. Empty: the state is no cluster's. What a state holds is told
 * by its newest changes; how far a registry has come, by what it has read, which moves on (with lists and bookmarks) while
 * nothing changes, in each registry at other times. So the first of one is compared with the second of another.
 */
export type Position = Readonly<Record<string, string>>;

const NUMBER = /^[0-9]{1,40}$/;

/** Does a registry that has read up to `own` lack a change that another state holds? What is no number cannot be compared, and counts as equal. */
export function isBehind(own: Position, other: Position): boolean {
  return Object.entries(other).some(([kind, version]) => {
    const mine = Object.hasOwn(own, kind) ? own[kind] : undefined;
    if (mine === undefined) return true;
    if (!NUMBER.test(mine) || !NUMBER.test(version)) return false;
    return BigInt(mine) < BigInt(version);
  });
}

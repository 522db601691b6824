/** Seeds of the two halves: FNV-1a's offset basis, and another value so that the halves differ. */
const SEEDS = [0x811c9dc5, 0x9747b28c] as const;

/**
 * A fingerprint of a set of (key, version) pairs that does not depend on their order and changes in
 * constant time: the sum, modulo 2^32, of the FNV-1a hashes (Fowler, Noll, Vo) of its members, taken
 * twice with different seeds. Finds lost and superfluous changes; it is no defence against an attacker.
 */
export class Digest {
  #low = 0;
  #high = 0;

  add(kind: string, key: string, version: number): void {
    const text = `${kind} ${key} ${version}`;
    this.#low = (this.#low + hash(text, SEEDS[0])) >>> 0;
    this.#high = (this.#high + hash(text, SEEDS[1])) >>> 0;
  }

  remove(kind: string, key: string, version: number): void {
    const text = `${kind} ${key} ${version}`;
    this.#low = (this.#low - hash(text, SEEDS[0])) >>> 0;
    this.#high = (this.#high - hash(text, SEEDS[1])) >>> 0;
  }

  /** 16 hexadecimal digits. */
  toString(): string {
    return `${hex(this.#high)}${hex(this.#low)}`;
  }
}

function hash(text: string, seed: number): number {
  let value = seed;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  // FNV leaves the top bits of short texts poorly mixed; sums need them.
  value = Math.imul(value ^ (value >>> 15), 0x85ebca6b);
  return (value ^ (value >>> 13)) >>> 0;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}

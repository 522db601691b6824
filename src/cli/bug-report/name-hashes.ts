import { createHmac } from "node:crypto";

/** Says nothing of anybody, and stands in many places with another meaning. */
const COMMON = new Set(["", "default", "unknown", "none", "passthrough"]);
const HASH_LENGTH = 10;
/** What a name is made of, and a longer one with dots. */
const WORD = /[\w-]+(?:\.[\w-]+)*/g;

/**
 * Replaces names by hashes that are the same in every report of one mesh. `key` keeps others from trying names until a hash
 * fits; it must not be part of what is handed on.
 */
export class NameHashes {
  readonly #key: string;
  readonly #names: ReadonlySet<string>;
  readonly #hashes = new Map<string, string>();

  constructor(names: Iterable<string>, key: string) {
    this.#key = key;
    this.#names = new Set([...names].filter((name) => !COMMON.has(name)));
  }

  /** A text with all names replaced that stand alone, or between dots. */
  text(text: string): string {
    return text.replace(WORD, (word) => {
      if (this.#names.has(word)) return this.#hashOf(word);
      if (!word.includes(".")) return word;
      const parts = word.split(".");
      return parts.map((part) => (this.#names.has(part) ? this.#hashOf(part) : part)).join(".");
    });
  }

  /** Plain data with the names in its texts and in the names of its fields replaced. */
  data(value: unknown): unknown {
    if (typeof value === "string") return this.text(value);
    if (Array.isArray(value)) return value.map((each) => this.data(each));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, below]) => [this.text(name), this.data(below)]),
    );
  }

  #hashOf(name: string): string {
    let hash = this.#hashes.get(name);
    if (hash === undefined) {
      const digest = createHmac("sha256", this.#key).update(name).digest("hex");
      hash = `n-${digest.slice(0, HASH_LENGTH)}`;
      this.#hashes.set(name, hash);
    }
    return hash;
  }
}

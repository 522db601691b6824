import { ENTRY_OVERHEAD } from "./dynamic-table.ts";
import type { StaticName } from "./static-table.ts";

/** What an encoder knows of a name that it sends. */
export class SentName {
  readonly inStatic: StaticName;
  /** Shorter values are never indexed. */
  readonly secretBelow: number;
  /** Values that differ from message to message are no use in the table. */
  readonly varies: boolean;
  /** Number of the newest entry with this name, or -1. */
  entry = -1;
  /** Value of that entry. */
  value = "";
  /** Print of the value that was sent last without being put into the table. */
  print = -1;

  constructor(inStatic: StaticName, secretBelow: number, varies: boolean) {
    this.inStatic = inStatic;
    this.secretBelow = secretBelow;
    this.varies = varies;
  }
}

const FIRST_SLOTS = 8;

/**
 * The encoder's side of the dynamic table (RFC 7541 section 4). Entries are numbered as they are added, so that a name
 * remembers its newest entry and nothing is searched; here are only the sizes, to know what the peer has evicted.
 */
export class SentTable {
  #sizes: number[] = new Array(FIRST_SLOTS).fill(0);
  #names: (SentName | null)[] = new Array(FIRST_SLOTS).fill(null);
  #mask = FIRST_SLOTS - 1;
  /** Number of the oldest entry, and of the next one. */
  #oldest = 0;
  #next = 0;
  #bytes = 0;
  #version = 0;
  #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Another one whenever indices may have changed. */
  get version(): number {
    return this.#version;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** How many entries are newer than the name's, or -1 where it has none, or none any more. */
  age(name: SentName): number {
    return name.entry >= this.#oldest ? this.#next - 1 - name.entry : -1;
  }

  resize(capacity: number): void {
    this.#capacity = capacity;
    this.#version++;
    this.#evict(capacity);
  }

  /** Adds an entry, which must not be larger than the table. */
  add(name: SentName, value: string, bytes: number): void {
    this.#version++;
    this.#evict(this.#capacity - bytes);
    if (this.#next - this.#oldest > this.#mask) this.#grow();
    const slot = this.#next & this.#mask;
    this.#sizes[slot] = bytes;
    this.#names[slot] = name;
    this.#bytes += bytes;
    name.entry = this.#next++;
    name.value = value;
  }

  #evict(down: number): void {
    while (this.#bytes > down) {
      const slot = this.#oldest & this.#mask;
      const name = this.#names[slot];
      // Values are held for as long as the peer holds them.
      if (name?.entry === this.#oldest) name.value = "";
      this.#names[slot] = null;
      this.#bytes -= this.#sizes[slot]!;
      this.#oldest++;
    }
  }

  #grow(): void {
    const slots = 2 * (this.#mask + 1);
    const sizes: number[] = new Array(slots).fill(0);
    const names: (SentName | null)[] = new Array(slots).fill(null);
    for (let number = this.#oldest; number < this.#next; number++) {
      sizes[number & (slots - 1)] = this.#sizes[number & this.#mask]!;
      names[number & (slots - 1)] = this.#names[number & this.#mask]!;
    }
    this.#sizes = sizes;
    this.#names = names;
    this.#mask = slots - 1;
  }
}

/** What an entry counts (RFC 7541 section 4.1). */
export function entryBytes(name: string, value: string): number {
  return name.length + value.length + ENTRY_OVERHEAD;
}

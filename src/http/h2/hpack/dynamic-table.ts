/** What an entry counts beyond its octets (RFC 7541 section 4.1). */
export const ENTRY_OVERHEAD = 32;

const FIRST_SLOTS = 8;

/**
 * The decoder's dynamic table (RFC 7541 sections 2.3.2 and 4): a ring, whose newest entry has the lowest index. It grows
 * with what is in it, because most connections never fill theirs.
 */
export class DynamicTable {
  /** Names and values in turn; a power of two of pairs. */
  #ring: string[] = new Array(2 * FIRST_SLOTS).fill("");
  #mask = FIRST_SLOTS - 1;
  /** Slot that the next entry takes. */
  #next = 0;
  #count = 0;
  #bytes = 0;
  #capacity: number;
  #version = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get count(): number {
    return this.#count;
  }

  /** Another one whenever what an index refers to may have changed. */
  get version(): number {
    return this.#version;
  }

  /** Most that the entries may count together, as the encoder last set it. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Name of the entry that is so many behind the newest one, which must be below `count`. */
  name(age: number): string {
    return this.#ring[2 * ((this.#next - 1 - age) & this.#mask)]!;
  }

  value(age: number): string {
    return this.#ring[2 * ((this.#next - 1 - age) & this.#mask) + 1]!;
  }

  /** Evicts the oldest entries down to the new size (RFC 7541 section 4.3). */
  resize(capacity: number): void {
    this.#capacity = capacity;
    this.#version++;
    this.#evict(capacity);
  }

  /** Adds an entry and evicts what it displaces: all, where it is larger than the table (RFC 7541 section 4.4). */
  add(name: string, value: string): void {
    const bytes = name.length + value.length + ENTRY_OVERHEAD;
    this.#version++;
    this.#evict(this.#capacity - bytes);
    if (bytes > this.#capacity) return;
    if (this.#count > this.#mask) this.#grow();
    const slot = 2 * (this.#next & this.#mask);
    this.#ring[slot] = name;
    this.#ring[slot + 1] = value;
    this.#next = (this.#next + 1) & this.#mask;
    this.#count++;
    this.#bytes += bytes;
  }

  #evict(down: number): void {
    while (this.#bytes > down && this.#count > 0) {
      const slot = 2 * ((this.#next - this.#count) & this.#mask);
      const ring = this.#ring;
      this.#bytes -= ring[slot]!.length + ring[slot + 1]!.length + ENTRY_OVERHEAD;
      ring[slot] = "";
      ring[slot + 1] = "";
      this.#count--;
    }
  }

  #grow(): void {
    const slots = 2 * (this.#mask + 1);
    const ring: string[] = new Array(2 * slots).fill("");
    for (let age = 0; age < this.#count; age++) {
      const slot = 2 * (this.#count - 1 - age);
      ring[slot] = this.name(age);
      ring[slot + 1] = this.value(age);
    }
    this.#ring = ring;
    this.#mask = slots - 1;
    this.#next = this.#count;
  }
}

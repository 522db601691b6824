import { OTHER_SLOT, type SlotTable, type TableName } from "./slot-table.ts";

/** Which labels a slot stands for; what a worker tells the main thread once, when it allots the slot. */
export interface SeriesLabel {
  readonly table: TableName;
  readonly slot: number;
  readonly generation: number;
  /** In the order of the table's label names. */
  readonly labels: readonly string[];
}

/** One label set as the worker holds it, next to the object that it was made from. */
export interface Handle {
  slot: number;
  generation: number;
  /** Index of the slot's first word. */
  base: number;
  /** Number of releases when the slot was last found to be right. */
  releases: number;
  readonly key: string;
  readonly labels: readonly string[];
}

/**
 * Hands out the slots of one table within one worker. Most of it happens once per label set, and `base` once more
 * whenever the main thread has released slots of the table, which `releases` tells.
 */
export class SlotAllotter {
  readonly #table: SlotTable;
  readonly #onSeries: (label: SeriesLabel) => void;
  readonly #free: number[] = [];
  readonly #slotOfKey = new Map<string, number>();
  readonly #keyOfSlot = new Map<number, string>();
  #scannedAt: number;

  constructor(
    table: SlotTable,
    known: readonly SeriesLabel[],
    onSeries: (label: SeriesLabel) => void,
  ) {
    this.#table = table;
    this.#onSeries = onSeries;
    this.#scannedAt = Atomics.load(table.releases, 0);
    table.generations[OTHER_SLOT] = 1;
    for (const label of known) {
      if (label.table !== table.shape.name || this.#isReleased(label.slot)) continue;
      if (label.generation !== table.generations[label.slot]) continue;
      this.#remember(label.slot, keyOf(label.labels));
    }
    // A slot that a dead worker allotted without being heard is free again, too.
    for (let slot = table.capacity - 1; slot > OTHER_SLOT; slot -= 1) {
      if (!this.#keyOfSlot.has(slot)) this.#free.push(slot);
    }
  }

  /** A handle for these labels; the same labels always share one slot. */
  handle(labels: readonly string[]): Handle {
    const handle = { slot: 0, generation: 0, base: 0, releases: 0, key: keyOf(labels), labels };
    this.#renew(handle);
    return handle;
  }

  /** How often slots were released so far. As long as it stays the same, every base holds. */
  get releases(): number {
    return this.#table.releases[0] ?? 0;
  }

  /** Index of the handle's first word, valid until slots are released. Allocates nothing. */
  base(handle: Handle): number {
    const table = this.#table;
    const releases = table.releases[0] ?? 0;
    if (releases !== handle.releases) {
      // Other labels may have had the slot since, and may even have left it again.
      const isOurs = table.generations[handle.slot] === handle.generation;
      if (!isOurs || this.#isReleased(handle.slot) || handle.slot === OTHER_SLOT) {
        this.#renew(handle);
      }
      handle.releases = releases;
    }
    return handle.base;
  }

  /** To be called for each use of a base: notes those of a label set that found the table full. */
  use(base: number): void {
    // OTHER_SLOT is the first one.
    if (base === 0) this.#table.folded[0] = (this.#table.folded[0] ?? 0) + 1;
  }

  #renew(handle: Handle): void {
    const table = this.#table;
    handle.releases = Atomics.load(table.releases, 0);
    handle.slot = this.#live(handle.key) ?? this.#allot(handle);
    handle.generation = table.generations[handle.slot] ?? 0;
    handle.base = handle.slot * table.shape.words;
  }

  #live(key: string): number | undefined {
    const slot = this.#slotOfKey.get(key);
    return slot === undefined || this.#isReleased(slot) ? undefined : slot;
  }

  #allot(handle: Handle): number {
    if (this.#free.length === 0) this.#reclaim(handle.releases);
    const slot = this.#free.pop();
    if (slot === undefined) return OTHER_SLOT;
    const table = this.#table;
    const words = table.shape.words;
    table.words.fill(0, slot * words, (slot + 1) * words);
    const generation = (table.generations[slot] ?? 0) + 1;
    Atomics.store(table.generations, slot, generation);
    this.#remember(slot, handle.key);
    this.#onSeries({ table: table.shape.name, slot, generation, labels: handle.labels });
    return slot;
  }

  /** Collects the slots that the main thread has released, once per change of their number. */
  #reclaim(releases: number): void {
    if (releases === this.#scannedAt) return;
    this.#scannedAt = releases;
    for (const [slot, key] of this.#keyOfSlot) {
      if (!this.#isReleased(slot)) continue;
      this.#keyOfSlot.delete(slot);
      if (this.#slotOfKey.get(key) === slot) this.#slotOfKey.delete(key);
      this.#free.push(slot);
    }
  }

  #remember(slot: number, key: string): void {
    this.#slotOfKey.set(key, slot);
    this.#keyOfSlot.set(slot, key);
  }

  #isReleased(slot: number): boolean {
    return Atomics.load(this.#table.released, slot) === this.#table.generations[slot];
  }
}

/** Label values may hold anything but NUL, which no name of the mesh contains. */
function keyOf(labels: readonly string[]): string {
  return labels.join("\0");
}

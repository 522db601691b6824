/** A power of two. */
const SLOTS = 4;
/** Longer blocks are not kept: those that repeat are mostly short. */
const MAX_BYTES = 192;

/** What a block became. */
export interface KnownBlock {
  readonly fields: readonly string[];
  /** Names and values in turn that it put into the table. */
  readonly added: readonly string[];
  /** The state of the table on which it rests; -1: it refers to no entry. */
  readonly version: number;
}

interface Slot {
  /** Of the block that came last, so that only what comes twice is kept. */
  print: number;
  bytes: Buffer | null;
  length: number;
  known: KnownBlock | null;
}

/**
 * Field blocks of one connection that came before. Programs repeat their heads, and a block of the same octets means the
 * same fields while the table is as it was, or always, where it refers to none of the table's entries (RFC 7541 section
 * 3.2): it need not be decoded, nor what it became be checked and read again. Costs a connection next to nothing before a
 * block has come a second time.
 */
export class BlockMemory {
  readonly #slots: (Slot | null)[] = new Array<Slot | null>(SLOTS).fill(null);

  /** `version` tells states of the table apart. */
  find(block: Buffer, start: number, end: number, version: number): KnownBlock | null {
    const length = end - start;
    const slot = this.#slots[slotOf(block, start, end)]!;
    if (slot === null || slot.length !== length) return null;
    const known = slot.known as KnownBlock;
    if (known.version !== -1 && known.version !== version) return null;
    const bytes = slot.bytes as Buffer;
    for (let of = 0; of < length; of++) if (bytes[of] !== block[start + of]) return null;
    return known;
  }

  /** Takes note of a block, and keeps what it became where it has come before. */
  note(block: Buffer, start: number, end: number, known: KnownBlock): void {
    const length = end - start;
    if (length > MAX_BYTES) return;
    const at = slotOf(block, start, end);
    this.#slots[at] ??= { print: -1, bytes: null, length: -1, known: null };
    const slot = this.#slots[at];
    const print = printOf(block, start, end);
    if (print !== slot.print) {
      slot.print = print;
      return;
    }
    slot.bytes ??= Buffer.allocUnsafeSlow(MAX_BYTES);
    block.copy(slot.bytes, 0, start, end);
    slot.length = length;
    slot.known = known;
  }
}

function slotOf(block: Buffer, start: number, end: number): number {
  return (end - start + (block[end - 1] ?? 0)) & (SLOTS - 1);
}

function printOf(block: Buffer, start: number, end: number): number {
  let print = end - start;
  for (let at = start; at < end; at++) print = (Math.imul(print, 31) + block[at]!) & 0x3fff_ffff;
  return print;
}

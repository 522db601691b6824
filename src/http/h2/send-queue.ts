import type { Share } from "../../core/share.ts";
import { COPY_BYTES, copyBuffers } from "../buffers.ts";

/** From this size on a copy has a buffer of the pool, which then is half used at least. */
const POOLED_BYTES = COPY_BYTES / 2;

/** A piece of what waits: `buffer[at, end)`. */
interface Piece {
  readonly buffer: Buffer;
  at: number;
  readonly end: number;
  readonly isPooled: boolean;
}

/** Copies of what a stream could not send at once, in order; they count as memory of the connection's source. */
export class SendQueue {
  readonly #share: Share | null;
  readonly #pieces: Piece[] = [];
  #bytes = 0;

  constructor(share: Share | null) {
    this.#share = share;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Copies `chunk[start, end)`. */
  push(chunk: Buffer, start: number, end: number): void {
    const size = end - start;
    if (size === 0) return;
    const isPooled = size >= POOLED_BYTES && size <= COPY_BYTES;
    const buffer = isPooled ? copyBuffers.take() : Buffer.allocUnsafe(size);
    chunk.copy(buffer, 0, start, end);
    this.#pieces.push({ buffer, at: 0, end: size, isPooled });
    this.#count(size);
  }

  /** The first piece; there must be one. */
  peek(): Readonly<Piece> {
    return this.#pieces[0] as Piece;
  }

  /** Drops `size` bytes of the first piece, which have been copied. */
  take(size: number): void {
    const piece = this.#pieces[0] as Piece;
    piece.at += size;
    if (piece.at === piece.end) this.#giveBack(this.#pieces.shift() as Piece);
    this.#count(-size);
  }

  clear(): void {
    for (const piece of this.#pieces) this.#giveBack(piece);
    this.#pieces.length = 0;
    this.#count(-this.#bytes);
  }

  #giveBack({ buffer, isPooled }: Piece): void {
    if (isPooled) copyBuffers.give(buffer);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#share?.keep(bytes);
  }
}

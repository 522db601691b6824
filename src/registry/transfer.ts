import type { Position } from "./position.ts";
import { publish, type StoredRecord, type VersionedChange } from "./records.ts";

/** A part is closed when it has so many characters or records, whichever comes first. */
const PART_CHARACTERS = 262_144;
const PART_RECORDS = 1_000;

/**
 * One step from a revision to another, encoded at most once however many daemons take it, and part by
 * part as they are sent, so that a large one is neither one message nor one long stall.
 */
export class Transfer {
  readonly from: number;
  readonly to: number;
  readonly full: boolean;
  readonly #position: Position;
  readonly #changes: readonly (StoredRecord | VersionedChange)[];
  readonly #parts: Buffer[] = [];
  #next = 0;
  #complete = false;

  constructor(
    step: { readonly from: number; readonly to: number; readonly full: boolean },
    changes: readonly (StoredRecord | VersionedChange)[],
    position: Position = {},
  ) {
    this.#position = position;
    this.from = step.from;
    this.to = step.to;
    this.full = step.full;
    this.#changes = changes;
  }

  /** The given part; undefined after the last. A step without changes has one empty part. */
  part(index: number): Buffer | undefined {
    while (this.#parts.length <= index && !this.#complete) this.#encodeNext();
    return this.#parts[index];
  }

  #encodeNext(): void {
    const texts: string[] = [];
    let size = 0;
    while (this.#next < this.#changes.length && size < PART_CHARACTERS) {
      if (texts.length === PART_RECORDS) break;
      const change = this.#changes[this.#next++];
      const published = change !== undefined && "revision" in change ? publish(change) : change;
      if (published === null || published === undefined) continue;
      const text = JSON.stringify(published);
      texts.push(text);
      size += text.length;
    }
    this.#complete = this.#next >= this.#changes.length;
    const head = { type: "update", from: this.from, to: this.to, full: this.full };
    const place = { part: this.#parts.length, last: this.#complete };
    const tellsPosition = this.#complete && Object.keys(this.#position).length > 0;
    const position = tellsPosition ? { position: this.#position } : {};
    const envelope = JSON.stringify({ ...head, ...place, ...position });
    this.#parts.push(Buffer.from(`${envelope.slice(0, -1)},"changes":[${texts.join(",")}]}`));
  }
}

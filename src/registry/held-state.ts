import { Digest } from "./digest.ts";
import type { Position } from "./position.ts";
import type { UpdatePart } from "./protocol.ts";
import type { VersionedChange } from "./records.ts";

/** A whole step: all of its parts. */
export interface Step {
  readonly from: number;
  readonly to: number;
  readonly full: boolean;
  readonly changes: readonly VersionedChange[];
  /** What the state is made of once the step is taken. */
  readonly position?: Position;
}

/** Puts the parts of a step together. Nothing of a step is seen before its last part is there. */
export class StepAssembler {
  #begun: { readonly from: number; readonly to: number; readonly full: boolean } | null = null;
  #parts = 0;
  #changes: VersionedChange[] = [];

  /** The step, when this part was its last; else null. Throws where a part is missing or out of place. */
  add(part: UpdatePart): Step | null {
    const { from, to, full } = part;
    if (part.part === 0) {
      this.#begun = { from, to, full };
      this.#parts = 0;
      this.#changes = [];
    }
    const begun = this.#begun;
    const fits = begun?.from === from && begun.to === to && begun.full === full;
    if (!fits || part.part !== this.#parts) {
      this.reset();
      throw new Error(`part ${part.part} of the step ${from} to ${to} is out of place`);
    }
    this.#parts++;
    for (const change of part.changes) this.#changes.push(change);
    if (!part.last) return null;
    const { position = {} } = part;
    const step = { from, to, full, changes: this.#changes, position };
    this.reset();
    return step;
  }

  reset(): void {
    this.#begun = null;
    this.#parts = 0;
    this.#changes = [];
  }
}

/** The records that a daemon holds, at one revision of one store. */
export class HeldState {
  #epoch = "";
  #revision = 0;
  #position: Position = {};
  #records = new Map<string, VersionedChange>();
  #digest = new Digest();

  epoch(): string {
    return this.#epoch;
  }

  /** 0: nothing yet. */
  revision(): number {
    return this.#revision;
  }

  position(): Position {
    return this.#position;
  }

  digest(): string {
    return this.#digest.toString();
  }

  size(): number {
    return this.#records.size;
  }

  /** Every record at this moment; later steps do not touch the array. */
  records(): VersionedChange[] {
    return [...this.#records.values()];
  }

  take(step: Step, epoch: string): void {
    if (step.full) {
      this.#records = new Map();
      this.#digest = new Digest();
    }
    for (const change of step.changes) {
      const key = `${change.kind} ${change.key}`;
      const before = this.#records.get(key);
      if (before !== undefined) this.#digest.remove(before.kind, before.key, before.version);
      if (change.value === null) {
        this.#records.delete(key);
        continue;
      }
      this.#records.set(key, change);
      this.#digest.add(change.kind, change.key, change.version);
    }
    this.#revision = step.to;
    this.#position = step.position ?? {};
    this.#epoch = epoch;
  }
}

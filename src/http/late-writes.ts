/** Something that holds a text back until the end of the turn. */
export interface LateWriter {
  /** Hands the text to the kernel, unless that has happened meanwhile. */
  flush(): void;
}

/** So many wait at most: the first of a long turn must not wait for all that is read in it. */
const MOST = 32;

/** After so many turns with a single writer nothing is held back any more, */
const LONELY_TURNS = 8;
/** but for one text in so many, which finds out whether there is company again. */
const TRIAL = 64;

/**
 * Writes of one turn of the event loop are done together behind its reads. A peer that sleeps is then woken once for all
 * of them, and not for each anew, as it is when it finds no more than one message whenever it wakes; and the code of
 * reading and that of writing do not drive each other out of the processor's caches. Costs no system call:
 * `setImmediate` runs in the same turn. Where hardly anything happens at once there is nothing to be won by it, and
 * texts go out as they come.
 */
export class LateWrites {
  readonly #waiting: (LateWriter | null)[] = new Array(MOST).fill(null);
  #count = 0;
  #armed = false;
  /** Turns in a row in which one writer was alone. */
  #lonely = 0;
  #direct = 0;

  /** Should the next text be held back? */
  mayWait(): boolean {
    if (this.#lonely < LONELY_TURNS) return true;
    this.#direct += 1;
    if (this.#direct < TRIAL) return false;
    this.#direct = 0;
    this.#lonely = LONELY_TURNS - 1;
    return true;
  }

  /** Has the writer flushed soon, once. */
  add(writer: LateWriter): void {
    this.#waiting[this.#count++] = writer;
    if (this.#count === MOST) {
      this.#lonely = 0;
      this.#flush();
    } else if (!this.#armed) {
      this.#armed = true;
      setImmediate(this.#onTurnEnd);
    }
  }

  readonly #onTurnEnd = (): void => {
    this.#armed = false;
    this.#lonely = this.#count > 1 ? 0 : this.#lonely + 1;
    this.#flush();
  };

  #flush(): void {
    const waiting = this.#waiting;
    const count = this.#count;
    this.#count = 0;
    for (let at = 0; at < count; at++) {
      const writer = waiting[at] as LateWriter;
      waiting[at] = null;
      writer.flush();
    }
  }
}

/** Of this thread. */
export const lateWrites = new LateWrites();

/** A connection of many requests, whose frames wait to leave together. */
export interface GatheredWriter {
  /** Is there as much as one write should have? Then more waiting wins nothing. */
  readonly isFull: boolean;
  /** The waiting is over: what is gathered goes to the kernel. */
  onGathered(): void;
}

/** So many turns of the event loop gather at most, */
const MOST_TURNS = 5;
/** and for no longer than this, in ms: turns in which much is done are long. */
const MOST_MS = 0.5;

/**
 * Writes of connections that carry many requests at once, gathered over some turns of the event loop for as long as each
 * brings more. Under load a proxy is otherwise caught in small steps: what it writes after each turn has its peers answer
 * with as little, and the system call, which costs more than the request, is made for two or three of them. A turn that
 * brings nothing more ends the waiting, so that without load a frame leaves in the turn that made it.
 */
export class GatheredWrites {
  readonly #nowMs: () => number;
  readonly #defer: (action: () => void) => void;
  #waiting: GatheredWriter[] = [];
  #isArmed = false;
  #turns = 0;
  #sinceMs = 0;
  #hasNews = false;

  /** `defer` calls back behind the reads of this turn, or of the next one where it is called from there. */
  constructor(nowMs: () => number, defer: (action: () => void) => void) {
    this.#nowMs = nowMs;
    this.#defer = defer;
  }

  /** A frame has come to others that wait. */
  note(): void {
    this.#hasNews = true;
  }

  /** Calls the writer soon, once. */
  add(writer: GatheredWriter): void {
    this.#waiting.push(writer);
    if (this.#isArmed) {
      this.#hasNews = true;
      return;
    }
    this.#isArmed = true;
    this.#hasNews = false;
    this.#turns = 0;
    this.#sinceMs = this.#nowMs();
    this.#defer(this.#onTurnEnd);
  }

  readonly #onTurnEnd = (): void => {
    this.#turns += 1;
    const mayWait = this.#turns < MOST_TURNS && this.#nowMs() - this.#sinceMs < MOST_MS;
    const waits = this.#hasNews && mayWait;
    this.#hasNews = false;
    const all = this.#waiting;
    // Decided once for each: what one writes may fill or empty another.
    const ready = waits ? all.filter(({ isFull }) => isFull) : all;
    this.#waiting = waits ? all.filter((writer) => !ready.includes(writer)) : [];
    this.#isArmed = this.#waiting.length > 0;
    if (this.#isArmed) this.#defer(this.#onTurnEnd);
    for (const writer of ready) writer.onGathered();
  };
}

/** Of this thread. */
export const gatheredWrites = new GatheredWrites(
  () => performance.now(),
  (action) => setImmediate(action),
);

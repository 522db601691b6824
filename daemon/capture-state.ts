/** What a generation knows of the guardian's rules, and how it has them taken out of the way. */
export class CaptureState {
  readonly #ask: () => void;
  readonly #ended = Promise.withResolvers<void>();
  #active = false;
  #released = false;

  /** @param ask tells the guardian to give the capture back; it answers by `set(false)`. */
  constructor(ask: () => void) {
    this.#ask = ask;
  }

  /** Are connections captured? */
  get active(): boolean {
    return this.#active;
  }

  /** Has the capture been given back? It is not taken up again: the daemon is about to stop. */
  get released(): boolean {
    return this.#released;
  }

  /** @param released whether it was given back for good, by whichever generation that was asked of. */
  set(active: boolean, released: boolean): void {
    this.#active = active;
    this.#released ||= released;
    if (this.#released && !active) this.#ended.resolve();
  }

  /** Resolves when new connections go direct; at once where nothing is captured. */
  release(): Promise<void> {
    if (!this.#released) {
      this.#released = true;
      if (!this.#active) this.#ended.resolve();
      // Also where nothing is captured at this moment: it must not begin again.
      this.#ask();
    }
    return this.#ended.promise;
  }
}

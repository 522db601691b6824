/** How often it is looked again whether the limit, which others share, allows one more connection. */
const RETRY_MS = 10;

/**
 * For a pool that may not open a connection, because all that share the limit have reached it: idle ones are asked to give
 * way, and no event of the pool's own tells when another pool's is closed.
 */
export class RoomWatch {
  readonly #makeRoom: () => void;
  readonly #retry: () => void;
  #timer: NodeJS.Timeout | null = null;

  constructor(makeRoom: () => void, retry: () => void) {
    this.#makeRoom = makeRoom;
    this.#retry = retry;
  }

  /** Has `retry` called soon, once. */
  begin(): void {
    if (this.#timer !== null) return;
    this.#makeRoom();
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#retry();
    }, RETRY_MS);
    this.#timer.unref();
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}

import { readFile } from "node:fs/promises";
import type { Timers } from "../../registry/timers.ts";

/** How often a file is read again. */
const LOOK_MS = 5_000;

/** The texts of some files, read again while the registry runs: certificates are renewed, users come and go. */
export class FollowedFiles {
  readonly #paths: readonly string[];
  readonly #onChange: (texts: readonly string[]) => void;
  readonly #onError: (error: unknown) => void;
  readonly #timers: Timers;
  #known = "";
  /** What failed last, so that it is told once. */
  #failure = "";
  #cancel: () => void = () => undefined;
  #isClosed = false;

  constructor(
    paths: readonly string[],
    parts: {
      readonly timers: Timers;
      /** With the texts in the order of the paths; what it throws goes to `onError`, and the old state stays. */
      onChange(texts: readonly string[]): void;
      onError(error: unknown): void;
    },
  ) {
    this.#paths = paths;
    this.#timers = parts.timers;
    this.#onChange = (texts) => parts.onChange(texts);
    this.#onError = (error) => parts.onError(error);
  }

  /** Reads them for the first time, and follows them from then on. Rejects where they cannot be read or are bad. */
  async start(): Promise<void> {
    await this.#look();
    this.#wait();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  #wait(): void {
    if (this.#isClosed) return;
    this.#cancel = this.#timers.after(LOOK_MS, () => {
      this.#look()
        .then(() => {
          this.#failure = "";
        })
        .catch((error: unknown) => {
          const failure = String(error);
          if (failure !== this.#failure) this.#onError(error);
          this.#failure = failure;
        })
        .finally(() => this.#wait());
    });
  }

  async #look(): Promise<void> {
    const texts = await Promise.all(this.#paths.map((path) => readFile(path, "utf8")));
    const all = texts.join("\0");
    if (this.#isClosed || all === this.#known) return;
    this.#onChange(texts);
    this.#known = all;
  }
}

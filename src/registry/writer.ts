import { setImmediate as nextTurn } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { type Clock, processClock } from "../core/clock.ts";
import type { Catalog } from "./catalog.ts";
import { type CommitFigures, CommitTimes } from "./commit-times.ts";
import { Draft } from "./draft.ts";
import type { Write } from "./records.ts";
import { RegistryError } from "./registry-error.ts";
import { StaleRevisionError, type Store } from "./store.ts";

/** Mutations that share one commit, at most. */
const MAX_BATCH = 256;
/** Mutations that wait, at most; beyond it 503. */
const MAX_WAITING = 10_000;
/** How often a batch is planned anew because another registry wrote in between: among a few, each has its turn soon. */
const MAX_ATTEMPTS = 100;

/** A mutation: reads and writes the draft, at once and without side effects, since it may run again. */
export type Plan<T> = (draft: Draft) => T;

export interface Written<T> {
  readonly result: T;
  readonly revision: number;
}

interface Waiting {
  readonly plan: Plan<unknown>;
  settle(outcome: { written: Written<unknown> } | { error: unknown }): void;
}

/**
 * The only way to change the store. Mutations run one after the other against the newest state; those
 * that arrive together share one commit, hence one sync of the disk. One that throws is refused alone.
 */
export class Writer {
  readonly #store: Store;
  readonly #catalog: Catalog;
  readonly #times: CommitTimes;
  #waiting: Waiting[] = [];
  #running: Promise<void> | null = null;
  #closed = false;

  constructor(store: Store, catalog: Catalog, clock: Clock = processClock) {
    this.#store = store;
    this.#catalog = catalog;
    this.#times = new CommitTimes(clock);
  }

  /** Resolves when the change is durable and visible. Rejects with what `plan` throws, or with 503. */
  run<T>(plan: Plan<T>): Promise<Written<T>> {
    if (this.#closed) return Promise.reject(new RegistryError(503, "the registry is closing"));
    if (this.#waiting.length >= MAX_WAITING) {
      return Promise.reject(new RegistryError(503, "too many writes are waiting"));
    }
    return new Promise<Written<T>>((resolve, reject) => {
      this.#waiting.push({
        plan,
        settle: (outcome) =>
          "error" in outcome ? reject(outcome.error) : resolve(outcome.written as Written<T>),
      });
      this.#running ??= this.#drain();
    });
  }

  /** Resolves when what any registry acknowledged before the call is known here. Rejects with 503. */
  async refresh(): Promise<void> {
    try {
      await this.#store.refresh?.();
    } catch (cause) {
      throw new RegistryError(503, "the store does not answer", undefined, cause);
    }
  }

  commits(): CommitFigures {
    return this.#times.figures();
  }

  /** Ends when everything that was accepted is written. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  async #drain(): Promise<void> {
    // One turn, so that requests read in the same turn join the first batch.
    await nextTurn();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, MAX_BATCH);
      this.#waiting = this.#waiting.slice(MAX_BATCH);
      await this.#commit(batch);
    }
    this.#running = null;
  }

  async #commit(batch: readonly Waiting[]): Promise<void> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      if (await this.#attempt(batch, attempt === MAX_ATTEMPTS)) return;
    }
  }

  /** False: another registry wrote in between, and nobody was told anything yet. */
  async #attempt(batch: readonly Waiting[], isLast: boolean): Promise<boolean> {
    const base = this.#catalog.revision();
    const { planned, refused, writes } = this.#plan(batch);
    try {
      if (writes.length === 0 && !(await this.#isNewest(base)) && !isLast) return false;
      const revision = writes.length === 0 ? base : await this.#write(writes, base);
      for (const [waiting, result] of planned) waiting.settle({ written: { result, revision } });
    } catch (cause) {
      if (cause instanceof StaleRevisionError && !isLast) return false;
      this.#times.failed();
      const error = new RegistryError(503, "the store did not take the write", undefined, cause);
      for (const [waiting] of planned) waiting.settle({ error });
    }
    for (const [waiting, error] of refused) waiting.settle({ error });
    return true;
  }

  /** That there is nothing to write, or a reason to refuse, holds only if it was found in the newest state. */
  async #isNewest(base: number): Promise<boolean> {
    await this.#store.refresh?.();
    return this.#catalog.revision() === base;
  }

  async #write(writes: readonly Write[], base: number): Promise<number> {
    return (await this.#times.measure(() => this.#store.commit(writes, base))).revision;
  }

  #plan(batch: readonly Waiting[]) {
    const draft = new Draft(this.#catalog);
    const planned: [Waiting, unknown][] = [];
    const refused: [Waiting, unknown][] = [];
    for (const waiting of batch) {
      const own = new Draft(draft);
      try {
        planned.push([waiting, waiting.plan(own)]);
        draft.absorb(own);
      } catch (error) {
        refused.push([waiting, error]);
      }
    }
    return { planned, refused, writes: draft.writes().filter((write) => this.#changes(write)) };
  }

  /** Registering the same thing again is no change, and wakes nobody. */
  #changes({ kind, key, value }: Write): boolean {
    const present = this.#catalog.get(kind, key);
    return value === null ? present !== undefined : !isDeepStrictEqual(present, value);
  }
}

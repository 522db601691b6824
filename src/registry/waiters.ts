import type { Random } from "../core/random.ts";
import type { Catalog } from "./catalog.ts";
import { RegistryError } from "./registry-error.ts";
import type { Timers } from "./timers.ts";

/** Consul's default and cap of a blocking query, and the share of the wait that is added as jitter. */
const DEFAULT_WAIT_MS = 300_000;
const MAX_WAIT_MS = 600_000;
const JITTER_SHARE = 1 / 16;
/** Services of which the last change is remembered. */
const MAX_REMEMBERED = 50_000;

export interface WaitersOptions {
  readonly catalog: Catalog;
  readonly timers: Timers;
  readonly random: Random;
  /** Queries that may wait at once; beyond it 429. */
  readonly maxWaiting: number;
}

/**
 * Consul's blocking queries. The index of every answer is the store's revision, which never falls; a
 * query waits while its own topic has not changed after the index it brings, so that unrelated changes
 * do not wake it. Topics are service keys, and `null` for the list of services.
 */
export class Waiters {
  readonly #options: WaitersOptions;
  readonly #waiting = new Map<string | null, Set<() => void>>();
  readonly #changed = new Map<string | null, number>();
  /** No topic is held to be unchanged since before this: what happened earlier is not remembered. */
  #floor: number;
  #count = 0;

  constructor(options: WaitersOptions) {
    this.#options = options;
    this.#floor = options.catalog.revision();
    options.catalog.subscribe(({ services, revision }) => {
      if (services.size === 0) return;
      if (this.#changed.size > MAX_REMEMBERED) {
        this.#changed.clear();
        this.#floor = revision;
      }
      for (const topic of [...services, null]) {
        this.#changed.set(topic, revision);
        for (const wake of [...(this.#waiting.get(topic) ?? [])]) wake();
      }
    });
  }

  waiting(): number {
    return this.#count;
  }

  /**
   * Resolves when the topic changed after `index`, at once where it already has or where the index is
   * one that we never gave, or when the wait is over or the client gone. Throws 429 over the limit.
   */
  async wait(
    topic: string | null,
    index: number,
    waitMs: number,
    gone: AbortSignal,
  ): Promise<void> {
    const { catalog, timers, random, maxWaiting } = this.#options;
    const last = Math.max(this.#floor, this.#changed.get(topic) ?? 0);
    if (index < 1 || index > catalog.revision() || index < last || gone.aborted) return;
    if (this.#count >= maxWaiting) throw new RegistryError(429, "too many blocking queries");
    const bounded = Math.min(waitMs === 0 ? DEFAULT_WAIT_MS : waitMs, MAX_WAIT_MS);
    this.#count++;
    const group = this.#waiting.get(topic) ?? new Set();
    this.#waiting.set(topic, group);
    await new Promise<void>((resolve) => {
      const done = () => {
        cancel();
        gone.removeEventListener("abort", done);
        group.delete(done);
        if (group.size === 0) this.#waiting.delete(topic);
        this.#count--;
        resolve();
      };
      const cancel = timers.after(bounded + random() * bounded * JITTER_SHARE, done);
      gone.addEventListener("abort", done);
      group.add(done);
    });
  }
}

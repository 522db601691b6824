import type { Random } from "../../core/random.ts";
import type { Log } from "../log.ts";
import type { Timers } from "../timers.ts";
import type { EtcdClient } from "./etcd-client.ts";
import { manyKeys, type WatchEvent } from "./etcd-messages.ts";

/** Between two tries, doubled up to the longest and shortened at random. */
const RETRY_MS = 100;
const LONGEST_RETRY_MS = 2_000;

export interface FollowerOptions {
  readonly client: EtcdClient;
  /** Beginning of the keys that are followed. */
  readonly prefix: string;
  /** What it is, for the log. */
  readonly what: string;
  readonly pollMs: number;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  /** Reads what is new; `revision`: of etcd's, as of which that was; `found`: was there anything. */
  read(): Promise<{ readonly revision: number; readonly found: boolean }>;
  /** A watch begins; what happened since the last one and was written over is known to nobody here. */
  began?(): void;
  /** Takes what the watch brings, in order. */
  take(events: readonly WatchEvent[]): Promise<void>;
}

export interface FollowerState {
  readonly reachable: boolean;
  readonly lastError: string | null;
}

/**
 * Follows keys in etcd whatever happens to its members: reads what is new, watches from there on, and begins anew when the
 * watch ends. It never needs etcd's own history. A watch that has died without a word is found out by reading now and then.
 */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #closed = new AbortController();
  /** Ends the watch of now. */
  #watch = new AbortController();
  #state: FollowerState = { reachable: true, lastError: null };
  #running: Promise<void> = Promise.resolve();
  #cancelPoll: () => void = () => {};
  #polls = 0;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
    this.#armPoll();
  }

  state(): FollowerState {
    return this.#state;
  }

  /** Resolves when nothing more will be taken. */
  async close(): Promise<void> {
    this.#closed.abort();
    this.#watch.abort();
    this.#cancelPoll();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { random } = this.#options;
    for (let failures = 0; !this.#closed.signal.aborted; ) {
      try {
        await this.#follow(() => {
          failures = 0;
        });
      } catch (error) {
        if (this.#closed.signal.aborted) return;
        this.#note(error);
        const longest = Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** Math.min(failures, 10));
        failures++;
        await this.#pause(longest * (0.5 + random() / 2));
      }
    }
  }

  /** From one read to the end of the watch after it. */
  async #follow(succeeded: () => void): Promise<void> {
    const { client, prefix } = this.#options;
    this.#watch = new AbortController();
    const { signal } = this.#watch;
    const { revision } = await this.#options.read();
    this.#note(null);
    succeeded();
    this.#options.began?.();
    let taking: Promise<void> = Promise.resolve();
    let failure: unknown = null;
    const take = (events: readonly WatchEvent[]) => {
      taking = taking
        .then(() => (failure === null ? this.#options.take(events) : undefined))
        .catch((error: unknown) => {
          failure = error;
          this.#watch.abort();
        });
    };
    try {
      await client.watch(manyKeys(prefix), revision + 1, take, signal);
    } finally {
      await taking;
    }
    if (failure !== null) throw failure;
  }

  #armPoll(): void {
    const { timers, pollMs } = this.#options;
    this.#cancelPoll = timers.after(pollMs, () => {
      this.#poll()
        .catch((error: unknown) => this.#note(error))
        .finally(() => {
          if (!this.#closed.signal.aborted) this.#armPoll();
        });
    });
  }

  async #poll(): Promise<void> {
    const { found } = await this.#options.read();
    this.#note(null);
    // Once may be chance: the watch was just about to bring it.
    this.#polls = found ? this.#polls + 1 : 0;
    if (this.#polls < 2) return;
    this.#polls = 0;
    this.#watch.abort();
  }

  #note(error: unknown): void {
    if (this.#closed.signal.aborted) return;
    const { log, what } = this.#options;
    const was = this.#state.reachable;
    if (error === null) {
      this.#state = { reachable: true, lastError: null };
      if (!was) log.info("etcd answers again", { what });
      return;
    }
    const lastError = error instanceof Error ? error.message : String(error);
    this.#state = { reachable: false, lastError };
    if (was) log.warn("etcd does not answer; what is known is served", { what, error });
    else log.debug("etcd still does not answer", { what, error });
  }

  #pause(delayMs: number): Promise<void> {
    const { signal } = this.#closed;
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        signal.removeEventListener("abort", end);
        resolve();
      };
      const cancel = this.#options.timers.after(delayMs, end);
      signal.addEventListener("abort", end);
      if (signal.aborted) end();
    });
  }
}

/** Those of one owner, who ends them one by one or all together. */
export class Followers {
  readonly #all = new Set<Follower>();

  /** Begins to follow; the result ends it. */
  follow(options: FollowerOptions): () => void {
    const follower = new Follower(options);
    this.#all.add(follower);
    follower.start();
    return () => {
      this.#all.delete(follower);
      void follower.close();
    };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map((follower) => follower.close()));
  }
}

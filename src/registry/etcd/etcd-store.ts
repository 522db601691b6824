import { randomUUID } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Random } from "../../core/random.ts";
import type { Log } from "../log.ts";
import { decodeRecord } from "../record-schema.ts";
import type { StoredRecord, Tombstone, Write } from "../records.ts";
import { type Commit, StaleRevisionError, type Store } from "../store.ts";
import type { Timers } from "../timers.ts";
import {
  type CommitText,
  isLongText,
  type TextWrite,
  toChange,
  toTextWrites,
} from "./commit-text.ts";
import { CommitWriter, type KnownRecord } from "./commit-writer.ts";
import type { EtcdClient } from "./etcd-client.ts";
import { type KeyValue, manyKeys, oneKey, range } from "./etcd-messages.ts";
import { Follower, type FollowerState } from "./follower.ts";
import type { Layout, LoggedCommit } from "./layout.ts";
import { type LogLimits, LogWindow } from "./log-window.ts";
import {
  commitsBetween,
  LOG_PAGE,
  loadState,
  openEpoch,
  readWhole,
  type StoredState,
} from "./stored-state.ts";
import { Turn } from "./turn.ts";

/** While it is another registry's turn to commit, it is looked so often whether that is over. */
const TURN_LOOK_MS = 20;
/** Records between two turns of the event loop. */
const LOAD_BATCH = 1_000;

export interface EtcdStoreOptions extends Partial<LogLimits> {
  readonly client: EtcdClient;
  readonly layout: Layout;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  /** How often etcd is asked for what a dead watch would not tell. */
  readonly pollMs?: number;
}

/**
 * The store of several registries, in etcd. A commit is one transaction that compares the newest revision, so that of several
 * that are planned on it one is taken. All follow the log of commits: each sees every revision once, in order. What is
 * known stays readable while etcd is gone.
 */
export class EtcdStore implements Store {
  readonly epoch: string;
  readonly #client: EtcdClient;
  readonly #layout: Layout;
  readonly #limits: LogLimits;
  readonly #log: Log;
  readonly #writer: CommitWriter;
  readonly #ours: Turn;
  readonly #timers: Timers;
  readonly #follower: Follower;
  readonly #listeners = new Set<(commit: Commit) => void>();
  #known = new Map<string, KnownRecord>();
  #window: LogWindow;
  #revision = 0;
  /** What was read at the start, for who reads it first. */
  #loaded: StoredState | null = null;
  /** Why this process must be started anew; null: all is well. */
  #broken: Error | null = null;
  /** What changes the state of this object runs one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(options: EtcdStoreOptions, epoch: string, state: StoredState) {
    const { client, layout, timers, random, log, pollMs = 2_000 } = options;
    const { maxLogEntries = 50_000, maxLogBytes = 67_108_864 } = options;
    this.epoch = epoch;
    this.#client = client;
    this.#layout = layout;
    this.#limits = { maxLogEntries, maxLogBytes };
    this.#log = log;
    this.#writer = new CommitWriter(client, layout);
    this.#ours = new Turn(client, layout);
    this.#timers = timers;
    this.#window = this.#enter(state);
    this.#loaded = state;
    this.#follower = new Follower({
      ...{ client, timers, random, log, pollMs },
      ...{ prefix: layout.log(), what: "the registry's records" },
      read: () => this.#catchUp(),
      take: (events) =>
        this.#alone(() =>
          this.#absorb(events.filter(({ type }) => type === "PUT").map(({ kv }) => kv)),
        ),
    });
  }

  /** Makes the store where there is none. Rejects where etcd does not answer, or holds what this version cannot read. */
  static async open(options: EtcdStoreOptions): Promise<EtcdStore> {
    const { client, layout } = options;
    const epoch = await openEpoch(client, layout);
    const store = new EtcdStore(options, epoch, await loadState(client, layout));
    store.#follower.start();
    return store;
  }

  revision(): number {
    return this.#revision;
  }

  /** Is etcd reached, and if not, why. */
  state(): FollowerState {
    return this.#broken === null
      ? this.#follower.state()
      : { reachable: false, lastError: this.#broken.message };
  }

  async *load(): AsyncIterable<readonly StoredRecord[]> {
    const isFresh = this.#loaded?.revision === this.#revision;
    const early = isFresh ? this.#loaded : null;
    this.#loaded = null;
    const { records, revision } = early ?? (await loadState(this.#client, this.#layout));
    for (let start = 0; start < records.length; start += LOAD_BATCH) {
      yield records.slice(start, start + LOAD_BATCH).map(decodeRecord);
      await nextTurn();
    }
    // What was read may be newer than what subscribers were told.
    if (revision > this.#revision) await this.refresh();
  }

  async commit(writes: readonly Write[], expected: number): Promise<Commit> {
    if (this.#broken !== null) throw this.#broken;
    if (expected !== this.#revision) throw new StaleRevisionError(expected, this.#revision);
    const texts = toTextWrites(writes);
    const base = { revision: expected, known: this.#known, window: this.#window };
    const text = { tx: randomUUID(), writes: texts };
    for (;;) {
      const outcome = await this.#writer.write(text, base, await this.#ours.token());
      if (outcome.result === "written") {
        this.#ours.over();
        return this.#written(outcome.logged, outcome.text);
      }
      if (outcome.result === "late") this.#ours.over();
      if (outcome.result === "waiting") await this.#pause();
      await this.refresh();
      if (this.#revision !== expected) {
        this.#ours.lost();
        throw new StaleRevisionError(expected, this.#revision);
      }
      // Somebody has died, or is about to, between writing a large commit and carrying it over to the records.
      if (outcome.result === "unfinished") await this.#finish(expected);
    }
  }

  async changesSince(revision: number): Promise<Commit | null> {
    const to = this.#revision;
    if (revision < this.#window.floor() || revision > to) return null;
    const net = new Map<string, StoredRecord | Tombstone>();
    try {
      for await (const each of commitsBetween(this.#client, this.#layout, revision, to)) {
        for (const write of each.writes) {
          const key = nameOf(write);
          const created = this.#known.get(key)?.created ?? each.revision;
          net.set(key, toChange(write, each.revision, created));
        }
      }
    } catch (error) {
      // Whoever needs it gets a snapshot, which takes nothing but memory.
      this.#log.warn("the log in etcd could not be read", { since: revision, error });
      return null;
    }
    return { revision: to, changes: [...net.values()] };
  }

  subscribe(listener: (commit: Commit) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async refresh(): Promise<void> {
    await this.#catchUp();
  }

  /** Deletes what large commits that were never made have left; to be called now and then, by one registry. */
  sweep(): Promise<void> {
    return this.#writer.sweep();
  }

  async close(): Promise<void> {
    await this.#follower.close();
    await this.#turn;
  }

  #alone<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(task);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** Subscribers are told, and a large commit is carried over, before it is acknowledged; neither can undo it. */
  async #written(logged: LoggedCommit, text: CommitText): Promise<Commit> {
    const { revision } = logged;
    const write = text.writes.map((each) => this.#changeOf(each, revision));
    await this.#alone(async () => {
      if (revision <= this.#revision) return;
      if (revision > this.#revision + 1) throw new Error(`commit ${revision} came out of order`);
      this.#deliver(logged, text);
    });
    if (logged.parts !== "") {
      await this.#finish(revision).catch((error: unknown) =>
        this.#log.warn("a large commit is not carried over yet", { revision, error }),
      );
    }
    return { revision, changes: write };
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#timers.after(TURN_LOOK_MS, resolve);
    });
  }

  async #finish(revision: number): Promise<void> {
    await this.#writer.carryOver(revision, this.#known);
  }

  /** Takes what is new in the log, or, where the log no longer reaches back, everything. */
  #catchUp(): Promise<{ revision: number; found: boolean }> {
    return this.#alone(async () => {
      const before = this.#revision;
      for (;;) {
        const keys = [this.#layout.head(), this.#layout.epoch()];
        const success = [...keys.map(oneKey), this.#logAfter(this.#revision)].map(range);
        const { responses, header } = await this.#client.txn({ compare: [], success, failure: [] });
        const [head, epoch, log] = responses.map(({ response_range: found }) => found?.kvs ?? []);
        const newest = Number(head?.[0]?.value ?? 0);
        this.#expectSame(newest, epoch?.[0]?.value);
        if (newest === this.#revision) {
          return { revision: header.revision, found: newest > before };
        }
        const [next] = log ?? [];
        const follows =
          next !== undefined && this.#layout.readLogged(next.key).revision === this.#revision + 1;
        if (follows) await this.#absorb(log ?? []);
        else await this.#reload();
      }
    });
  }

  #logAfter(revision: number) {
    return manyKeys(this.#layout.log(), { limit: LOG_PAGE }, this.#layout.logFrom(revision + 1));
  }

  /** A restored or replaced store has another history: nothing that is known here may be mixed with it. */
  #expectSame(head: number, epoch: string | undefined): void {
    if (head >= this.#revision && epoch === this.epoch) return;
    if (this.#broken === null) {
      const reason =
        "the store in etcd was replaced by another: this registry must be started anew";
      this.#broken = new Error(reason);
      this.#log.error(reason, { head, revision: this.#revision });
    }
    throw this.#broken;
  }

  async #absorb(kvs: readonly KeyValue[]): Promise<void> {
    for (const each of kvs) {
      const logged = this.#layout.readLogged(each.key);
      if (logged.revision <= this.#revision) continue;
      if (logged.revision > this.#revision + 1) throw new Error("the watch has left out a commit");
      this.#deliver(logged, await readWhole(this.#client, this.#layout, each));
    }
  }

  async #reload(): Promise<void> {
    const before = this.#known;
    const from = this.#revision;
    const state = await loadState(this.#client, this.#layout);
    this.#window = this.#enter(state);
    this.#log.warn("the log in etcd does not reach back so far: everything is read anew", {
      ...{ from, revision: state.revision },
    });
    const { revision, records } = state;
    const changed = records.filter((each) => before.get(nameOf(each))?.revision !== each.revision);
    const gone = [...before.values()].filter((each) => !this.#known.has(nameOf(each)));
    this.#tell({
      revision,
      changes: [
        ...changed.map(decodeRecord),
        ...gone.map(({ kind, key }): Tombstone => ({ kind, key, revision, value: null })),
      ],
    });
  }

  #enter({ revision, records, floor, log }: StoredState): LogWindow {
    this.#revision = revision;
    this.#known = new Map(
      records.map(({ json, ...each }) => [nameOf(each), { ...each, isLong: isLongText(json) }]),
    );
    return new LogWindow(this.#limits, floor, log);
  }

  #changeOf(write: TextWrite, revision: number): StoredRecord | Tombstone {
    const before = this.#known.get(nameOf(write));
    return toChange(write, revision, before?.created ?? revision);
  }

  #deliver(logged: LoggedCommit, { floor, writes }: CommitText): void {
    const { revision } = logged;
    const changes = writes.map((write) => this.#changeOf(write, revision));
    for (const [index, { kind, key, json }] of writes.entries()) {
      const change = changes[index];
      if (change === undefined || change.value === null || json === null) {
        this.#known.delete(nameOf({ kind, key }));
        continue;
      }
      const { created } = change;
      this.#known.set(nameOf(change), { kind, key, revision, created, isLong: isLongText(json) });
    }
    this.#writer.forget(this.#window.take(logged, floor));
    this.#revision = revision;
    this.#loaded = null;
    this.#tell({ revision, changes });
  }

  #tell(commit: Commit): void {
    for (const listener of this.#listeners) listener(commit);
  }
}

function nameOf({ kind, key }: { readonly kind: string; readonly key: string }): string {
  return `${kind} ${key}`;
}

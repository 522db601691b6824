import { randomUUID } from "node:crypto";
import type { StoredRecord } from "../records.ts";
import { type CommitText, cut, readCommitHead, type TextWrite } from "./commit-text.ts";
import type { EtcdClient } from "./etcd-client.ts";
import {
  hasValue,
  isAbsent,
  isThere,
  type KeyValue,
  manyKeys,
  type Operation,
  oneKey,
  put,
  range,
  remove,
} from "./etcd-messages.ts";
import type { Layout, LoggedCommit } from "./layout.ts";
import type { LogWindow } from "./log-window.ts";
import {
  dropCommitsBelow,
  operationGroups,
  operationsOf,
  type RecordWrite,
} from "./record-text.ts";
import { pages, readWhole } from "./stored-state.ts";

const PARTS_PAGE = 1_000;

/** A record as writers know it; its value is with the subscribers. */
export interface KnownRecord extends Pick<StoredRecord, "kind" | "key" | "revision" | "created"> {
  readonly isLong: boolean;
}

/** What a commit is planned on. */
export interface CommitBase {
  readonly revision: number;
  readonly known: ReadonlyMap<string, KnownRecord>;
  readonly window: LogWindow;
}

/**
 * `stale`: another commit was first. `unfinished`: the one before is not in the records yet. `waiting`: it is the turn of
 * another registry. `late`: this one's turn has run out.
 */
export type CommitOutcome =
  | { readonly result: "written"; readonly logged: LoggedCommit; readonly text: CommitText }
  | { readonly result: "stale" | "unfinished" | "waiting" | "late" };

/** Text that waits for its commit. */
interface Staged {
  readonly id: string;
  readonly text: string;
}

/** Writes commits into etcd: small ones in one transaction, large ones in parts that one transaction makes valid. */
export class CommitWriter {
  readonly #client: EtcdClient;
  readonly #layout: Layout;
  /** A large commit that was planned anew in vain has the same text again. */
  #staged: Staged | null = null;
  /** Parts that no commit named when they were last looked at. */
  #orphans: ReadonlySet<string> = new Set();

  constructor(client: EtcdClient, layout: Layout) {
    this.#client = client;
    this.#layout = layout;
  }

  /**
   * Rejects where it is certain that nothing was written, and where no member answers in time: then it may be. A try
   * that was not answered is made again, and finds its own commit in the log if it was written: none is written twice.
   */
  async write(
    { tx, writes }: Omit<CommitText, "floor">,
    { revision: base, known, window }: CommitBase,
    turn: string | null,
  ): Promise<CommitOutcome> {
    const revision = base + 1;
    const records = writes.map((write) => recordWrite(write, known, revision));
    const small = operationsOf(this.#layout, records, revision);
    const staged = small === null ? await this.#stage(writes) : null;
    const parts = staged?.id ?? "";
    const bytes = Buffer.byteLength(staged?.text ?? JSON.stringify(writes));
    const logged: LoggedCommit = { revision, changes: writes.length, bytes, parts };
    const floor = window.floorWith(logged);
    const text = { tx, floor, writes };
    const value = JSON.stringify(staged === null ? text : { tx, floor });
    const { succeeded, responses } = await this.#client.txn({
      compare: this.#compare(base, staged, turn),
      success: [
        put(this.#layout.head(), String(revision)),
        put(this.#layout.logged(logged), value),
        ...(small === null ? [] : [put(this.#layout.applied(), String(revision)), ...small]),
        ...this.#trim(window.floor(), floor),
        ...(turn === null ? [] : [remove(oneKey(this.#layout.turn()))]),
      ],
      failure: [
        range(oneKey(this.#layout.head())),
        range(oneKey(this.#layout.applied())),
        range(oneKey(this.#layout.turn())),
        range(manyKeys(this.#layout.log(), { limit: 1 }, this.#layout.logFrom(revision))),
      ],
    });
    const [head, applied, turned, log] = responses.map(
      ({ response_range: found }) => found?.kvs[0],
    );
    if (succeeded || (log !== undefined && this.#isOurs(log, revision, tx))) {
      this.#staged = null;
      return { result: "written", logged, text };
    }
    if (head?.value !== String(base)) return { result: "stale" };
    if (turn !== null && turned?.value !== turn) return { result: "late" };
    if (turn === null && turned !== undefined) return { result: "waiting" };
    // Swept away between its staging and now: the next try stages it anew.
    if (applied?.value === String(base)) this.#staged = null;
    return { result: "unfinished" };
  }

  /** Brings the records up to a large commit, whoever has made it. Does nothing where that is done. */
  async carryOver(revision: number, known: ReadonlyMap<string, KnownRecord>): Promise<void> {
    const layout = this.#layout;
    const prefix = manyKeys(layout.log(), { limit: 1 }, layout.logFrom(revision));
    const [found] = (await this.#client.range(prefix)).kvs;
    if (found === undefined || layout.readLogged(found.key).revision !== revision) return;
    const { writes } = await readWhole(this.#client, layout, found);
    const records = writes.map((write) => recordWrite(write, known, revision));
    const before = String(revision - 1);
    // Who comes late must not write over what a later commit has written.
    const compare = [hasValue(layout.applied(), before)];
    for (const success of operationGroups(layout, records, revision)) {
      const { succeeded } = await this.#client.txn({ compare, success, failure: [] });
      if (!succeeded) return;
    }
    const success = [put(layout.applied(), String(revision))];
    await this.#client.txn({ compare, success, failure: [] });
  }

  /** Commits that have left the log; the parts of those are of no more use. */
  forget(dropped: readonly LoggedCommit[]): void {
    for (const { parts } of dropped) {
      if (parts === "") continue;
      // What is not deleted now is an orphan, which is swept later.
      this.#drop(parts).catch(() => {});
    }
  }

  /** Deletes parts that no commit named the last time either: in between, any commit that was under way has ended. */
  async sweep(): Promise<void> {
    const layout = this.#layout;
    const orphans = new Set<string>();
    for await (const page of pages(this.#client, layout.allParts(), {
      limit: PARTS_PAGE,
      keysOnly: true,
    })) {
      for (const { key } of page) orphans.add(layout.readParts(key));
    }
    for await (const page of pages(this.#client, layout.log(), {
      limit: PARTS_PAGE,
      keysOnly: true,
    })) {
      for (const { key } of page) orphans.delete(layout.readLogged(key).parts);
    }
    for (const id of orphans) if (this.#orphans.has(id)) await this.#drop(id);
    this.#orphans = orphans;
  }

  async #drop(id: string): Promise<void> {
    const success = [remove(manyKeys(this.#layout.parts(id)))];
    await this.#client.txn({ compare: [], success, failure: [] });
  }

  async #stage(writes: readonly TextWrite[]): Promise<Staged> {
    const text = JSON.stringify(writes);
    if (this.#staged?.text === text) return this.#staged;
    const staged = { id: randomUUID(), text };
    for (const [index, piece] of cut(text).entries()) {
      const success = [put(this.#layout.part(staged.id, index), piece)];
      await this.#client.txn({ compare: [], success, failure: [] });
    }
    this.#staged = staged;
    return staged;
  }

  #compare(base: number, staged: Staged | null, turn: string | null): Operation[] {
    const layout = this.#layout;
    const key = layout.turn();
    const newest = [
      ...[layout.head(), layout.applied()].map((each) => hasValue(each, String(base))),
      turn === null ? isAbsent(key) : hasValue(key, turn),
    ];
    return staged === null ? newest : [...newest, isThere(layout.part(staged.id, 0))];
  }

  #trim(before: number, floor: number): Operation[] {
    if (floor === before) return [];
    return [put(this.#layout.floor(), String(floor)), dropCommitsBelow(this.#layout, before + 1)];
  }

  #isOurs({ key, value }: KeyValue, revision: number, tx: string): boolean {
    return this.#layout.readLogged(key).revision === revision && readCommitHead(value).tx === tx;
  }
}

function recordWrite(
  write: TextWrite,
  known: ReadonlyMap<string, KnownRecord>,
  revision: number,
): RecordWrite {
  const before = known.get(`${write.kind} ${write.key}`);
  const { created = revision, isLong = false } = before ?? {};
  return { ...write, created, replacesLong: isLong };
}

import { randomUUID } from "node:crypto";
import { chmodSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { setImmediate as nextTurn } from "node:timers/promises";
import * as z from "zod";
import { decodeRecord, recordKind } from "./record-schema.ts";
import type { StoredRecord, Tombstone, Write } from "./records.ts";
import { type Commit, StaleRevisionError, type Store } from "./store.ts";

/** Marks the file as ours (SQLite `application_id`): "hmsh". */
const APPLICATION_ID = 0x686d7368;
const FORMAT = 1;
/** Records read between two turns of the event loop. */
const LOAD_BATCH = 1_000;

/** SQLite's name for a database without a file (sqlite.org/inmemorydb.html). */
export const IN_MEMORY = ":memory:";

export interface SqliteStoreOptions {
  /** File, created when missing; its folder must exist. {@link IN_MEMORY}: none, and nothing outlives the process. */
  readonly path: string;
  /** Entries of the change log. Older ones are dropped, and whoever needs them gets a snapshot. */
  readonly maxLogEntries?: number;
}

const row = z.object({
  kind: recordKind,
  key: z.string(),
  revision: z.number(),
  created: z.number(),
  json: z.string(),
});
const changeRow = z.object({
  kind: row.shape.kind,
  key: z.string(),
  changed: z.number(),
  revision: z.number().nullable(),
  created: z.number().nullable(),
  json: z.string().nullable(),
});

/**
 * The embedded store: one SQLite file. WAL with `synchronous=FULL` syncs the log on every commit, so an
 * acknowledged write survives SIGKILL and loss of power (sqlite.org/pragma.html#pragma_synchronous).
 * The exclusive lock keeps a second registry from opening the same file. Calls into SQLite block the
 * thread, for about a quarter of a millisecond on a disk with a cache; `Writer` groups commits.
 */
export class SqliteStore implements Store {
  readonly epoch: string;
  readonly #db: DatabaseSync;
  readonly #maxLogEntries: number;
  readonly #listeners = new Set<(commit: Commit) => void>();
  readonly #sql: Record<"find" | "put" | "drop" | "log" | "meta", StatementSync>;
  #revision: number;
  #logFloor: number;
  #logEntries: number;

  constructor({ path, maxLogEntries = 100_000 }: SqliteStoreOptions) {
    this.#maxLogEntries = maxLogEntries;
    this.#db = openDatabase(path);
    this.#sql = {
      find: this.#db.prepare("SELECT created FROM records WHERE kind = ? AND key = ?"),
      put: this.#db.prepare(
        "INSERT INTO records(kind, key, revision, created, json) VALUES (?, ?, ?, ?, ?) ON CONFLICT(kind, key) DO UPDATE SET revision = excluded.revision, json = excluded.json",
      ),
      drop: this.#db.prepare("DELETE FROM records WHERE kind = ? AND key = ?"),
      log: this.#db.prepare("INSERT OR IGNORE INTO changes(revision, kind, key) VALUES (?, ?, ?)"),
      meta: this.#db.prepare(
        "INSERT INTO meta(name, value) VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value",
      ),
    };
    this.epoch = this.#readMeta("epoch");
    this.#revision = Number(this.#readMeta("revision"));
    this.#logFloor = Number(this.#readMeta("log_floor"));
    this.#logEntries = Number(
      this.#db.prepare("SELECT count(*) AS n FROM changes").get()?.["n"] ?? 0,
    );
  }

  revision(): number {
    return this.#revision;
  }

  async *load(): AsyncIterable<readonly StoredRecord[]> {
    // Pages by key and not with one open cursor: a cursor held over turns would keep the WAL from shrinking.
    const page = this.#db.prepare(
      "SELECT kind, key, revision, created, json FROM records WHERE (kind, key) > (?, ?) ORDER BY kind, key LIMIT ?",
    );
    let last = { kind: "", key: "" };
    for (;;) {
      const rows = page.all(last.kind, last.key, LOAD_BATCH).map((each) => row.parse(each));
      const end = rows.at(-1);
      if (end === undefined) return;
      last = end;
      yield rows.map(decodeRecord);
      await nextTurn();
    }
  }

  async commit(writes: readonly Write[], expected: number): Promise<Commit> {
    if (expected !== this.#revision) throw new StaleRevisionError(expected, this.#revision);
    const revision = this.#revision + 1;
    this.#db.exec("BEGIN IMMEDIATE");
    let changes: (StoredRecord | Tombstone)[];
    let trimmed: { floor: number; entries: number };
    try {
      changes = writes.map((write) => this.#write(write, revision));
      this.#sql.meta.run("revision", String(revision));
      trimmed = this.#trimLog(this.#logEntries + writes.length);
      this.#db.exec("COMMIT");
    } catch (cause) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw new Error("the store could not write", { cause });
    }
    this.#revision = revision;
    this.#logFloor = trimmed.floor;
    this.#logEntries = trimmed.entries;
    const commit = { revision, changes };
    for (const listener of this.#listeners) listener(commit);
    return commit;
  }

  async changesSince(revision: number): Promise<Commit | null> {
    if (revision < this.#logFloor || revision > this.#revision) return null;
    const rows = this.#db
      .prepare(
        `SELECT c.kind, c.key, c.changed, r.revision, r.created, r.json
         FROM (SELECT kind, key, max(revision) AS changed FROM changes WHERE revision > ? GROUP BY kind, key) c
         LEFT JOIN records r ON r.kind = c.kind AND r.key = c.key`,
      )
      .all(revision);
    return { revision: this.#revision, changes: rows.map(decodeChange) };
  }

  subscribe(listener: (commit: Commit) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    if (this.#db.isOpen) this.#db.close();
  }

  #write({ kind, key, value }: Write, revision: number): StoredRecord | Tombstone {
    this.#sql.log.run(revision, kind, key);
    if (value === null) {
      this.#sql.drop.run(kind, key);
      return { kind, key, revision, value };
    }
    const created = Number(this.#sql.find.get(kind, key)?.["created"] ?? revision);
    const json = JSON.stringify(value);
    this.#sql.put.run(kind, key, revision, created, json);
    // What subscribers see is what a restart would read, and shares nothing with the caller's objects.
    return decodeRecord({ kind, key, revision, created, json });
  }

  /** Drops whole revisions, a tenth more than needed so that it happens seldom. Runs inside a transaction. */
  #trimLog(entries: number): { floor: number; entries: number } {
    if (entries <= this.#maxLogEntries) return { floor: this.#logFloor, entries };
    const keep = Math.floor(this.#maxLogEntries * 0.9);
    const floor = Number(
      this.#db
        .prepare("SELECT revision FROM changes ORDER BY revision DESC LIMIT 1 OFFSET ?")
        .get(keep)?.["revision"] ?? this.#logFloor,
    );
    this.#sql.meta.run("log_floor", String(floor));
    const gone = this.#db.prepare("DELETE FROM changes WHERE revision <= ?").run(floor);
    return { floor, entries: entries - Number(gone.changes) };
  }

  #readMeta(name: string): string {
    const value = this.#db.prepare("SELECT value FROM meta WHERE name = ?").get(name)?.["value"];
    if (typeof value !== "string") throw new Error(`the store has no ${name}`);
    return value;
  }
}

function decodeChange(each: unknown): StoredRecord | Tombstone {
  const { kind, key, changed, revision, created, json } = changeRow.parse(each);
  if (revision === null || created === null || json === null) {
    return { kind, key, revision: changed, value: null };
  }
  return decodeRecord({ kind, key, revision, created, json });
}

function openDatabase(path: string): DatabaseSync {
  const db = new DatabaseSync(path);
  // Who may call whom is nobody else's business; the log beside it gets the same mode from SQLite.
  if (path !== IN_MEMORY) chmodSync(path, 0o600);
  try {
    db.exec("PRAGMA locking_mode = EXCLUSIVE");
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    prepareFile(db);
    return db;
  } catch (cause) {
    db.close();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`cannot open the registry store ${path}: ${reason}`, { cause });
  }
}

function prepareFile(db: DatabaseSync): void {
  const application = db.prepare("PRAGMA application_id").get()?.["application_id"];
  const format = db.prepare("PRAGMA user_version").get()?.["user_version"];
  if (application === APPLICATION_ID) {
    if (format === FORMAT) return;
    throw new Error(`the file has format ${format}, this version reads format ${FORMAT}`);
  }
  const tables = db.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.["n"];
  if (application !== 0 || tables !== 0) throw new Error("the file belongs to another program");
  // One transaction, so that a kill in between leaves an empty file and not half a store.
  db.exec(`
    BEGIN IMMEDIATE;
    CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE records(
      kind TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, created INTEGER NOT NULL,
      json TEXT NOT NULL, PRIMARY KEY(kind, key)) STRICT, WITHOUT ROWID;
    CREATE TABLE changes(
      revision INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
      PRIMARY KEY(revision, kind, key)) STRICT, WITHOUT ROWID;
    INSERT INTO meta VALUES ('epoch', '${randomUUID()}'), ('revision', '1'), ('log_floor', '1');
    PRAGMA application_id = ${APPLICATION_ID};
    PRAGMA user_version = ${FORMAT};
    COMMIT;`);
}

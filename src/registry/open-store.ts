import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { EtcdOptions } from "./etcd/etcd-options.ts";
import type { PrivateStore } from "./identity/private-store.ts";
import { ALONE, type Leadership, OWN_BEATS, type SharedBeats } from "./leadership.ts";
import type { Log } from "./log.ts";
import { IN_MEMORY, SqliteStore } from "./sqlite-store.ts";
import type { Store } from "./store.ts";
import type { Timers } from "./timers.ts";

export interface StoreChoice {
  /** Folder of `registry.sqlite`, created when missing. */
  readonly dataDir: string;
  /** Absent: SQLite, in the data folder. */
  readonly etcd?: EtcdOptions;
  readonly maxLogEntries?: number;
  /** False: nothing is worth keeping, and SQLite is in memory. */
  readonly isKept: boolean;
}

export interface OpenStoreDeps {
  readonly host: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
}

/** The store, and what comes with it where several registries have the same. */
export interface OpenedStore {
  readonly store: Store;
  readonly leadership: Leadership;
  readonly beats: SharedBeats;
  /** Where registries share what is secret; null: in files of the data folder. */
  readonly secrets: PrivateStore | null;
  /** For `/v1/mesh/status`. */
  status(): Record<string, unknown>;
  close(): Promise<void>;
}

/** Rejects where the store cannot be opened; then nothing is left open. */
export async function openStore(
  { dataDir, etcd, maxLogEntries, isKept }: StoreChoice,
  deps: OpenStoreDeps,
): Promise<OpenedStore> {
  await mkdir(dataDir, { recursive: true });
  const limits = maxLogEntries === undefined ? {} : { maxLogEntries };
  if (etcd !== undefined) {
    // With its HTTP client it is only loaded where it is used.
    const { openEtcd } = await import("./etcd/open-etcd.ts");
    return openEtcd(etcd, { ...deps, ...limits });
  }
  const path = isKept ? join(dataDir, "registry.sqlite") : IN_MEMORY;
  const store = new SqliteStore({ path, ...limits });
  return {
    ...{ store, leadership: ALONE, beats: OWN_BEATS, secrets: null },
    status: () => ({ kind: isKept ? "sqlite" : "memory" }),
    close: () => store.close(),
  };
}

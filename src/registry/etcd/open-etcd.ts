import { randomUUID } from "node:crypto";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { PrivateStore } from "../identity/private-store.ts";
import type { Leadership, SharedBeats } from "../leadership.ts";
import type { Log } from "../log.ts";
import type { Store } from "../store.ts";
import type { Timers } from "../timers.ts";
import { Election } from "./election.ts";
import { EtcdBeats } from "./etcd-beats.ts";
import { EtcdClient, EtcdUnreachable } from "./etcd-client.ts";
import { type EtcdOptions, readCredentials } from "./etcd-options.ts";
import { EtcdStore } from "./etcd-store.ts";
import { Layout } from "./layout.ts";
import { EtcdPrivateStore } from "./private-store.ts";
import { Upkeep } from "./upkeep.ts";

/** A member that does not answer must not keep a starting registry waiting for ever; who starts it tries again. */
const START_MS = 30_000;
/** Between two looks for what a dead watch would not tell. */
const POLL_MS = 2_000;

export interface EtcdDeps {
  /** Name of this registry's host, for people. */
  readonly host: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly maxLogEntries?: number;
}

/** What several registries share. */
export interface EtcdParts {
  readonly store: Store;
  readonly secrets: PrivateStore;
  readonly leadership: Leadership;
  readonly beats: SharedBeats;
  status(): Record<string, unknown>;
  close(): Promise<void>;
}

/** Rejects where a file of the settings cannot be read, where etcd does not answer in time, or refuses. */
export async function openEtcd(options: EtcdOptions, deps: EtcdDeps): Promise<EtcdParts> {
  const credentials = await readCredentials(options);
  const client = new EtcdClient({ endpoints: options.endpoints, credentials });
  try {
    return await openWith(client, options, deps);
  } catch (error) {
    await client.close();
    throw error;
  }
}

async function openWith(
  client: EtcdClient,
  { prefix, compactMs, leaseMs: ttlMs }: EtcdOptions,
  deps: EtcdDeps,
): Promise<EtcdParts> {
  const { host, clock, timers, random, log, maxLogEntries } = deps;
  const layout = new Layout(prefix);
  const shared = { client, layout, timers, random, log, pollMs: POLL_MS };
  const limits = maxLogEntries === undefined ? {} : { maxLogEntries };
  const store = await patiently(deps, () => EtcdStore.open({ ...shared, ...limits }));
  const registry = `${host}/${randomUUID()}`;
  const election = new Election({ client, layout, registry, ttlMs, clock, timers, log });
  const beats = new EtcdBeats({ ...shared, registry, lease: () => election.lease() });
  const secrets = new EtcdPrivateStore(shared);
  const isLeader = () => election.isLeader();
  const upkeep = new Upkeep({
    ...{ client, layout, timers, log, compactMs, isLeader },
    sweep: () => store.sweep(),
  });
  election.start();
  return {
    ...{ store, secrets, leadership: election, beats },
    status: () => ({
      ...{ kind: "etcd", ...store.state() },
      ...{ registry, leader: election.leader(), isLeader: isLeader() },
    }),
    async close() {
      await upkeep.close();
      await election.close();
      // What still waits for an answer need not: nothing can be acknowledged any more.
      await client.close();
      await Promise.all([store.close(), beats.close(), secrets.close()]);
    },
  };
}

async function patiently<T>({ clock, log }: EtcdDeps, open: () => Promise<T>): Promise<T> {
  const deadline = clock.now() + START_MS;
  for (;;) {
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof EtcdUnreachable) || clock.now() >= deadline) throw error;
      log.warn("etcd does not answer yet", { error });
    }
  }
}

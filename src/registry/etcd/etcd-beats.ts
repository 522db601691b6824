import * as z from "zod";
import type { Random } from "../../core/random.ts";
import type { SharedBeats } from "../leadership.ts";
import type { Log } from "../log.ts";
import type { Timers } from "../timers.ts";
import type { EtcdClient } from "./etcd-client.ts";
import { headerAnswer, manyKeys, put, type WatchEvent } from "./etcd-messages.ts";
import { Followers } from "./follower.ts";
import type { Layout } from "./layout.ts";

/** Heartbeats of so long go together, so that etcd has ten writes a second of a registry at most. */
const BATCH_MS = 100;
/** Names of checks in one write, some half a MiB; the rest goes with the next. */
const MAX_CHECKS = 5_000;
/** From the arrival of a heartbeat until the leader has heard of it, amply. */
const TRAVEL_MS = 1_000;

/** Of etcd's: what is written is bound to none. */
const NO_LEASE = "0";

const beatsSchema = z.array(z.string());

export interface EtcdBeatsOptions {
  readonly client: EtcdClient;
  readonly layout: Layout;
  readonly registry: string;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly pollMs: number;
  /** What a registry has told goes with it. */
  lease(): string | null;
}

/** Heartbeats by way of etcd: each registry writes those that it gets into a key of its own, which the leader watches. */
export class EtcdBeats implements SharedBeats {
  readonly travelMs = TRAVEL_MS;
  readonly #options: EtcdBeatsOptions;
  /** The batch that is not on its way yet. */
  #batch: { readonly checks: Set<string>; readonly written: Promise<void> } | null = null;
  #writing: Promise<void> = Promise.resolve();
  #endPause: () => void = () => {};
  readonly #followers = new Followers();

  constructor(options: EtcdBeatsOptions) {
    this.#options = options;
  }

  tell(check: string): Promise<void> {
    if (this.#batch !== null && this.#batch.checks.size < MAX_CHECKS) {
      this.#batch.checks.add(check);
      return this.#batch.written;
    }
    const checks = new Set([check]);
    const written = this.#writing
      .catch(() => {})
      .then(() => this.#pause())
      .then(() => this.#write(checks));
    this.#batch = { checks, written };
    this.#writing = written;
    return written;
  }

  follow(listener: { heard(check: string): void; missed(): void }): () => void {
    const { client, layout, timers, random, log, pollMs } = this.#options;
    /** Revisions of etcd's: of the newest beat that was heard, and of the newest that there is. */
    let seen = 0;
    let newest = 0;
    return this.#followers.follow({
      ...{ client, timers, random, log, pollMs, prefix: layout.beats(), what: "heartbeats" },
      async read() {
        const { kvs, header } = await client.range(manyKeys(layout.beats(), { keysOnly: true }));
        newest = Math.max(newest, ...kvs.map((each) => each.mod_revision));
        return { revision: header.revision, found: newest > seen };
      },
      began() {
        seen = newest;
        listener.missed();
      },
      async take(events) {
        for (const event of events) {
          seen = Math.max(seen, event.kv.mod_revision);
          for (const check of checksOf(event)) listener.heard(check);
        }
      },
    });
  }

  async close(): Promise<void> {
    this.#endPause();
    await Promise.all([this.#writing.catch(() => {}), this.#followers.close()]);
  }

  /** Batches are written one after the other; one takes what comes until its turn. */
  async #write(checks: ReadonlySet<string>): Promise<void> {
    const { client, layout, registry, lease } = this.#options;
    if (this.#batch?.checks === checks) this.#batch = null;
    const text = JSON.stringify([...checks]);
    const body = put(layout.beatsOf(registry), text, lease() ?? NO_LEASE)["request_put"];
    await client.call("/v3/kv/put", body, headerAnswer);
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.timers.after(BATCH_MS, resolve);
      this.#endPause = () => {
        cancel();
        resolve();
      };
    });
  }
}

function checksOf({ type, kv }: WatchEvent): readonly string[] {
  return type === "DELETE" ? [] : beatsSchema.parse(JSON.parse(kv.value));
}

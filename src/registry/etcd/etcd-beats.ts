import * as z from "zod";
import type { Random } from "../../core/random.ts";
import type { SharedBeats } from "../leadership.ts";
import type { Log } from "../log.ts";
import type { Timers } from "../timers.ts";
import type { EtcdClient } from "./etcd-client.ts";
import { headerAnswer, manyKeys, put, type WatchEvent } from "./etcd-messages.ts";
import { Follower } from "./follower.ts";
import type { Layout } from "./layout.ts";

/** Heartbeats of so long go together, so that etcd has ten writes a second of a registry at most. */
const BATCH_MS = 100;
/** Names of checks in one write, some half a MiB; the rest goes with the next. */
const MAX_CHECKS = 5_000;
/** From the arrival of a heartbeat until the leader has heard of it, amply. */
const TRAVEL_MS = 1_000;

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
  #waiting = new Set<string>();
  #cancel: (() => void) | null = null;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;
  readonly #followers = new Set<Follower>();

  constructor(options: EtcdBeatsOptions) {
    this.#options = options;
  }

  tell(check: string): void {
    if (this.#closed) return;
    this.#waiting.add(check);
    this.#cancel ??= this.#options.timers.after(BATCH_MS, () => {
      this.#writing = this.#write();
    });
  }

  follow(listener: { heard(check: string): void; missed(): void }): () => void {
    const { client, layout, timers, random, log, pollMs } = this.#options;
    /** Revisions of etcd's: of the newest beat that was heard, and of the newest that there is. */
    let seen = 0;
    let newest = 0;
    const follower = new Follower({
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
    this.#followers.add(follower);
    follower.start();
    return () => {
      this.#followers.delete(follower);
      void follower.close();
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await Promise.all([this.#writing, ...[...this.#followers].map((each) => each.close())]);
  }

  async #write(): Promise<void> {
    const { client, layout, registry, log, lease } = this.#options;
    const checks = [...this.#waiting].slice(0, MAX_CHECKS);
    for (const check of checks) this.#waiting.delete(check);
    try {
      const { request_put: body } = put(
        layout.beatsOf(registry),
        JSON.stringify(checks),
        lease() ?? "0",
      );
      await client.call("/v3/kv/put", body, headerAnswer);
    } catch (error) {
      // The next ones come soon, and the leader is as cut off as this registry or waits until it is told of them.
      log.warn("heartbeats did not reach the leader", { checks: checks.length, error });
    }
    this.#cancel = null;
    for (const check of [...this.#waiting].slice(0, 1)) this.tell(check);
  }
}

function checksOf({ type, kv }: WatchEvent): readonly string[] {
  return type === "DELETE" ? [] : beatsSchema.parse(JSON.parse(kv.value));
}

import type { Log } from "../log.ts";
import type { Timers } from "../timers.ts";
import type { EtcdClient } from "./etcd-client.ts";
import { headerAnswer, oneKey } from "./etcd-messages.ts";
import type { Layout } from "./layout.ts";

/** Between two looks for what large commits that were never made have left. */
const SWEEP_MS = 600_000;

export interface UpkeepOptions {
  readonly client: EtcdClient;
  readonly layout: Layout;
  readonly timers: Timers;
  readonly log: Log;
  /** Between two compactions; 0: none. */
  readonly compactMs: number;
  isLeader(): boolean;
  /** Deletes what is of no use any more. */
  sweep(): Promise<void>;
}

/**
 * What the leader does so that etcd does not grow for ever. etcd keeps every value that a key ever had until it is told to
 * compact: what is older than one interval is let go then, as Kubernetes' API server does every five minutes.
 */
export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #cancels = new Map<string, () => void>();
  /** Revision of etcd's at the last turn, up to which the next one compacts. */
  #before = 0;
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: UpkeepOptions) {
    this.#options = options;
    const { compactMs, sweep } = options;
    this.#repeat("sweep", SWEEP_MS, sweep);
    if (compactMs > 0) this.#repeat("compact", compactMs, () => this.#compact());
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async close(): Promise<void> {
    for (const cancel of this.#cancels.values()) cancel();
    await this.idle();
  }

  #repeat(name: string, everyMs: number, task: () => Promise<void>): void {
    const { timers, log, isLeader } = this.#options;
    const arm = () => {
      const cancel = timers.after(everyMs, () => {
        arm();
        if (!isLeader()) return;
        this.#running = task().catch((error: unknown) =>
          log.warn("etcd could not be tidied", { task: name, error }),
        );
      });
      this.#cancels.set(name, cancel);
    };
    arm();
  }

  async #compact(): Promise<void> {
    const { client, layout, log } = this.#options;
    const { header } = await client.range(oneKey(layout.head()));
    const revision = this.#before;
    this.#before = header.revision;
    if (revision === 0) return;
    await client.call("/v3/kv/compaction", { revision: String(revision) }, headerAnswer);
    log.debug("etcd's history is compacted", { revision });
  }
}

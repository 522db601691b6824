import type { Clock } from "../../core/clock.ts";
import type { Leadership } from "../leadership.ts";
import type { Log } from "../log.ts";
import type { Timers } from "../timers.ts";
import type { EtcdClient } from "./etcd-client.ts";
import { isAbsent, oneKey, put, range } from "./etcd-messages.ts";
import type { Layout } from "./layout.ts";
import { Lease } from "./lease.ts";

export interface ElectionOptions {
  readonly client: EtcdClient;
  readonly layout: Layout;
  /** Names this registry; no other process has the same. */
  readonly registry: string;
  /** A leader that died is replaced after so long. */
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
}

/**
 * One leader among the registries: whoever makes the key `leader` first, for as long as the lease that it is bound to
 * lives. A leader that cannot renew it stops by its own clock, before etcd lets another one in.
 */
export class Election implements Leadership {
  readonly #options: ElectionOptions;
  readonly #lease: Lease;
  readonly #listeners = new Set<(isLeader: boolean) => void>();
  /** The lease with which it has won; null: it has not. */
  #wonWith: string | null = null;
  #leader: string | null = null;

  constructor(options: ElectionOptions) {
    this.#options = options;
    const { client, ttlMs, clock, timers, log } = options;
    const turned = () => this.#campaign();
    this.#lease = new Lease({ client, ttlMs, clock, timers, log, turned });
  }

  start(): void {
    this.#lease.start();
  }

  isLeader(): boolean {
    return this.#wonWith !== null && this.#wonWith === this.#lease.id();
  }

  /** Name of the leader, as it was last seen; null: none was. */
  leader(): string | null {
    return this.#leader;
  }

  /** For what shall go with this process; null: there is none now. */
  lease(): string | null {
    return this.#lease.id();
  }

  subscribe(listener: (isLeader: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Lets another one lead at once. */
  async close(): Promise<void> {
    this.#listeners.clear();
    await this.#lease.close();
  }

  async #campaign(): Promise<void> {
    const { client, layout, registry } = this.#options;
    const lease = this.#lease.id();
    if (lease === null) return;
    const key = layout.leader();
    const { responses } = await client.txn({
      compare: [isAbsent(key)],
      success: [put(key, registry, lease), range(oneKey(key))],
      failure: [range(oneKey(key))],
    });
    const [found] = responses.flatMap(({ response_range }) => response_range?.kvs ?? []);
    this.#leader = found?.value ?? null;
    // Of a lease that was lost before, the key will go: that is not won.
    this.#turn(found?.lease === lease ? lease : null);
  }

  #turn(wonWith: string | null): void {
    const before = this.#wonWith;
    if (before === wonWith) return;
    this.#wonWith = wonWith;
    const { log, registry } = this.#options;
    if (wonWith !== null) log.info("this registry leads now", { registry });
    else log.info("this registry does not lead any more", { registry, leader: this.#leader });
    if (before !== null) for (const listener of this.#listeners) listener(false);
    if (wonWith !== null) for (const listener of this.#listeners) listener(true);
  }
}

import type { Clock } from "../../core/clock.ts";
import type { Log } from "../log.ts";
import type { Timers } from "../timers.ts";
import type { EtcdClient } from "./etcd-client.ts";
import { grantAnswer, headerAnswer, keepAliveAnswer } from "./etcd-messages.ts";

/** A lease is renewed so many times in its life. */
const RENEWALS = 3;

export interface LeaseOptions {
  readonly client: EtcdClient;
  /** etcd counts in whole seconds, and has a least life of its own. */
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  /** Called after every renewal. */
  turned(): Promise<void>;
}

/**
 * A lease of etcd's, kept alive for as long as this process lives: what is bound to it goes when the process does. When it
 * is lost, as after a long separation from etcd, another one is taken.
 */
export class Lease {
  readonly #options: LeaseOptions;
  #id: string | null = null;
  /** Until then it is certain that etcd holds the lease; as of this process's clock. */
  #validMs = Number.NEGATIVE_INFINITY;
  #closed = false;
  #cancel: () => void = () => {};
  #turn: Promise<void> = Promise.resolve();

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Its identifier, another one after each loss; null: there is none now. */
  id(): string | null {
    return this.isValid() ? this.#id : null;
  }

  isValid(): boolean {
    return this.#options.clock.now() < this.#validMs;
  }

  start(): void {
    this.#turn = this.#renew();
  }

  /** Gives it back at once, so that nobody waits for its end. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    await this.#turn;
    const id = this.#id;
    this.#validMs = Number.NEGATIVE_INFINITY;
    if (id !== null) await this.#revoke(id);
  }

  async #renew(): Promise<void> {
    const { clock, timers, ttlMs, log, turned } = this.#options;
    // From before the request: etcd counts from later on.
    const sentMs = clock.now();
    try {
      await this.#keep();
      this.#validMs = sentMs + ttlMs;
      if (!this.#closed) await turned();
    } catch (error) {
      log.debug("a lease could not be renewed", { error });
    }
    if (this.#closed) return;
    this.#cancel = timers.after(ttlMs / RENEWALS, () => {
      this.#turn = this.#renew();
    });
  }

  /**
   * Renews the lease, or takes a new one where there is none any more. One that was overdue by this process's clock is given
   * up: in between others could not rely on it, and what hung on it must begin anew.
   */
  async #keep(): Promise<void> {
    const { client, ttlMs } = this.#options;
    if (this.#id !== null) {
      const ID = this.#id;
      if (this.isValid()) {
        const { result } = await client.call("/v3/lease/keepalive", { ID }, keepAliveAnswer);
        if (result.TTL > 0) return;
      } else await this.#revoke(ID);
      this.#id = null;
    }
    const TTL = String(Math.ceil(ttlMs / 1_000));
    this.#id = (await client.call("/v3/lease/grant", { TTL }, grantAnswer)).ID;
  }

  async #revoke(ID: string): Promise<void> {
    try {
      await this.#options.client.call("/v3/lease/revoke", { ID }, headerAnswer);
    } catch (error) {
      // It is gone already, or runs out by itself.
      this.#options.log.debug("a lease could not be given back", { error });
    }
  }
}

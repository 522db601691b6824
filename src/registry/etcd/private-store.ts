import { randomUUID } from "node:crypto";
import * as z from "zod";
import type { Random } from "../../core/random.ts";
import {
  expectEntryName,
  PrivateConflictError,
  type PrivateEntry,
  type PrivateStore,
} from "../identity/private-store.ts";
import type { Log } from "../log.ts";
import type { Timers } from "../timers.ts";
import type { EtcdClient } from "./etcd-client.ts";
import {
  isAbsent,
  type KeyValue,
  manyKeys,
  oneKey,
  put,
  range,
  remove,
  wasWrittenAt,
} from "./etcd-messages.ts";
import { Followers } from "./follower.ts";
import type { Layout } from "./layout.ts";
import { pages } from "./stored-state.ts";

const KEYS_PAGE = 1_000;

/** What this store gives out as a version. */
const VERSION = /^[1-9]\d{0,17}$/;

const entrySchema = z.object({ tx: z.string(), content: z.string() });

export interface EtcdPrivateStoreOptions {
  readonly client: EtcdClient;
  readonly layout: Layout;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly pollMs: number;
}

/**
 * The mesh's secrets in etcd, below `<prefix>private/`, in the clear: whoever reads etcd has the keys of the authority, so
 * etcd must be protected as they would be (TLS, a user of its own, encrypted disks). The version of an entry is the
 * revision of etcd's that wrote it.
 */
export class EtcdPrivateStore implements PrivateStore {
  readonly #options: EtcdPrivateStoreOptions;
  readonly #followers = new Followers();

  constructor(options: EtcdPrivateStoreOptions) {
    this.#options = options;
  }

  placeOf(name: string): string {
    return `the key ${this.#options.layout.secret(name)} in etcd`;
  }

  async read(name: string): Promise<PrivateEntry | null> {
    expectEntryName(name);
    const { client, layout } = this.#options;
    const [found] = (await client.range(oneKey(layout.secret(name)))).kvs;
    if (found === undefined) return null;
    return { content: readEntry(found, name).content, version: String(found.mod_revision) };
  }

  async write(name: string, content: string, expected: string | null): Promise<string> {
    expectEntryName(name);
    const { client, layout } = this.#options;
    if (expected !== null && !VERSION.test(expected)) throw new PrivateConflictError(name);
    const key = layout.secret(name);
    const tx = randomUUID();
    const { header, succeeded, responses } = await client.txn({
      compare: [expected === null ? isAbsent(key) : wasWrittenAt(key, expected)],
      success: [put(key, JSON.stringify({ tx, content }))],
      failure: [range(oneKey(key))],
    });
    if (succeeded) return String(header.revision);
    // A try that was not answered may have been done: then the entry is this very one.
    const found = responses[0]?.response_range?.kvs[0];
    if (found !== undefined && readEntry(found, name).tx === tx) return String(found.mod_revision);
    throw new PrivateConflictError(name);
  }

  async list(): Promise<readonly string[]> {
    return (await this.#keys()).map(({ key }) => this.#nameOf(key));
  }

  /** Of a removal that was made twice because the first was not answered, the second finds nothing: a conflict. */
  async remove(name: string, expected: string): Promise<void> {
    expectEntryName(name);
    if (!VERSION.test(expected)) throw new PrivateConflictError(name);
    const { client, layout } = this.#options;
    const key = layout.secret(name);
    const { succeeded } = await client.txn({
      compare: [wasWrittenAt(key, expected)],
      success: [remove(oneKey(key))],
      failure: [],
    });
    if (!succeeded) throw new PrivateConflictError(name);
  }

  watch(listener: (name: string) => void): () => void {
    const { client, layout, timers, random, log, pollMs } = this.#options;
    /** Revisions of etcd's: of the newest change that was told, and of the newest that there is. */
    let seen = 0;
    let newest = 0;
    let names: readonly string[] = [];
    return this.#followers.follow({
      ...{ client, timers, random, log, pollMs, prefix: layout.secrets(), what: "the authority" },
      read: async () => {
        const { header } = await client.range(
          manyKeys(layout.secrets(), { limit: 1, keysOnly: true }),
        );
        const keys = await this.#keys();
        // Also those that are gone since.
        names = [...new Set([...names, ...keys.map(({ key }) => this.#nameOf(key))])];
        newest = Math.max(newest, ...keys.map((each) => each.mod_revision));
        return { revision: header.revision, found: newest > seen };
      },
      began() {
        seen = newest;
        for (const name of names) listener(name);
      },
      take: async (events) => {
        for (const { kv } of events) {
          seen = Math.max(seen, kv.mod_revision);
          listener(this.#nameOf(kv.key));
        }
      },
    });
  }

  close(): Promise<void> {
    return this.#followers.close();
  }

  async #keys(): Promise<KeyValue[]> {
    const { client, layout } = this.#options;
    const keys: KeyValue[] = [];
    const options = { limit: KEYS_PAGE, keysOnly: true };
    for await (const page of pages(client, layout.secrets(), options)) keys.push(...page);
    return keys;
  }

  #nameOf(key: string): string {
    return key.slice(this.#options.layout.secrets().length);
  }
}

/** Throws without quoting what is there: it is secret. */
function readEntry({ value }: KeyValue, name: string): z.infer<typeof entrySchema> {
  try {
    return entrySchema.parse(JSON.parse(value));
  } catch {
    throw new Error(`the entry ${name} in etcd is malformed`);
  }
}

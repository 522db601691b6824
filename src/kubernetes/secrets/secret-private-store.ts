import { createHash } from "node:crypto";
import * as z from "zod";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import {
  expectEntryName,
  PrivateConflictError,
  type PrivateEntry,
  type PrivateStore,
} from "../../registry/identity/private-store.ts";
import type { Log } from "../../registry/log.ts";
import type { Timers } from "../../registry/timers.ts";
import { findObject } from "../api/find-object.ts";
import type { KubeApi } from "../api/kube-api.ts";
import { KubeApiError } from "../api/kube-api-error.ts";
import { type ApiResource, type KubeObject, pathOf } from "../api/objects.ts";
import { Reflector } from "../api/reflector.ts";

const SECRETS: ApiResource = {
  ...{ group: "", version: "v1", kind: "Secret", plural: "secrets", namespaced: true },
};
/** corev1.MaxSecretSize; the values of all entries together, before they are encoded. */
const MAX_BYTES = 1_048_576;
/** Other entries of the Secret are written too: how often a write is made anew on its newest version. */
const MAX_ATTEMPTS = 30;
const LABELS = { "app.kubernetes.io/name": "hostmesh", "app.kubernetes.io/component": "registry" };

const secretSchema = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string() }),
  data: z.record(z.string(), z.string()).nullish(),
});
type Secret = z.infer<typeof secretSchema>;
type Data = Readonly<Record<string, string>>;

export interface SecretPrivateStoreOptions {
  readonly api: Pick<KubeApi, "request" | "list" | "watch">;
  readonly namespace: string;
  /** Of the Secret. */
  readonly name: string;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * Entries in the data of one Secret, which is made when something is first written. What is compared is an entry's own
 * content, and what is swapped is the whole Secret at its resourceVersion: so writes of different entries do not fail each
 * other, and two writes of one do. Needs get, list, watch and update of this Secret, and to create it.
 */
export class SecretPrivateStore implements PrivateStore {
  readonly #options: SecretPrivateStoreOptions;
  readonly #path: string;
  readonly #listeners = new Set<(name: string) => void>();
  /** What the listeners have been told of. */
  #seen: Data = {};
  #reflector: Reflector | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: SecretPrivateStoreOptions) {
    this.#options = options;
    this.#path = pathOf(SECRETS, options.namespace, options.name);
  }

  placeOf(name: string): string {
    expectEntryName(name);
    const { namespace, name: secret } = this.#options;
    return `secret ${namespace}/${secret} (${name})`;
  }

  async read(name: string): Promise<PrivateEntry | null> {
    expectEntryName(name);
    return entryOf(dataOf(await this.#get()), name);
  }

  write(name: string, content: string, expected: string | null): Promise<string> {
    return this.#change(name, expected, (data) => ({ ...data, [name]: encode(content) })).then(() =>
      versionOf(content),
    );
  }

  async list(): Promise<readonly string[]> {
    return Object.keys(dataOf(await this.#get())).sort();
  }

  remove(name: string, expected: string): Promise<void> {
    return this.#change(name, expected, (data) => {
      const { [name]: _, ...rest } = data;
      return rest;
    });
  }

  watch(listener: (name: string) => void): () => void {
    this.#listeners.add(listener);
    if (this.#reflector === null) {
      const { api, namespace, name, timers, clock, random, log } = this.#options;
      this.#reflector = new Reflector({
        ...{ api, namespace, timers, clock, random, log },
        resource: SECRETS,
        fieldSelector: `metadata.name=${name}`,
        listener: {
          replaced: ([secret]) => this.#tell(secret),
          changed: (secret) => this.#tell(secret),
          removed: () => this.#tell(undefined),
          progressed: () => undefined,
        },
      });
      this.#reflector.start();
    }
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    await this.#reflector?.stop();
    await this.#last;
  }

  #tell(secret: KubeObject | undefined): void {
    const data = secret === undefined ? {} : dataOf(secretSchema.parse(secret));
    const before = this.#seen;
    this.#seen = data;
    for (const name of new Set([...Object.keys(before), ...Object.keys(data)])) {
      if (before[name] === data[name]) continue;
      for (const listener of this.#listeners) listener(name);
    }
  }

  /** One after the other: those of this process would only fail each other. */
  #change(name: string, expected: string | null, make: (data: Data) => Data): Promise<void> {
    const done = this.#last.then(() => this.#swap(name, expected, make));
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #swap(name: string, expected: string | null, make: (data: Data) => Data): Promise<void> {
    expectEntryName(name);
    for (let attempt = 1; ; attempt++) {
      const secret = await this.#get();
      const present = entryOf(dataOf(secret), name);
      if ((present?.version ?? null) !== expected) throw new PrivateConflictError(name);
      const data = make(dataOf(secret));
      refuseTooMuch(data, this.placeOf(name));
      try {
        await this.#put(secret, data);
        return;
      } catch (error) {
        // Somebody made or changed the Secret since it was read: another entry of it, perhaps.
        const isStale = error instanceof KubeApiError && error.status === 409;
        if (!isStale || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  async #get(): Promise<Secret | null> {
    const found = await findObject(this.#options.api, { path: this.#path });
    if (found === undefined) return null;
    const { data } = secretSchema.safeParse(found);
    // What a malformed answer says of itself may quote what is secret.
    if (data === undefined) throw new Error(`GET ${this.#path} answered no Secret`);
    return data;
  }

  async #put(secret: Secret | null, data: Data): Promise<void> {
    const { api, namespace, name } = this.#options;
    if (secret !== null) {
      await api.request({ method: "PUT", path: this.#path, body: { ...secret, data } });
      return;
    }
    await api.request({
      ...{ method: "POST", path: pathOf(SECRETS, namespace) },
      body: {
        ...{ apiVersion: "v1", kind: "Secret", type: "Opaque" },
        ...{ metadata: { name, namespace, labels: LABELS }, data },
      },
    });
  }
}

function dataOf(secret: Secret | null): Data {
  return secret?.data ?? {};
}

function entryOf(data: Data, name: string): PrivateEntry | null {
  const encoded = Object.hasOwn(data, name) ? data[name] : undefined;
  if (encoded === undefined) return null;
  const content = Buffer.from(encoded, "base64").toString("utf8");
  return { content, version: versionOf(content) };
}

function encode(content: string): string {
  return Buffer.from(content, "utf8").toString("base64");
}

function versionOf(content: string): string {
  return createHash("sha256").update(content).digest("hex");
}

function refuseTooMuch(data: Data, place: string): void {
  const bytes = Object.values(data).reduce(
    (sum, each) => sum + Buffer.byteLength(each, "base64"),
    0,
  );
  if (bytes > MAX_BYTES) throw new Error(`${place}: a Secret holds ${MAX_BYTES} bytes at most`);
}

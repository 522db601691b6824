import * as z from "zod";
import type { Log } from "../../registry/log.ts";
import type { Timers } from "../../registry/timers.ts";
import { findObject } from "../api/find-object.ts";
import type { KubeApi } from "../api/kube-api.ts";
import { type ApiResource, pathOf } from "../api/objects.ts";

const CONFIG_MAPS: ApiResource = {
  ...{ group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", namespaced: true },
};
/** The key, and so the name of the file where it is mounted. */
const KEY = "anchors.pem";
/** Looked at so often, in case somebody changed it or leadership came. */
const LOOK_MS = 30_000;
/** After a failure. */
const RETRY_MS = 2_000;

const schema = z.looseObject({ data: z.record(z.string(), z.string()).nullish() });

export interface TrustConfigMapOptions {
  readonly api: Pick<KubeApi, "request">;
  readonly namespace: string;
  /** Of the ConfigMap. */
  readonly name: string;
  /** One registry writes; asked before each write. */
  isLeader(): boolean;
  readonly timers: Timers;
  readonly log: Log;
}

/**
 * Keeps the mesh's trust anchors in a ConfigMap, which daemons mount: by it they know the registry at first contact. Needs
 * get and update of this ConfigMap, and to create it.
 */
export class TrustConfigMap {
  readonly #options: TrustConfigMapOptions;
  #wanted: string | null = null;
  #working: Promise<void> | null = null;
  #again = false;
  #isFailing = false;
  #closed = false;
  #cancel: () => void = () => undefined;

  constructor(options: TrustConfigMapOptions) {
    this.#options = options;
  }

  /** `anchors`: PEM each. Written soon, and again when something else stands there. */
  publish(anchors: readonly string[]): void {
    this.#wanted = anchors.map((pem) => `${pem.trim()}\n`).join("");
    this.look();
  }

  /** Compares now, as when this registry has become the leader. */
  look(): void {
    if (this.#closed || this.#wanted === null) return;
    this.#cancel();
    this.#again = true;
    this.#working ??= this.#work().finally(() => {
      this.#working = null;
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    await this.#working;
  }

  async #work(): Promise<void> {
    const { namespace, name, log } = this.#options;
    while (this.#again && !this.#closed) {
      this.#again = false;
      try {
        if (this.#options.isLeader()) await this.#write(this.#wanted ?? "");
        if (this.#isFailing) log.info("the trust anchors are published again", { namespace, name });
        this.#isFailing = false;
        this.#wait(LOOK_MS);
      } catch (error) {
        const facts = { namespace, name, error };
        if (!this.#isFailing) log.error("the trust anchors cannot be published", facts);
        this.#isFailing = true;
        this.#wait(RETRY_MS);
      }
    }
  }

  #wait(delayMs: number): void {
    this.#cancel();
    if (!this.#closed) this.#cancel = this.#options.timers.after(delayMs, () => this.look());
  }

  async #write(anchors: string): Promise<void> {
    const { api, namespace, name } = this.#options;
    const path = pathOf(CONFIG_MAPS, namespace, name);
    const present = await this.#read(path);
    if (present?.data?.[KEY] === anchors) return;
    if (present !== null) {
      // Its resourceVersion goes along: another's change in between is a conflict, and this is tried again.
      const body = { ...present, data: { ...present.data, [KEY]: anchors } };
      await api.request({ method: "PUT", path, body });
      return;
    }
    const labels = { "app.kubernetes.io/name": "hostmesh" };
    const metadata = { name, namespace, labels };
    await api.request({
      ...{ method: "POST", path: pathOf(CONFIG_MAPS, namespace) },
      body: { apiVersion: "v1", kind: "ConfigMap", metadata, data: { [KEY]: anchors } },
    });
  }

  async #read(path: string) {
    const found = await findObject(this.#options.api, { path });
    return found === undefined ? null : schema.parse(found);
  }
}

import { setTimeout as delay } from "node:timers/promises";
import type { KubeClient } from "./kube-client.ts";
import { type KubeObject, pathOf } from "./objects.ts";

/** What waits between two tries while the server is away. */
const RETRY_MS = 100;

/** All objects of a kind as the server last told of them: what controllers and kubelets of the lab act on. */
export class Informer {
  readonly objects = new Map<string, KubeObject>();
  readonly #abort = new AbortController();
  readonly #client: KubeClient;
  readonly #path: string;
  readonly #query: string;
  readonly #onChange: (object: KubeObject, gone: boolean) => void;
  readonly #done: Promise<void>;

  constructor(
    client: KubeClient,
    kind: { readonly apiVersion: string; readonly kind: string; readonly query?: string },
    onChange: (object: KubeObject, gone: boolean) => void,
  ) {
    this.#client = client;
    this.#path = pathOf(kind.apiVersion, kind.kind);
    this.#query = kind.query ?? "";
    this.#onChange = onChange;
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      try {
        await this.#watch(await this.#list());
      } catch {
        // The server is away or has forgotten the version: both end with a list.
        await delay(RETRY_MS, undefined, { signal: this.#abort.signal }).catch(() => undefined);
      }
    }
  }

  async #list(): Promise<string> {
    const list = await this.#client.must("GET", `${this.#path}?${this.#query}`);
    const [, kind = ""] = /^(.*)List$/.exec(list.kind) ?? [];
    const before = new Map(this.objects);
    for (const item of list.items) {
      const object = { ...item, apiVersion: list.apiVersion, kind };
      before.delete(keyOf(object));
      this.#take(object, false);
    }
    for (const object of before.values()) this.#take(object, true);
    return list.metadata.resourceVersion;
  }

  async #watch(resourceVersion: string): Promise<void> {
    const query = `${this.#query}&watch=1&resourceVersion=${resourceVersion}`;
    let isOver = false;
    const take = ({ type, object }: { type: string; object: KubeObject }): void => {
      if (type === "ERROR") isOver = true;
      else this.#take(object, type === "DELETED");
    };
    await this.#client.watch(`${this.#path}?${query}`, take, this.#abort.signal);
    if (isOver) throw new Error("the watch is too old");
  }

  #take(object: KubeObject, gone: boolean): void {
    if (gone) this.objects.delete(keyOf(object));
    else this.objects.set(keyOf(object), object);
    this.#onChange(object, gone);
  }
}

export function keyOf({ metadata: { namespace = "", name } }: KubeObject): string {
  return `${namespace}/${name}`;
}

import type { ToCluster } from "./clusters.ts";

/** Names are as long as clients like, and one service has many (`web`, `WEB.`, `web.shop.svc:80`). */
const MOST = 32_768;

/**
 * What the Host field of requests led to, for all connections of a worker: to read the name and to look up service,
 * port and cluster costs several times as much as to find its text here, and the more, the more services there are.
 * Holds until the services change. Only names of services are kept, so strangers cannot fill it with others.
 */
export class NamedDestinations {
  /** By the namespace of the source, which short names refer to. */
  readonly #byNamespace = new Map<string, Map<string, ToCluster>>();
  #version = -1;
  #size = 0;

  /** `version`: of the services, as they are now. */
  get(namespace: string, host: string, version: number): ToCluster | undefined {
    return this.#version === version ? this.#byNamespace.get(namespace)?.get(host) : undefined;
  }

  set(namespace: string, host: string, version: number, destination: ToCluster): void {
    if (this.#version !== version || this.#size >= MOST) {
      this.#byNamespace.clear();
      this.#size = 0;
      this.#version = version;
    }
    let names = this.#byNamespace.get(namespace);
    if (names === undefined) {
      names = new Map();
      this.#byNamespace.set(namespace, names);
    }
    // A string of its own: the one at hand may be a slice of the whole head, which it would keep in memory.
    names.set(Buffer.from(host, "latin1").toString("latin1"), destination);
    this.#size += 1;
  }
}

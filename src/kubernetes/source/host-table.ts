import { isIP } from "node:net";
import { canonicalAddress } from "../../core/address.ts";
import type { MeshHost } from "../../core/model.ts";
import type { PodFacts } from "./pod-facts.ts";

const COMPONENT = "app.kubernetes.io/component";
const MESH_PORT = "mesh";

/** A host as it shall be recorded; null: not at all. */
export interface WantedHost {
  readonly key: string;
  readonly value: MeshHost | null;
}

/**
 * Where nodes take mutual TLS: their daemons' pods say so. What a node has said holds until the node is gone: without its
 * daemon, for the time of a restart or longer, nobody goes over to plaintext by himself. That is for an operator to say
 * (`DELETE /v1/mesh/hosts/NAME`).
 */
export class HostTable {
  readonly #namespace: string;
  readonly #pods = new Map<string, PodFacts>();
  #wanted = new Map<string, MeshHost | null>();

  /** `namespace`: where the daemons run. */
  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  /** Takes what a pod is now; others than daemons say nothing. */
  set(key: string, facts: PodFacts | null): void {
    this.#pods.delete(key);
    if (facts === null || !this.#isDaemon(facts)) return;
    this.#pods.set(key, facts);
    let newest = facts;
    for (const one of this.#pods.values()) {
      if (one.node === facts.node && one.sinceMs > newest.sinceMs) newest = one;
    }
    this.#wanted.set(facts.node, hostOf(newest));
  }

  removeNode(name: string): void {
    this.#wanted.set(name, null);
  }

  /** Are there records that are still to be taken? */
  get isDirty(): boolean {
    return this.#wanted.size > 0;
  }

  /** The records about which something has changed since the last call. */
  takeChanged(): readonly WantedHost[] {
    const wanted = this.#wanted;
    this.#wanted = new Map();
    return [...wanted].map(([key, value]) => ({ key, value }));
  }

  /** What was taken could not be written; what has come meanwhile is newer. */
  giveBack(hosts: readonly WantedHost[]): void {
    for (const { key, value } of hosts) if (!this.#wanted.has(key)) this.#wanted.set(key, value);
  }

  #isDaemon({ namespace, labels, node, hostAddress, ports }: PodFacts): boolean {
    return (
      namespace === this.#namespace &&
      labels[COMPONENT] === "daemon" &&
      node !== "" &&
      isIP(hostAddress) !== 0 &&
      ports.has(MESH_PORT)
    );
  }
}

function hostOf({ node: name, hostAddress, ports }: PodFacts): MeshHost {
  return { name, address: canonicalAddress(hostAddress), meshPort: ports.get(MESH_PORT) ?? 0 };
}

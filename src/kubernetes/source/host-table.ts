import { isIP } from "node:net";
import { canonicalAddress } from "../../core/address.ts";
import type { MeshHost } from "../../core/model.ts";
import { NOWHERE, type NodePlace } from "../../dialects/kubernetes/node.ts";
import type { PodFacts } from "./pod-facts.ts";

const COMPONENT = "app.kubernetes.io/component";
const MESH_PORT = "mesh";

/** A host as it shall be recorded; null: not at all. */
export interface WantedHost {
  readonly key: string;
  readonly value: MeshHost | null;
}

/**
 * Where nodes take mutual TLS: their daemons' pods say so. What a node has said holds until the node is gone, and its daemons'
 * pods with it: without its daemon, for the time of a restart or longer, nobody goes over to plaintext by himself, nor while
 * a Node is deleted and made again beside a daemon that serves. That is for an operator to say (`DELETE /v1/mesh/hosts/NAME`). For that time the node is away, from the moment on in which its daemon shall end: the
 * daemon still serves for as long as others need to hear of it (`preStop`).
 */
export class HostTable {
  readonly #namespace: string;
  readonly #pods = new Map<string, PodFacts>();
  /** What each node is known as. */
  readonly #known = new Map<string, MeshHost>();
  readonly #places = new Map<string, NodePlace>();
  /** Nodes that were deleted while a daemon's pod was still there. */
  readonly #leaving = new Set<string>();
  #wanted = new Map<string, MeshHost | null>();

  /** `namespace`: where the daemons run. */
  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  /** Takes what a pod is now; others than daemons say nothing. */
  set(key: string, facts: PodFacts | null): void {
    const before = this.#pods.get(key);
    this.#pods.delete(key);
    if (facts !== null && this.#isDaemon(facts)) this.#pods.set(key, facts);
    const nodes = new Set([before?.node, this.#pods.get(key)?.node]);
    for (const node of nodes) {
      if (node === undefined) continue;
      if (this.#leaving.has(node)) this.removeNode(node);
      this.#look(node);
    }
  }

  /** Takes where a node is, which its own daemon learns from its record. */
  setNode(name: string, place: NodePlace): void {
    this.#leaving.delete(name);
    this.#places.set(name, place);
    this.#look(name);
  }

  /** A kubelet that registers again makes the Node anew and leaves the pods as they are; those of a lost one are collected. */
  removeNode(name: string): void {
    if ([...this.#pods.values()].some(({ node }) => node === name)) {
      this.#leaving.add(name);
      return;
    }
    this.#leaving.delete(name);
    this.#known.delete(name);
    this.#places.delete(name);
    this.#wanted.set(name, null);
  }

  /** Of several daemons the one that was started last counts (of the same second the one that serves, or was heard of last); without any the node is where it was. */
  #look(node: string): void {
    const pods = [...this.#pods.values()].filter((one) => one.node === node).reverse();
    const [newest] = pods.sort(
      (a, b) => b.sinceMs - a.sinceMs || Number(b.serves) - Number(a.serves),
    );
    const place = newest === undefined ? this.#known.get(node) : placeOf(newest);
    if (place === undefined) return;
    const { name, address, meshPort } = place;
    const { zone, region } = this.#places.get(node) ?? NOWHERE;
    const host: MeshHost = {
      ...{ name, address, meshPort },
      ...(zone === "" ? {} : { zone }),
      ...(region === "" ? {} : { region }),
      ...(newest?.serves ? {} : { away: true }),
    };
    this.#known.set(node, host);
    this.#wanted.set(node, host);
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

  #isDaemon(facts: PodFacts): boolean {
    const { namespace, labels, node, ports } = facts;
    return (
      namespace === this.#namespace &&
      labels[COMPONENT] === "daemon" &&
      node !== "" &&
      isIP(addressOf(facts)) !== 0 &&
      ports.has(MESH_PORT)
    );
  }
}

/** Where nothing is captured the daemon has a network of its own, and its port is not the node's. */
function addressOf({ hostNetwork, hostAddress, addresses }: PodFacts): string {
  return hostNetwork ? hostAddress : (addresses[0] ?? "");
}

function placeOf(facts: PodFacts): MeshHost {
  const { node: name, ports } = facts;
  const address = canonicalAddress(addressOf(facts));
  return { name, address, meshPort: ports.get(MESH_PORT) ?? 0 };
}

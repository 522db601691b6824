import { keyOf, type Workload } from "../../core/model.ts";
import { isEnrolled, type Marks, NO_MARKS } from "../../dialects/kubernetes/enrolment.ts";
import type { ClusterRules } from "../../dialects/translator.ts";
import type { PodFacts } from "./pod-facts.ts";

/** A workload as it shall be recorded; null: not at all. */
export interface WantedWorkload {
  readonly key: string;
  readonly value: Workload | null;
}

/**
 * Which pods are workloads, and which of them has an address. Of several pods with one address the one that was started last
 * has it: the others hold it no more, although their objects do not say so yet. Pods with the host's network have none.
 */
export class PodTable {
  readonly #rules: ClusterRules;
  readonly #pods = new Map<string, PodFacts>();
  /** Keys of the pods with an address, and of those in a namespace. */
  readonly #claims = new Map<string, Set<string>>();
  readonly #members = new Map<string, Set<string>>();
  readonly #namespaces = new Map<string, Marks>();
  readonly #dirty = new Set<string>();

  constructor(rules: ClusterRules) {
    this.#rules = rules;
  }

  /** Takes what a pod is now; null: it is gone, or over. */
  set(key: string, facts: PodFacts | null): void {
    const before = this.#pods.get(key);
    if (before !== undefined) {
      for (const address of claimedBy(before)) remove(this.#claims, address, key);
      remove(this.#members, before.namespace, key);
      this.#touch(before);
      this.#pods.delete(key);
    }
    if (facts !== null) {
      this.#pods.set(key, facts);
      for (const address of claimedBy(facts)) add(this.#claims, address, key);
      add(this.#members, facts.namespace, key);
      this.#touch(facts);
    }
    this.#dirty.add(key);
  }

  /** Takes what a namespace says of its pods; null: it is gone. */
  setNamespace(name: string, marks: Marks | null): void {
    if (marks === null) this.#namespaces.delete(name);
    else this.#namespaces.set(name, marks);
    for (const key of this.#members.get(name) ?? []) this.#dirty.add(key);
  }

  /** Are there pods whose records are still to be taken? */
  get isDirty(): boolean {
    return this.#dirty.size > 0;
  }

  /** The records of some pods about which something has changed. */
  takeChanged(limit: number): readonly WantedWorkload[] {
    const taken = [...this.#dirty].slice(0, limit);
    for (const key of taken) this.#dirty.delete(key);
    return taken.map((key) => ({ key, value: this.#workloadOf(key) }));
  }

  /** What was taken could not be written: it will be taken again. */
  giveBack(workloads: readonly WantedWorkload[]): void {
    for (const { key } of workloads) this.#dirty.add(key);
  }

  #workloadOf(key: string): Workload | null {
    const pod = this.#pods.get(key);
    if (pod === undefined || pod.node === "") return null;
    const { namespace, name, serviceAccount, node: host, labels, uid } = pod;
    const marks = this.#namespaces.get(namespace) ?? NO_MARKS;
    if (!isEnrolled(pod, marks, this.#rules)) return null;
    const addresses = pod.addresses.filter((address) => this.#ownerOf(address) === key);
    return {
      ...{ name, namespace, serviceAccount, host, addresses, labels },
      ...(uid === "" ? {} : { uid }),
    };
  }

  #ownerOf(address: string): string | undefined {
    const claims = [...(this.#claims.get(address) ?? [])];
    const since = (key: string) => this.#pods.get(key)?.sinceMs ?? 0;
    return claims.sort((a, b) => since(b) - since(a) || (a < b ? -1 : 1))[0];
  }

  /** Everybody who has an address of this pod may have another claim to it now. */
  #touch(pod: PodFacts): void {
    for (const address of claimedBy(pod)) {
      for (const key of this.#claims.get(address) ?? []) this.#dirty.add(key);
    }
  }
}

function claimedBy({ addresses, hostNetwork }: PodFacts): readonly string[] {
  return hostNetwork ? [] : addresses;
}

/** Key of a pod's workload. */
export function keyOfPod(pod: { readonly namespace?: string; readonly name: string }): string {
  return keyOf({ namespace: pod.namespace ?? "", name: pod.name });
}

function add(index: Map<string, Set<string>>, key: string, value: string): void {
  const there = index.get(key);
  if (there === undefined) index.set(key, new Set([value]));
  else there.add(value);
}

function remove(index: Map<string, Set<string>>, key: string, value: string): void {
  const there = index.get(key);
  there?.delete(value);
  if (there?.size === 0) index.delete(key);
}

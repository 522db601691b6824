import { logMarksIn } from "../../core/log-mark.ts";
import { keyOf, type Workload } from "../../core/model.ts";
import { isEnrolled, type Marks, NO_MARKS } from "../../dialects/kubernetes/enrolment.ts";
import type { ClusterRules } from "../../dialects/translator.ts";
import { Buckets } from "../../registry/buckets.ts";
import type { PodFacts } from "./pod-facts.ts";

/** A workload as it shall be recorded; null: not at all. */
export interface WantedWorkload {
  readonly key: string;
  readonly value: Workload | null;
}

/** How it became known what a pod is. */
export interface Sighting {
  /** `resourceVersion` of the list that it was in; null: the API server told of it by itself, when it was so. */
  readonly list: string | null;
  /** `resourceVersion` of the pod. */
  readonly version: string;
}

/** That a pod has an address, as it was when that was first seen. */
interface Claim {
  /** Grows from one sighting to the next; those of one list share it. */
  readonly order: number;
  readonly startedMs: number;
  readonly version: bigint;
  readonly madeMs: number;
  readonly uid: string;
}

/**
 * Which pods are workloads, and which of them has an address. Of several pods that say they have it, it is the one's that
 * said so last: the others hold it no more, although their objects do not say so yet. When it was started does not count, as
 * a pod gets another address when its node starts again. Of pods that were found in one list the order is not known: the
 * one that was started last has it, else the one that was written last (KEP-5504), else made last. Pods with the host's
 * network have none.
 */
export class PodTable {
  readonly #rules: ClusterRules;
  readonly #pods = new Map<string, PodFacts>();
  /** By address, then by key of the pod. */
  readonly #claims = new Map<string, Map<string, Claim>>();
  /** Of the newest claim, and the list that it was in. */
  #order = 0;
  #list: string | null = null;
  /** Keys of the pods in a namespace. */
  readonly #members = new Buckets();
  readonly #namespaces = new Map<string, Marks>();
  readonly #dirty = new Set<string>();

  constructor(rules: ClusterRules) {
    this.#rules = rules;
  }

  /** Takes what a pod is now. */
  set(key: string, facts: PodFacts, { list, version }: Sighting): void {
    const before = this.#drop(key);
    if (list === null || list !== this.#list) this.#order++;
    this.#list = list;
    const { sinceMs: startedMs, madeMs, uid, namespace } = facts;
    const claim = {
      ...{ order: this.#order, startedMs, madeMs, uid },
      version: /^\d+$/.test(version) ? BigInt(version) : 0n,
    };
    this.#pods.set(key, facts);
    this.#dirty.add(key);
    for (const address of claimedBy(facts)) {
      const known = before.get(address);
      const claims = this.#claims.get(address) ?? new Map<string, Claim>();
      this.#claims.set(address, claims.set(key, known?.uid === uid ? known : claim));
    }
    this.#members.add(namespace, key);
    this.#touch(facts);
  }

  /** A pod is gone, or over. */
  remove(key: string): void {
    this.#drop(key);
    this.#dirty.add(key);
  }

  /** Its claims up to now, by address. */
  #drop(key: string): ReadonlyMap<string, Claim> {
    const dropped = new Map<string, Claim>();
    const pod = this.#pods.get(key);
    if (pod === undefined) return dropped;
    this.#touch(pod);
    for (const address of claimedBy(pod)) {
      const claims = this.#claims.get(address);
      const claim = claims?.get(key);
      if (claim !== undefined) dropped.set(address, claim);
      claims?.delete(key);
      if (claims?.size === 0) this.#claims.delete(address);
    }
    this.#members.delete(pod.namespace, key);
    this.#pods.delete(key);
    return dropped;
  }

  /** Takes what a namespace says of its pods; null: it is gone. */
  setNamespace(name: string, marks: Marks | null): void {
    if (marks === null) this.#namespaces.delete(name);
    else this.#namespaces.set(name, marks);
    for (const key of this.#members.members(name)) this.#dirty.add(key);
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
      ...{ name, namespace, serviceAccount, host, addresses },
      labels: { ...labels, ...logMarksIn(marks.annotations), ...logMarksIn(pod.annotations) },
      ...(uid === "" ? {} : { uid }),
    };
  }

  #ownerOf(address: string): string | undefined {
    const claims = [...(this.#claims.get(address) ?? [])];
    return claims.sort(([, a], [, b]) => newerFirst(a, b))[0]?.[0];
  }

  /** Everybody who has an address of this pod may have another claim to it now. */
  #touch(pod: PodFacts): void {
    for (const address of claimedBy(pod)) {
      for (const key of this.#claims.get(address)?.keys() ?? []) this.#dirty.add(key);
    }
  }
}

function newerFirst(a: Claim, b: Claim): number {
  return (
    b.order - a.order ||
    b.startedMs - a.startedMs ||
    Number(b.version - a.version) ||
    b.madeMs - a.madeMs ||
    (a.uid < b.uid ? 1 : -1)
  );
}

function claimedBy({ addresses, hostNetwork }: PodFacts): readonly string[] {
  return hostNetwork ? [] : addresses;
}

/** Key of a pod's workload. */
export function keyOfPod(pod: { readonly namespace?: string; readonly name: string }): string {
  return keyOf({ namespace: pod.namespace ?? "", name: pod.name });
}

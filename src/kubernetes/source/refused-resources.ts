import { isDeepStrictEqual } from "node:util";
import type { Issue } from "../../core/schema-issue.ts";
import type { KubeObject } from "../api/objects.ts";

/** A resource that was not taken in this form; what it was before may still be in force. */
export interface RefusedResource {
  /** `group/Kind/namespace/name`. */
  readonly key: string;
  readonly object: KubeObject;
  readonly issues: readonly Issue[];
}

/** What is refused at present, for those who say so: `/v1/mesh/status`, the resource's own status, Events. */
export class RefusedResources {
  readonly #refused = new Map<string, RefusedResource>();
  readonly #listeners = new Set<() => void>();

  get(key: string): RefusedResource | undefined {
    return this.#refused.get(key);
  }

  all(): Iterable<RefusedResource> {
    return this.#refused.values();
  }

  get size(): number {
    return this.#refused.size;
  }

  /** Told of every change; the result ends the subscription. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What became of some resources: those of `settled` are taken or gone, those of `refused` are not taken. */
  update(settled: Iterable<string>, refused: readonly RefusedResource[]): void {
    let isChanged = false;
    for (const key of settled) isChanged = this.#refused.delete(key) || isChanged;
    for (const one of refused) {
      isChanged ||= !isDeepStrictEqual(this.#refused.get(one.key), one);
      this.#refused.set(one.key, one);
    }
    if (isChanged) for (const listener of this.#listeners) listener();
  }
}

import type { Issue } from "../../core/schema-issue.ts";
import type { KubeObject } from "../api/objects.ts";

/** A resource that the registry did not take in this form; an earlier one may still be in force. */
export interface Refusal {
  /** The registry's: `group/Kind/namespace/name`. */
  readonly key: string;
  readonly object: KubeObject;
  readonly issues: readonly Issue[];
}

/** What is refused at present. */
export interface Refusals {
  get(key: string): Refusal | undefined;
  all(): Iterable<Refusal>;
  /** Told of every change; the result ends the subscription. */
  subscribe(listener: () => void): () => void;
}

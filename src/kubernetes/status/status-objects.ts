import type { KubeObject } from "../api/objects.ts";
import type { ReflectorListener } from "../api/reflector.ts";
import type { WantedKind } from "../api/wanted-kinds.ts";
import { isOlder, type StatusObject, statusObjectOf } from "./status-object.ts";

/** The objects whose status is ours to write, as they are in the cluster. */
export class StatusObjects {
  readonly #objects = new Map<string, StatusObject>();
  readonly #onChange: (key: string) => void;
  readonly #onGone: (key: string) => void;

  constructor(onChange: (key: string) => void, onGone: (key: string) => void) {
    this.#onChange = onChange;
    this.#onGone = onGone;
  }

  get(key: string): StatusObject | undefined {
    return this.#objects.get(key);
  }

  keys(): readonly string[] {
    return [...this.#objects.keys()];
  }

  /** Takes a state from wherever it comes; one that is older than what is known is left out. */
  put(object: KubeObject): void {
    const found = statusObjectOf(object);
    const known = this.#objects.get(found.key);
    if (known !== undefined && isOlder(found, known)) return;
    this.#objects.set(found.key, found);
    this.#onChange(found.key);
  }

  delete(key: string): void {
    if (this.#objects.delete(key)) this.#onGone(key);
  }

  /** None of the kinds is of Kubernetes' core group, whose name the registry writes otherwise. */
  listenerOf({ group, kind }: WantedKind): ReflectorListener {
    const prefix = `${group}/${kind}/`;
    return {
      replaced: (items) => {
        const keys = new Set(items.map((item) => statusObjectOf(item).key));
        for (const key of this.#objects.keys()) {
          if (key.startsWith(prefix) && !keys.has(key)) this.delete(key);
        }
        for (const item of items) this.put(item);
      },
      changed: (object) => this.put(object),
      removed: (object) => this.delete(statusObjectOf(object).key),
      progressed: () => undefined,
    };
  }
}

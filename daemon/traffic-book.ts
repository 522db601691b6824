import type { Change } from "../src/core/model.ts";

/** A change of how traffic is treated. */
export type TrafficChange = Extract<Change, { kind: "route" | "traffic" | "scope" }>;

/** All routes, traffic policies and scopes of the mesh, as the main thread keeps them to compile services with. */
export class TrafficBook {
  readonly #byKind = {
    route: new Map<string, unknown>(),
    traffic: new Map<string, unknown>(),
    scope: new Map<string, unknown>(),
  };

  set({ kind, key, value }: TrafficChange): void {
    if (value === null) this.#byKind[kind].delete(key);
    else this.#byKind[kind].set(key, value);
  }

  get(kind: TrafficChange["kind"], key: string): unknown {
    return this.#byKind[kind].get(key);
  }

  keys(kind: TrafficChange["kind"]): Iterable<string> {
    return this.#byKind[kind].keys();
  }
}

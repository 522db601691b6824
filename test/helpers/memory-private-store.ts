import {
  expectEntryName,
  PrivateConflictError,
  type PrivateEntry,
  type PrivateStore,
} from "../../src/registry/identity/private-store.ts";

/** A place in memory that several registries of a test share; each opens its own store on it. */
export class MemoryPlace {
  readonly entries = new Map<string, PrivateEntry>();
  readonly #listeners = new Set<(name: string) => void>();
  #versions = 0;
  /** While set, nothing can be reached. */
  failure: Error | null = null;

  open(): PrivateStore {
    return {
      placeOf: (name) => `memory:${name}`,
      read: async (name) => {
        this.#reach(name);
        return this.entries.get(name) ?? null;
      },
      write: async (name, content, expected) => {
        this.#expect(name, expected);
        const version = String(++this.#versions);
        this.entries.set(name, { content, version });
        this.#tell(name);
        return version;
      },
      list: async () => [...this.entries.keys()].sort(),
      remove: async (name, expected) => {
        this.#expect(name, expected);
        this.entries.delete(name);
        this.#tell(name);
      },
      watch: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      close: () => Promise.resolve(),
    };
  }

  #reach(name: string): void {
    expectEntryName(name);
    if (this.failure !== null) throw this.failure;
  }

  #expect(name: string, expected: string | null): void {
    this.#reach(name);
    if ((this.entries.get(name)?.version ?? null) !== expected) {
      throw new PrivateConflictError(name);
    }
  }

  #tell(name: string): void {
    // Later, as from a real one: the writer has gone on meanwhile.
    for (const listener of this.#listeners) setImmediate(() => listener(name));
  }
}

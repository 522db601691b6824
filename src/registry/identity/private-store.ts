/** What is read of an entry. */
export interface PrivateEntry {
  readonly content: string;
  /** Opaque; another with every other content. */
  readonly version: string;
}

/** Somebody else has written, made or removed the entry since it was read: read it again. */
export class PrivateConflictError extends Error {
  constructor(name: string) {
    super(`the entry ${name} was changed by another registry meanwhile`);
    this.name = "PrivateConflictError";
  }
}

/**
 * Where registries keep what is secret: the mesh's authority with its keys, and the hashes of join tokens. A folder of one
 * registry, or a place that several share; compare-and-swap is all that keeps them apart, and
 * `test/registry/identity/private-store-conformance.ts` holds every implementation to it.
 *
 * Names are of letters, digits, `-`, `_` and `.`, at most 128 of them, and do not begin with a dot. Contents are never
 * logged or put into an error's message, and where several share the place all of them together stay below 1 MiB.
 */
export interface PrivateStore {
  /** Where an entry is, for messages: as its path. */
  placeOf(name: string): string;
  /** As it is where it is kept, not as it was remembered; null: there is no such entry. */
  read(name: string): Promise<PrivateEntry | null>;
  /**
   * Writes the entry if its version is `expected` (null: if there is none), and resolves with the new version when that is
   * durable. Rejects with {@link PrivateConflictError} and changes nothing where it is another; with another error where
   * it may or may not be written.
   */
  write(name: string, content: string, expected: string | null): Promise<string>;
  /** The names of all entries, sorted. */
  list(): Promise<readonly string[]>;
  /** Rejects with {@link PrivateConflictError} where its version is another, or there is none. */
  remove(name: string, expected: string): Promise<void>;
  /**
   * Tells the names of entries that may have changed, by whomever, within a second or two while the place can be reached,
   * and after an outage all that it has missed; the result ends that. Absent: nobody else writes.
   */
  watch?(listener: (name: string) => void): () => void;
  close(): Promise<void>;
}

const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/;

/** Throws for a name that is none: it would become a path. */
export function expectEntryName(name: string): void {
  if (!NAME.test(name)) throw new TypeError(`${JSON.stringify(name)} is no name of an entry`);
}

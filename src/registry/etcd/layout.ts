import type { RecordKind } from "../records.ts";

/** Digits of a revision in a key, so that keys sort as numbers do: 2^53 has sixteen. */
const DIGITS = 16;

/** What the key of a commit in the log says of it; see {@link Layout}. */
export interface LoggedCommit {
  readonly revision: number;
  /** Records that it changed. */
  readonly changes: number;
  /** Of its text, wherever that is kept. */
  readonly bytes: number;
  /** Names the parts of its text; empty: the text is the value of the key. */
  readonly parts: string;
}

/**
 * The keys of the registry's state in etcd, all below one prefix:
 *
 * - `format`, `epoch`: of the whole; made with the store.
 * - `head`: the newest revision. Every commit compares it and raises it by one, which alone decides who writes.
 * - `log/<revision>,<changes>,<bytes>,<parts>`: what a commit changed. It is the truth until it is dropped.
 * - `parts/<id>/<n>`: the text of a commit that does not fit into one request, written before the commit that names it.
 * - `records/<kind>/<key>`: every record as of revision `applied`; `long/<kind>/<key>/<n>`: text that does not fit there.
 * - `applied`: the revision that `records` have reached: `head`, except while a large commit is being carried over.
 * - `floor`: the change from any revision from here on to now can be read from the log.
 * - `turn`: while it is there, only who has made it commits; bound to a lease, see turn.ts.
 * - `leader`, `beats/<registry>`: bound to leases, see election.ts and shared-beats.ts. `private/<name>`: see private-store.ts.
 */
export class Layout {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  readonly format = () => `${this.#prefix}format`;
  readonly epoch = () => `${this.#prefix}epoch`;
  readonly head = () => `${this.#prefix}head`;
  readonly applied = () => `${this.#prefix}applied`;
  readonly floor = () => `${this.#prefix}floor`;
  readonly turn = () => `${this.#prefix}turn`;
  readonly leader = () => `${this.#prefix}leader`;
  readonly log = () => `${this.#prefix}log/`;
  readonly records = () => `${this.#prefix}records/`;
  readonly allParts = () => `${this.#prefix}parts/`;
  readonly beats = () => `${this.#prefix}beats/`;
  readonly secrets = () => `${this.#prefix}private/`;

  /** Where the keys of commits from this revision on begin. */
  logFrom(revision: number): string {
    return `${this.log()}${String(revision).padStart(DIGITS, "0")}`;
  }

  logged({ revision, changes, bytes, parts }: LoggedCommit): string {
    return `${this.logFrom(revision)},${changes},${bytes},${parts}`;
  }

  readLogged(key: string): LoggedCommit {
    const [revision = "", changes = "", bytes = "", parts = ""] = key
      .slice(this.log().length)
      .split(",");
    const commit = {
      revision: Number(revision),
      changes: Number(changes),
      bytes: Number(bytes),
      parts,
    };
    if (!(commit.revision > 0) || !(commit.changes >= 0) || !(commit.bytes >= 0)) {
      throw new Error(`${key} is no key of a commit`);
    }
    return commit;
  }

  parts(id: string): string {
    return `${this.allParts()}${id}/`;
  }

  part(id: string, index: number): string {
    return `${this.parts(id)}${String(index).padStart(6, "0")}`;
  }

  /** The id of the parts that a key belongs to. */
  readParts(key: string): string {
    return key.slice(this.allParts().length).split("/")[0] ?? "";
  }

  record(kind: RecordKind, key: string): string {
    return `${this.records()}${kind}/${key}`;
  }

  readRecord(name: string): { readonly kind: string; readonly key: string } {
    const path = name.slice(this.records().length);
    const slash = path.indexOf("/");
    return { kind: path.slice(0, slash), key: path.slice(slash + 1) };
  }

  /** A byte 0 ends the key, so that no key is the beginning of another. */
  long(kind: RecordKind, key: string): string {
    return `${this.#prefix}long/${kind}/${key}\0`;
  }

  longPiece(kind: RecordKind, key: string, index: number): string {
    return `${this.long(kind, key)}${String(index).padStart(6, "0")}`;
  }

  beatsOf(registry: string): string {
    return `${this.beats()}${registry}`;
  }

  secret(name: string): string {
    return `${this.secrets()}${name}`;
  }
}

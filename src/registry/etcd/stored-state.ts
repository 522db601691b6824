import { randomUUID } from "node:crypto";
import type { RawRecord } from "../record-schema.ts";
import { recordKind } from "../record-schema.ts";
import {
  type CommitText,
  readCommit,
  readCommitHead,
  readWrites,
  type TextWrite,
} from "./commit-text.ts";
import { type EtcdClient, EtcdRefusal } from "./etcd-client.ts";
import {
  isAbsent,
  type KeyValue,
  manyKeys,
  oneKey,
  put,
  type RangeOptions,
  range,
} from "./etcd-messages.ts";
import type { Layout, LoggedCommit } from "./layout.ts";
import { readRecordText } from "./record-text.ts";

const FORMAT = "1";
/** Keys of one answer: of records, which may each have three quarters of a MiB, and of keys alone. */
const PAGE = 200;
const KEYS_PAGE = 10_000;
const PARTS_PAGE = 16;
/** Commits of one answer. */
export const LOG_PAGE = 32;
/** Of gRPC: etcd has compacted the revision that is being read. */
const OUT_OF_RANGE = 11;
const MAX_LOADS = 5;

/** Everything that the store holds, as of one revision. */
export interface StoredState {
  readonly revision: number;
  readonly floor: number;
  readonly records: readonly RawRecord[];
  readonly log: readonly LoggedCommit[];
}

/** Makes the store where there is none, whoever else does so at the same time; resolves with its epoch. */
export async function openEpoch(client: EtcdClient, layout: Layout): Promise<string> {
  const { responses } = await client.txn({
    compare: [isAbsent(layout.format())],
    success: [
      put(layout.format(), FORMAT),
      put(layout.epoch(), randomUUID()),
      ...[layout.head(), layout.applied(), layout.floor()].map((key) => put(key, "1")),
      range(oneKey(layout.format())),
      range(oneKey(layout.epoch())),
    ],
    failure: [range(oneKey(layout.format())), range(oneKey(layout.epoch()))],
  });
  const [format, epoch] = responses.flatMap(({ response_range: found }) => found?.kvs ?? []);
  if (format?.value !== FORMAT) {
    const found = `has format ${format?.value}, this version reads format ${FORMAT}`;
    throw new Error(`the registry's store in etcd ${found}`);
  }
  if (epoch === undefined || epoch.value === "") throw new Error("the store in etcd has no epoch");
  return epoch.value;
}

/** Reads all of it as of one moment, beginning anew where etcd compacts that moment away meanwhile. */
export async function loadState(client: EtcdClient, layout: Layout): Promise<StoredState> {
  for (let load = 1; ; load++) {
    try {
      return await new Loader(client, layout).load();
    } catch (error) {
      const isCompacted = error instanceof EtcdRefusal && error.code === OUT_OF_RANGE;
      if (!isCompacted || load === MAX_LOADS) throw error;
    }
  }
}

/** The whole text of a commit, wherever it is. Rejects where its parts are gone. */
export async function readWhole(
  client: EtcdClient,
  layout: Layout,
  { key, value }: KeyValue,
): Promise<CommitText> {
  const { parts, bytes } = layout.readLogged(key);
  if (parts === "") return readCommit(value);
  const pieces: string[] = [];
  for await (const page of pages(client, layout.parts(parts), { limit: PARTS_PAGE })) {
    for (const piece of page) pieces.push(piece.value);
  }
  const text = pieces.join("");
  if (Buffer.byteLength(text) !== bytes) throw new Error(`the parts of commit ${key} are gone`);
  return { ...readCommitHead(value), writes: readWrites(text) };
}

/** Commits after `from` up to `to`, none left out. Throws where the log no longer has them all. */
export async function* commitsBetween(
  client: EtcdClient,
  layout: Layout,
  from: number,
  to: number,
): AsyncIterable<{ readonly revision: number; readonly writes: readonly TextWrite[] }> {
  let next = from + 1;
  while (next <= to) {
    const first = layout.logFrom(next);
    const { kvs } = await client.range(manyKeys(layout.log(), { limit: LOG_PAGE }, first));
    for (const each of kvs) {
      const { revision } = layout.readLogged(each.key);
      if (revision > to) return;
      if (revision !== next) break;
      next++;
      yield { revision, writes: (await readWhole(client, layout, each)).writes };
    }
    const { revision } = kvs[0] === undefined ? { revision: 0 } : layout.readLogged(kvs[0].key);
    if (next <= to && first !== layout.logFrom(revision)) throw new Error(`commit ${next} is gone`);
  }
}

/** Key-value pairs of a prefix, in the order of their keys. */
export async function* pages(
  client: EtcdClient,
  prefix: string,
  options: RangeOptions,
): AsyncIterable<readonly KeyValue[]> {
  let first = prefix;
  for (;;) {
    const { kvs, more } = await client.range(manyKeys(prefix, options, first));
    if (kvs.length > 0) yield kvs;
    const last = kvs.at(-1);
    if (!more || last === undefined) return;
    first = `${last.key}\0`;
  }
}

/** One attempt to read everything, all at the revision of etcd's at which the first read was. */
class Loader {
  readonly #client: EtcdClient;
  readonly #layout: Layout;

  constructor(client: EtcdClient, layout: Layout) {
    this.#client = client;
    this.#layout = layout;
  }

  async load(): Promise<StoredState> {
    const client = this.#client;
    const layout = this.#layout;
    const keys = [layout.head(), layout.applied(), layout.floor()];
    const success = keys.map((key) => range(oneKey(key)));
    const { responses, header } = await client.txn({ compare: [], success, failure: [] });
    const at = { revision: header.revision };
    const [head = 0, applied = 0, floor = 0] = responses.map(({ response_range: found }) =>
      Number(found?.kvs[0]?.value),
    );
    const log: LoggedCommit[] = [];
    for await (const page of pages(client, layout.log(), {
      ...at,
      limit: KEYS_PAGE,
      keysOnly: true,
    })) {
      log.push(...page.map(({ key }) => layout.readLogged(key)));
    }
    const records = new Map<string, RawRecord>();
    for await (const page of pages(client, layout.records(), { ...at, limit: PAGE })) {
      for (const each of page) records.set(...(await this.#record(each, at)));
    }
    for (const commit of log) {
      if (commit.revision > applied) await this.#carryOver(records, commit, at);
    }
    return { revision: head, floor, records: sorted(records), log };
  }

  async #record({ key: name, value }: KeyValue, at: RangeOptions): Promise<[string, RawRecord]> {
    const { kind: word, key } = this.#layout.readRecord(name);
    const kind = recordKind.parse(word);
    const text = readRecordText(value);
    const { revision, created } = text;
    if ("value" in text) {
      return [name, { kind, key, revision, created, json: JSON.stringify(text.value) }];
    }
    const pieces: string[] = [];
    const prefix = this.#layout.long(kind, key);
    for await (const page of pages(this.#client, prefix, { ...at, limit: PARTS_PAGE })) {
      for (const piece of page) pieces.push(piece.value);
    }
    if (pieces.length < text.pieces) throw new Error(`the stored ${kind} ${key} is not whole`);
    return [name, { kind, key, revision, created, json: pieces.join("") }];
  }

  /** The commit is in the log and not yet, or not wholly, in the records. */
  async #carryOver(
    records: Map<string, RawRecord>,
    commit: LoggedCommit,
    at: RangeOptions,
  ): Promise<void> {
    const { revision } = commit;
    const { kvs } = await this.#client.range({
      ...oneKey(this.#layout.logged(commit)),
      revision: String(at.revision),
    });
    const [found] = kvs;
    if (found === undefined) throw new Error(`commit ${revision} is gone`);
    const { writes } = await readWhole(this.#client, this.#layout, found);
    for (const write of writes) {
      const name = this.#layout.record(write.kind, write.key);
      const before = records.get(name);
      if (write.json === null) records.delete(name);
      else
        records.set(name, {
          ...raw(write, write.json),
          revision,
          created: createdOf(before, revision),
        });
    }
  }
}

/** A record that this commit has made already has that as its creation. */
function createdOf(before: RawRecord | undefined, revision: number): number {
  return before?.created ?? revision;
}

function raw({ kind, key }: TextWrite, json: string) {
  return { kind, key, json };
}

/** By kind and key, as a range of etcd's is. */
function sorted(records: ReadonlyMap<string, RawRecord>): RawRecord[] {
  return [...records].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, record]) => record);
}

import { ExemplarBook } from "./exemplar-book.ts";
import { PAIR, type Series, SHAPES, TABLES } from "./series.ts";
import type { SeriesLabel } from "./slot-allotter.ts";
import { OTHER, OTHER_SLOT, type SlotTable, type TableName } from "./slot-table.ts";

/** Label sets that nobody used for this long may go when room is short. Linkerd's idle time of metrics. */
const IDLE_MS = 600_000;

interface Member {
  readonly table: SlotTable;
  readonly slot: number;
  readonly generation: number;
}

/** One label set, summed over all workers. */
export class SeriesGroup {
  readonly labels: readonly string[];
  /** The labels as one text. */
  readonly key: string;
  readonly #members: Member[] = [];
  /** Word 0 and the time at which it was last seen to change; kept by `SeriesReader.retire`. */
  uses = 0;
  usedMs: number | null = null;

  constructor(labels: readonly string[]) {
    this.labels = labels;
    this.key = labels.join("\0");
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  add(member: Member): void {
    const same = this.#members.findIndex(
      ({ table, slot }) => table === member.table && slot === member.slot,
    );
    if (same === -1) this.#members.push(member);
    else this.#members[same] = member;
  }

  /** One word, added up. */
  sum(word: number): number {
    let total = 0;
    for (const { table, slot, generation } of this.#members) {
      if (table.generations[slot] !== generation) continue;
      total += table.words[slot * table.shape.words + word] ?? 0;
    }
    return total;
  }

  /** Adds `count` words from `first` on to `into`; with `map`, word i goes to `into[map[i]]`. */
  addTo(into: number[] | Float64Array, first: number, count: number, map?: Uint8Array): void {
    for (const { table, slot, generation } of this.#members) {
      if (table.generations[slot] !== generation) continue;
      const base = slot * table.shape.words + first;
      for (let index = 0; index < count; index += 1) {
        const value = table.words[base + index] ?? 0;
        if (value === 0) continue;
        const target = map === undefined ? index : (map[index] ?? 0);
        into[target] = (into[target] ?? 0) + value;
      }
    }
  }
}

/**
 * The main thread's view of all regions: which slot stands for which labels, and sums over the workers.
 * Feed it every label that a worker reports; hand `known` to a worker that replaces another.
 */
export class SeriesReader {
  /** Traced requests of flows. */
  readonly exemplars = new ExemplarBook();
  readonly #regions: readonly Series[];
  readonly #groups: Readonly<Record<TableName, Map<string, SeriesGroup>>>;
  readonly #others: Readonly<Record<TableName, SeriesGroup>>;
  readonly #labels: Map<string, SeriesLabel>[];

  constructor(regions: readonly Series[]) {
    this.#regions = regions;
    this.#labels = regions.map(() => new Map());
    this.#groups = {
      pairs: new Map(),
      flows: new Map(),
      outcomes: new Map(),
      destinations: new Map(),
      endpoints: new Map(),
      routes: new Map(),
      istio_requests: new Map(),
      istio_connections: new Map(),
    };
    const other = (name: TableName): SeriesGroup => {
      const group = new SeriesGroup(SHAPES[name].labels.map(() => OTHER));
      for (const region of regions) {
        group.add({ table: region.tables[name], slot: OTHER_SLOT, generation: 1 });
      }
      return group;
    };
    this.#others = {
      pairs: other("pairs"),
      flows: other("flows"),
      outcomes: other("outcomes"),
      destinations: other("destinations"),
      endpoints: other("endpoints"),
      routes: other("routes"),
      istio_requests: other("istio_requests"),
      istio_connections: other("istio_connections"),
    };
  }

  /** Takes what a worker reported. A label that was known already changes nothing. */
  learn(worker: number, label: SeriesLabel): void {
    const region = this.#regions[worker];
    if (region === undefined) throw new RangeError(`no region for worker ${worker}`);
    const key = label.labels.join("\0");
    const groups = this.#groups[label.table];
    let group = groups.get(key);
    if (group === undefined) {
      group = new SeriesGroup(label.labels);
      groups.set(key, group);
    }
    const { slot, generation } = label;
    group.add({ table: region.tables[label.table], slot, generation });
    this.#labels[worker]?.set(`${label.table} ${slot}`, label);
  }

  /** What a worker that takes this region over must be given. */
  known(worker: number): SeriesLabel[] {
    return [...(this.#labels[worker]?.values() ?? [])];
  }

  /** Every label set of one table; `other` last, and only once something was folded into it. */
  *groups(table: TableName): Generator<SeriesGroup> {
    yield* this.#groups[table].values();
    if (this.folded(table) > 0) yield this.#others[table];
  }

  /** Label sets in use, `other` not counted. */
  size(table: TableName): number {
    return this.#groups[table].size;
  }

  /** How often `other` was used because a worker's table was full. */
  folded(table: TableName): number {
    return this.total((region) => region.tables[table].folded[0] ?? 0);
  }

  /** Adds up something over all regions. */
  total(read: (region: Series) => number): number {
    let total = 0;
    for (const region of this.#regions) total += read(region);
    return total;
  }

  /** Sums arrays of equal length over all regions. */
  totals(read: (region: Series) => Float64Array): number[] {
    const sums: number[] = [];
    for (const region of this.#regions) {
      for (const [index, value] of read(region).entries()) sums[index] = (sums[index] ?? 0) + value;
    }
    return sums;
  }

  /**
   * Lets go of label sets that no worker has used for ten minutes, in tables that are more than half
   * full; returns how many. A label set goes in all workers at once, so that a sum never falls: it ends,
   * and starts again at zero if it is ever used again. Call it every few seconds.
   */
  retire(nowMs: number): number {
    let retired = 0;
    for (const name of TABLES) retired += this.#retireFrom(name, nowMs);
    return retired;
  }

  #retireFrom(name: TableName, nowMs: number): number {
    const groups = this.#groups[name];
    const short = groups.size * 2 > (this.#regions[0]?.tables[name].capacity ?? 0) - 1;
    let retired = 0;
    for (const [key, group] of groups) {
      const uses = group.sum(0);
      if (uses !== group.uses || group.usedMs === null) {
        group.uses = uses;
        group.usedMs = nowMs;
      } else if (short && nowMs - group.usedMs >= IDLE_MS && !isOpen(name, group)) {
        groups.delete(key);
        this.#release(name, group);
        retired += 1;
      }
    }
    return retired;
  }

  #release(name: TableName, group: SeriesGroup): void {
    for (const { table, slot, generation } of group.members) {
      Atomics.store(table.released, slot, generation);
      // The worker looks at the slots only when this has grown.
      Atomics.add(table.releases, 0, 1);
      const worker = this.#regions.findIndex((region) => region.tables[name] === table);
      this.#labels[worker]?.delete(`${name} ${slot}`);
    }
  }
}

/** Requests in flight keep their gauge. */
function isOpen(name: TableName, group: SeriesGroup): boolean {
  return name === "pairs" && group.sum(PAIR.inFlight) > 0;
}

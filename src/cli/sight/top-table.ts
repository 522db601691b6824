import { LRUCache } from "lru-cache";
import { CODES, isMeshErrorCode } from "../../core/errors.ts";
import type { TapEvent } from "../../sight/tap-event.ts";

export const TOP_SORTS = ["count", "worst", "last", "success"] as const;
export type TopSort = (typeof TOP_SORTS)[number];

/** What is counted together. */
export interface TopGrouping {
  /** By the route in place of method and path. */
  readonly routes: boolean;
  /** All sources as one. */
  readonly hideSources: boolean;
  /** As they are: identifiers in them make lines of their own. */
  readonly fullPaths: boolean;
}

/** What was seen of one kind of request. Times in ms. */
export interface TopRow {
  /** Null: sources are not told apart. */
  readonly source: string | null;
  /** `namespace/name` or null. */
  readonly destination: string | null;
  /** Null, with `path`: routes are counted. */
  readonly method: string | null;
  readonly path: string | null;
  readonly route: string | null;
  readonly count: number;
  readonly failures: number;
  readonly bestMs: number;
  readonly worstMs: number;
  readonly lastMs: number;
}

/** What is used of an event. */
export type TopEvent = Pick<
  TapEvent,
  | "source"
  | "destination"
  | "protocol"
  | "method"
  | "path"
  | "route"
  | "status"
  | "error"
  | "durationMs"
>;

/** Kinds that are remembered; beyond them the one that was seen longest ago is forgotten. */
const MAX_ROWS = 1_000;
const MAX_PATH_CHARS = 200;

/** Adds up the requests of a tap. */
export class TopTable {
  readonly #grouping: TopGrouping;
  readonly #rows: LRUCache<string, { -readonly [K in keyof TopRow]: TopRow[K] }>;
  #forgotten = 0;
  #skipped = 0;

  constructor(grouping: TopGrouping, maxRows = MAX_ROWS) {
    this.#grouping = grouping;
    this.#rows = new LRUCache({ max: maxRows });
  }

  /** Kinds that are no longer shown, because there were too many. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Requests that the daemons left out, to keep to the tap's limit. */
  get skipped(): number {
    return this.#skipped;
  }

  skip(events: number): void {
    this.#skipped += events;
  }

  add(event: TopEvent): void {
    const kind = this.#kindOf(event);
    const key = JSON.stringify(kind);
    const { durationMs } = event;
    const row = this.#rows.get(key);
    if (row === undefined) {
      if (this.#rows.size === this.#rows.max) this.#forgotten += 1;
      const times = { bestMs: durationMs, worstMs: durationMs, lastMs: durationMs };
      this.#rows.set(key, { ...kind, count: 1, failures: isFailed(event) ? 1 : 0, ...times });
      return;
    }
    row.count += 1;
    if (isFailed(event)) row.failures += 1;
    row.bestMs = Math.min(row.bestMs, durationMs);
    row.worstMs = Math.max(row.worstMs, durationMs);
    row.lastMs = durationMs;
  }

  /** The highest first, by success the lowest; those that are equal by their names, so that lines do not jump about. */
  rows(sort: TopSort): readonly TopRow[] {
    const rank = (row: TopRow): number => {
      if (sort === "count") return -row.count;
      if (sort === "worst") return -row.worstMs;
      if (sort === "last") return -row.lastMs;
      return 1 - row.failures / row.count;
    };
    const named = [...this.#rows.entries()].map(([key, row]) => ({ key, row: { ...row } }));
    return named
      .sort((a, b) => rank(a.row) - rank(b.row) || (a.key < b.key ? -1 : 1))
      .map(({ row }) => row);
  }

  #kindOf(event: TopEvent) {
    const { routes, hideSources, fullPaths } = this.#grouping;
    const { destination, route, protocol } = event;
    const source = hideSources ? null : event.source;
    if (routes) return { source, destination, method: null, path: null, route };
    if (protocol === "tcp") return { source, destination, method: "TCP", path: "", route: null };
    const [path = ""] = event.path.split("?");
    const shown = (fullPaths ? path : foldPath(path)).slice(0, MAX_PATH_CHARS);
    return { source, destination, method: event.method, path: shown, route: null };
  }
}

/** As in all other figures: a 5xx, and every error that is not the client's own. */
function isFailed({ status, error }: TopEvent): boolean {
  if (status >= 500) return true;
  // A code that only a later version knows is nobody's fault here: an error it is.
  return error !== null && !(isMeshErrorCode(error) && CODES[error].side === "downstream");
}

const NUMBER = /^\d+$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const LONG_HEX = /^[0-9a-f]{16,}$/i;

/** Segments that name one of many (numbers, UUIDs, long hexadecimal ones) become `*`. */
export function foldPath(path: string): string {
  return path
    .split("/")
    .map((part) => (NUMBER.test(part) || UUID.test(part) || LONG_HEX.test(part) ? "*" : part))
    .join("/");
}

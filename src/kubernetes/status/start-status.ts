import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import { groupVersionOf } from "../../dialects/envelope.ts";
import type { Catalog, CatalogChange } from "../../registry/catalog.ts";
import type { Log } from "../../registry/log.ts";
import type { Timers } from "../../registry/timers.ts";
import { InstalledKinds } from "../api/installed-kinds.ts";
import type { KubeApi } from "../api/kube-api.ts";
import type { Leader } from "../leader.ts";
import { timeText } from "./conditions.ts";
import { EventWriter } from "./event-writer.ts";
import { MeshView } from "./mesh-view.ts";
import { noticesOf } from "./refusal-events.ts";
import type { Refusals } from "./refusals.ts";
import { STATUS_KINDS, type StatusKind, statusKindOf } from "./status-kinds.ts";
import type { StatusObject } from "./status-object.ts";
import { StatusObjects } from "./status-objects.ts";
import { type StatusWrite, StatusWriter } from "./status-writer.ts";
import { verdictOf } from "./verdict.ts";

export interface StatusOptions {
  readonly api: Pick<KubeApi, "request" | "list" | "watch">;
  readonly catalog: Catalog;
  readonly refused: Refusals;
  readonly leader: Pick<Leader, "isLeader" | "subscribe">;
  /** Who reports Events: the name of the pod. */
  readonly instance: string;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly wall: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Statuses that are written in a second. Default 20: a tenth of what an API server allots to all such controllers. */
  readonly perSecond?: number;
}

export interface RunningStatus {
  /** Nothing is written from this call on. */
  close(): Promise<void>;
}

const PER_SECOND = 20;
/** Changes come in crowds: a rolling update, a file that is applied. */
const GATHER_MS = 250;
/** Objects that are judged before other work gets its turn. */
const CHUNK = 200;

/** Tells in the status of each object, and by Events, what the mesh makes of it, for as long as this replica leads. */
export function startStatus(options: StatusOptions): RunningStatus {
  let term: Term | null = null;
  let ending = Promise.resolve();
  const begin = () => {
    term ??= new Term(options);
  };
  const end = () => {
    const last = term;
    term = null;
    if (last !== null) ending = Promise.all([ending, last.close()]).then(() => undefined);
  };
  const unsubscribe = options.leader.subscribe((leading) => (leading ? begin() : end()));
  if (options.leader.isLeader()) begin();
  return {
    close() {
      unsubscribe();
      end();
      return ending;
    },
  };
}

/** The work of a leader, from the begin of its leadership to the end of it. */
class Term {
  readonly #options: StatusOptions;
  readonly #objects: StatusObjects;
  readonly #kinds: InstalledKinds;
  readonly #statuses: StatusWriter;
  readonly #events: EventWriter;
  readonly #ends: (() => void)[];
  /** Whose verdict may be another one; `all`: everybody's. */
  #dirty: "all" | Set<string> = "all";
  #view: MeshView | null = null;
  #running: Promise<void> | null = null;
  #cancelPass: (() => void) | null = null;
  #closed = false;

  constructor(options: StatusOptions) {
    this.#options = options;
    const { api, timers, clock, wall, random, log, instance, catalog, refused, leader } = options;
    const { perSecond = PER_SECOND } = options;
    const mayWrite = () => !this.#closed && leader.isLeader();
    this.#objects = new StatusObjects(
      (key) => this.#touch(key),
      (key) => this.#statuses.forget(key),
    );
    this.#statuses = new StatusWriter({
      ...{ api, mayWrite, timers, clock, random, log, perSecond },
      writeFor: (key) => this.#writeFor(key),
      observed: (object) => this.#objects.put(object),
      gone: (key) => this.#objects.delete(key),
    });
    this.#events = new EventWriter({ api, mayWrite, instance, timers, clock, wall, log });
    this.#kinds = new InstalledKinds({
      ...{ api, timers, clock, random, log, wanted: STATUS_KINDS },
      listenerOf: (wanted) => this.#objects.listenerOf(wanted),
    });
    this.#ends = [
      catalog.subscribe((change) => {
        if (mattersToStatus(change)) this.#touchAll();
      }),
      refused.subscribe(() => this.#touchAll()),
    ];
    this.#kinds.start();
    this.#schedule();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const end of this.#ends) end();
    this.#cancelPass?.();
    await Promise.all([
      this.#kinds.stop(),
      this.#statuses.stop(),
      this.#events.stop(),
      this.#running,
    ]);
  }

  #touch(key: string): void {
    if (this.#dirty !== "all") this.#dirty.add(key);
    this.#schedule();
  }

  #touchAll(): void {
    this.#dirty = "all";
    this.#view = null;
    this.#schedule();
  }

  /** One pass for all that changes in a short while; a change during a pass is for the next one. */
  #schedule(): void {
    if (this.#closed || this.#cancelPass !== null) return;
    this.#cancelPass = this.#options.timers.after(GATHER_MS, () => {
      this.#cancelPass = null;
      // What goes wrong with a status must not take the registry with it.
      this.#running = (this.#running ?? Promise.resolve())
        .then(() => this.#pass())
        .catch((error: unknown) =>
          this.#options.log.error("a pass over all statuses failed", { error }),
        );
    });
  }

  async #pass(): Promise<void> {
    const dirty = this.#dirty;
    this.#dirty = new Set();
    const { refused, catalog } = this.#options;
    if (dirty === "all") this.#events.tell(noticesOf(refused.all(), catalog, this.#mesh()));
    let looked = 0;
    for (const key of dirty === "all" ? this.#objects.keys() : dirty) {
      if (this.#closed) return;
      if (this.#writeFor(key) !== null) this.#statuses.offer(key);
      looked++;
      if (looked % CHUNK === 0) await nextTurn();
    }
  }

  /** The mesh as it is: made anew once after each change. */
  #mesh(): MeshView {
    this.#view ??= new MeshView(this.#options.catalog);
    return this.#view;
  }

  /** Null: there is nothing to write, or it cannot be worked out. */
  #writeFor(key: string): StatusWrite | null {
    const object = this.#objects.get(key);
    const kind = object === undefined ? undefined : statusKindOf(object);
    if (object === undefined || kind === undefined) return null;
    try {
      return this.#writeOf(object, kind);
    } catch (error) {
      this.#options.log.error("a status could not be worked out", { resource: key, error });
      return null;
    }
  }

  #writeOf(object: StatusObject, kind: StatusKind): StatusWrite | null {
    const { catalog, refused, wall } = this.#options;
    const verdict = kind.translated ? verdictOf(object, catalog, refused) : null;
    const patch = kind.patchOf(object, verdict, this.#mesh(), timeText(wall.now()));
    if (patch === null) return null;
    const { version } = groupVersionOf(object.apiVersion);
    const { group, plural } = kind;
    const resource = { group, version, kind: kind.kind, plural, namespaced: true };
    return { object, resource, patch };
  }
}

/** What conditions speak of: routes, what they refer to, and the kinds with a status. Endpoints come and go without them. */
function mattersToStatus({ changes }: CatalogChange): boolean {
  return changes.some(({ kind, key }) => {
    if (kind === "service" || kind === "route") return true;
    if (kind !== "resource") return false;
    const [group = "", name = ""] = key.split("/");
    return (
      statusKindOf({ group, kind: name }) !== undefined ||
      name === "TrafficSplit" ||
      name === "Service"
    );
  });
}

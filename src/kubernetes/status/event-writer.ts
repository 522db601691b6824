import { createHash } from "node:crypto";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../registry/log.ts";
import type { Timers } from "../../registry/timers.ts";
import type { KubeApi } from "../api/kube-api.ts";
import { KubeApiError } from "../api/kube-api-error.ts";
import { type ApiResource, apiVersionOf, isRecord, pathOf } from "../api/objects.ts";
import { microTime } from "../leader.ts";
import { CONTROLLER_NAME } from "./conditions.ts";
import type { Notice } from "./refusal-events.ts";
import { TokenBucket } from "./token-bucket.ts";

const EVENTS: ApiResource = {
  ...{ group: "events.k8s.io", version: "v1", kind: "Event" },
  ...{ plural: "events", namespaced: true },
};

/** As client-go's filter has it for one object: so many at once, then one in so long. */
const BURST = 25;
const PER_SECOND = 1;
/** No object has its Event written again sooner. */
const QUIET_MS = 30_000;
/** An API server keeps Events for an hour; what still holds is told again before. */
const REPEAT_MS = 1_800_000;
/** Of Events that are remembered. */
const MOST = 10_000;
/** Of a note (events.k8s.io/v1 Event). */
const NOTE_BYTES = 1_024;
/** Events are a help, not a duty: one that cannot be written is tried again so much later. */
const RETRY_MS = 60_000;

/** One Event that was written. */
interface Told {
  readonly name: string;
  /** Of the object when it was told last. */
  generation: number;
  count: number;
  atMs: number;
  /** Has what it says been otherwise since? */
  ended: boolean;
}

export interface EventWriterOptions {
  readonly api: Pick<KubeApi, "request">;
  readonly mayWrite: () => boolean;
  /** Who reports: the name of the pod. */
  readonly instance: string;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly wall: Clock;
  readonly log: Log;
}

/**
 * Tells owners of objects by Events (events.k8s.io/v1) of type Warning. The same thing said again is the same Event, of
 * which a series counts: its name follows from what it says, so that replicas and restarts do not say it twice.
 */
export class EventWriter {
  readonly #options: EventWriterOptions;
  readonly #bucket: TokenBucket;
  readonly #told = new Map<string, Told>();
  readonly #aborting = new AbortController();
  #wanted: readonly Notice[] = [];
  #running: Promise<void> | null = null;
  #isStale = false;
  #cancelNext: () => void = () => undefined;

  constructor(options: EventWriterOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket(options.clock, PER_SECOND, BURST);
  }

  /** All that there is to tell at present. */
  tell(notices: readonly Notice[]): void {
    if (this.#aborting.signal.aborted) return;
    this.#wanted = notices;
    const holds = new Set(notices.map(nameOf));
    for (const [name, told] of this.#told) if (!holds.has(name)) told.ended = true;
    this.#begin();
  }

  async stop(): Promise<void> {
    this.#aborting.abort(new Error("stopped"));
    this.#cancelNext();
    await this.#running;
  }

  #begin(): void {
    this.#cancelNext();
    this.#isStale = true;
    this.#running ??= this.#drain();
  }

  async #drain(): Promise<void> {
    let waitMs = REPEAT_MS;
    while (this.#isStale && !this.#aborting.signal.aborted) {
      this.#isStale = false;
      waitMs = await this.#round(this.#wanted);
    }
    this.#running = null;
    if (this.#aborting.signal.aborted) return;
    this.#cancelNext = this.#options.timers.after(waitMs, () => this.#begin());
  }

  /** Writes what is due; how long until something else is, in ms. */
  async #round(notices: readonly Notice[]): Promise<number> {
    let nextMs = REPEAT_MS;
    for (const notice of notices) {
      if (this.#isStale || !this.#options.mayWrite()) break;
      const dueMs = this.#dueMs(notice);
      if (dueMs > 0) {
        nextMs = Math.min(nextMs, dueMs);
        continue;
      }
      const waitMs = this.#bucket.take();
      if (waitMs > 0) return Math.min(nextMs, waitMs);
      const isWritten = await this.#write(notice);
      if (!isWritten) nextMs = Math.min(nextMs, RETRY_MS);
    }
    return nextMs;
  }

  /** 0: now. */
  #dueMs(notice: Notice): number {
    const told = this.#told.get(nameOf(notice));
    if (told === undefined) return 0;
    const isNews = told.ended || told.generation !== notice.generation;
    const fromMs = told.atMs + (isNews ? QUIET_MS : REPEAT_MS);
    return Math.max(0, fromMs - this.#options.clock.now());
  }

  async #write(notice: Notice): Promise<boolean> {
    const name = nameOf(notice);
    const told = this.#told.get(name);
    try {
      const count =
        told === undefined ? await this.#create(notice, name) : await this.#count(notice, told);
      this.#remember(name, notice.generation, count);
      return true;
    } catch (error) {
      if (this.#aborting.signal.aborted) return false;
      const { namespace, name: object, kind } = notice.regarding;
      const facts = { resource: `${kind} ${namespace}/${object}`, error };
      const isForGood = error instanceof KubeApiError && [400, 404, 422].includes(error.status);
      this.#options.log.debug("an Event could not be written", facts);
      // Such as in a namespace that is being removed: saying it later would be no better.
      if (isForGood) this.#remember(name, notice.generation, 1);
      return isForGood;
    }
  }

  #remember(name: string, generation: number, count: number): void {
    this.#told.delete(name);
    const atMs = this.#options.clock.now();
    this.#told.set(name, { name, generation, count, atMs, ended: false });
    const [oldest] = this.#told.keys();
    if (this.#told.size > MOST && oldest !== undefined) this.#told.delete(oldest);
  }

  /** How often it has been told, where it was known already. */
  async #create(notice: Notice, name: string): Promise<number> {
    const { api } = this.#options;
    const { namespace } = notice.regarding;
    try {
      await api.request({
        ...{ method: "POST", path: pathOf(EVENTS, namespace), body: this.#event(notice, name) },
        signal: this.#aborting.signal,
      });
      return 1;
    } catch (error) {
      if (!(error instanceof KubeApiError) || error.status !== 409) throw error;
      const { body } = await api.request({
        ...{ method: "GET", path: pathOf(EVENTS, namespace, name) },
        signal: this.#aborting.signal,
      });
      const series = isRecord(body) ? body["series"] : undefined;
      const count = isRecord(series) ? Number(series["count"]) : 1;
      return count > 0 ? count : 1;
    }
  }

  async #count(notice: Notice, { name, count }: Told): Promise<number> {
    const { api, wall } = this.#options;
    const series = { count: count + 1, lastObservedTime: microTime(wall.now()) };
    try {
      await api.request({
        ...{ method: "PATCH", path: pathOf(EVENTS, notice.regarding.namespace, name) },
        ...{ contentType: "application/merge-patch+json", body: { series } },
        signal: this.#aborting.signal,
      });
      return count + 1;
    } catch (error) {
      if (!(error instanceof KubeApiError) || error.status !== 404) throw error;
      // The server has forgotten it.
      return this.#create(notice, name);
    }
  }

  #event({ regarding, reason, note }: Notice, name: string): Record<string, unknown> {
    return {
      ...{ apiVersion: apiVersionOf(EVENTS), kind: EVENTS.kind },
      metadata: { name, namespace: regarding.namespace },
      eventTime: microTime(this.#options.wall.now()),
      ...{ reportingController: CONTROLLER_NAME, reportingInstance: this.#options.instance },
      ...{ action: "Translate", reason, regarding, type: "Warning" },
      // Bytes of a character that was cut in two become another that stands for them; three bytes are room for it.
      note: Buffer.from(note)
        .subarray(0, NOTE_BYTES - 3)
        .toString("utf8"),
    };
  }
}

/** Follows from what is said, and of which object. */
function nameOf({ regarding, reason, note }: Notice): string {
  const { kind, namespace, name, uid } = regarding;
  const text = JSON.stringify([kind, namespace, name, uid, reason, note]);
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 16);
  // A name has 253 characters at most.
  return `${name.slice(0, 200).replace(/[^a-z0-9]+$/, "")}.${hash}`;
}

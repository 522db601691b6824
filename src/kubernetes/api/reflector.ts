import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { Log } from "../../registry/log.ts";
import type { Timers } from "../../registry/timers.ts";
import { describeError } from "../../telemetry/log.ts";
import type { KubeApi, Selection, WatchEvent } from "./kube-api.ts";
import { isGone, KubeApiError } from "./kube-api-error.ts";
import { listAll } from "./list-all.ts";
import { type ApiResource, apiVersionOf, type KubeObject } from "./objects.ts";
import { TooLongError } from "./too-long-error.ts";

/** client-go's reflector: the first pause, what it grows to, and how it is spread: up to its double. */
const FIRST_PAUSE_MS = 800;
const LONGEST_PAUSE_MS = 30_000;
/** A server that gives no answer is not spared by waiting, and what it will tell when it is back is missed until then. */
const LONGEST_UNANSWERED_PAUSE_MS = 5_000;
/**
 * A server that starts forbids everything until it has read its roles. What was allowed and is forbidden more often than
 * this in a row will stay so until an administrator changes it.
 */
const FORBIDDEN_IN_PASSING = 3;
/** The server ends each watch after 5 to 10 minutes, as client-go asks for, so that replicas of it share the watches anew. */
const WATCH_SECONDS = 300;
/** Later than its time by this much, a watch has hung. */
const WATCH_SLACK_MS = 30_000;
/** A watch that lasted so long was a good one; who ends them sooner is asked ever less often. */
const GOOD_WATCH_MS = 5_000;

/** Takes what the cluster has of one kind. What it throws makes the reflector list everything anew. */
export interface ReflectorListener {
  /** Everything there is; whatever else the listener holds is gone. */
  replaced(items: readonly KubeObject[], resourceVersion: string): void;
  /** Was added or changed. */
  changed(object: KubeObject, resourceVersion: string): void;
  /** `object` is its last state. */
  removed(object: KubeObject, resourceVersion: string): void;
  /** Nothing has changed up to this version. */
  progressed(resourceVersion: string): void;
}

export interface ReflectorOptions extends Selection {
  readonly api: Pick<KubeApi, "list" | "watch">;
  readonly resource: ApiResource;
  readonly listener: ReflectorListener;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface ReflectorState {
  /** The listener has had everything once. */
  readonly synced: boolean;
  /** The newest that was seen; opaque, empty before the first list. */
  readonly resourceVersion: string;
  /** How often everything was read. */
  readonly lists: number;
  /** How often that was not the first time: the history had a gap. */
  readonly relists: number;
  /** Why nothing is being watched; null while something is. */
  readonly lastError: string | null;
  /** For how long nothing has been watched, in ms; 0 while something is. */
  readonly sinceMs: number;
}

/**
 * Follows all objects of one kind: lists them once, then watches from there, and goes on from the newest version that it
 * has seen when a connection ends. Everything is listed again only when the server's history has a gap (410 Gone), or an event
 * that is too long to be taken: from the same version it would come again for ever.
 */
export class Reflector {
  readonly #options: ReflectorOptions;
  readonly #selection: Selection;
  readonly #facts: Record<string, unknown>;
  readonly #stopping = new AbortController();
  #running: Promise<void> | null = null;
  #resourceVersion = "";
  #mustList = true;
  /** Everything was listed, and no good watch has come of it yet. */
  #isListNew = false;
  #lists = 0;
  /** In a row, without a good watch between them; those without an answer count apart. */
  #failures = 0;
  #wasAnswered = false;
  #lastError: string | null = null;
  /** What was last complained of, so that it is said once. */
  #told: string | null = null;
  /** When the present watch began to tell; null: none does. */
  #openedMs: number | null = null;
  /** When the last one ended. */
  #closedMs: number;

  constructor(options: ReflectorOptions) {
    this.#options = options;
    const { namespace, labelSelector, fieldSelector, resource } = options;
    this.#selection = {
      ...(namespace === undefined ? {} : { namespace }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    };
    this.#facts = { kind: resource.kind, apiVersion: apiVersionOf(resource) };
    this.#closedMs = options.clock.now();
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** The listener is not called any more, from this call on. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("stopped"));
    await this.#running;
  }

  state(): ReflectorState {
    return {
      synced: this.#lists > 0,
      resourceVersion: this.#resourceVersion,
      lists: this.#lists,
      relists: Math.max(0, this.#lists - 1),
      lastError: this.#lastError,
      sinceMs: this.#openedMs !== null ? 0 : this.#options.clock.now() - this.#closedMs,
    };
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        if (this.#mustList) await this.#list(signal);
        await this.#watch(signal);
      } catch (error) {
        if (signal.aborted) return;
        const pauseMs = this.#failed(error);
        if (pauseMs > 0) await this.#pause(pauseMs);
      }
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { api, resource, listener, log } = this.#options;
    const { items, resourceVersion } = await listAll(api, resource, this.#selection, signal);
    signal.throwIfAborted();
    listener.replaced(items, resourceVersion);
    this.#resourceVersion = resourceVersion;
    this.#mustList = false;
    this.#isListNew = true;
    this.#lists++;
    log.debug("listed", { ...this.#facts, objects: items.length, resourceVersion });
  }

  /** Resolves when a good watch has ended at its time. */
  async #watch(stopping: AbortSignal): Promise<void> {
    const { api, resource, timers, random } = this.#options;
    const timeoutSeconds = Math.floor(WATCH_SECONDS * (1 + random()));
    const hung = new AbortController();
    const cancel = timers.after(timeoutSeconds * 1_000 + WATCH_SLACK_MS, () =>
      hung.abort(new Error("the watch has hung")),
    );
    const query = { ...this.#selection, resourceVersion: this.#resourceVersion, timeoutSeconds };
    const signal = AbortSignal.any([stopping, hung.signal]);
    const take = (event: WatchEvent) => {
      signal.throwIfAborted();
      this.#take(event);
    };
    let wasGood = false;
    try {
      await api.watch(resource, query, take, signal, () => this.#opened());
    } finally {
      cancel();
      wasGood = this.#closed();
    }
    if (!wasGood) throw new Error("the watch ended as soon as it had begun");
  }

  #opened(): void {
    if (this.#told !== null) this.#options.log.info("watching again", this.#facts);
    this.#openedMs = this.#options.clock.now();
    this.#lastError = null;
    this.#told = null;
  }

  /** Had the watch been a good one? */
  #closed(): boolean {
    if (this.#openedMs === null) return false;
    this.#closedMs = this.#options.clock.now();
    const wasGood = this.#closedMs - this.#openedMs >= GOOD_WATCH_MS;
    this.#openedMs = null;
    if (wasGood) {
      this.#failures = 0;
      this.#isListNew = false;
    }
    return wasGood;
  }

  #take(event: WatchEvent): void {
    const { listener } = this.#options;
    const { resourceVersion } = event;
    try {
      if (event.type === "BOOKMARK") listener.progressed(resourceVersion);
      else if (event.type === "DELETED") listener.removed(event.object, resourceVersion);
      else listener.changed(event.object, resourceVersion);
    } catch (error) {
      // What the listener holds now is unknown.
      this.#mustList = true;
      throw error;
    }
    this.#resourceVersion = resourceVersion;
  }

  /** Takes note of what went wrong, and returns how long to wait, in ms. */
  #failed(error: unknown): number {
    const { random } = this.#options;
    const isTooLong = error instanceof TooLongError;
    const isAnswer = isTooLong || error instanceof KubeApiError;
    // A server that is back is not made to wait for having been away.
    if (isAnswer !== this.#wasAnswered) this.#failures = 0;
    this.#wasAnswered = isAnswer;
    const doubled = FIRST_PAUSE_MS * 2 ** Math.min(this.#failures, 30);
    this.#failures++;
    const longestMs = isAnswer ? LONGEST_PAUSE_MS : LONGEST_UNANSWERED_PAUSE_MS;
    const pauseMs = Math.min(doubled, longestMs) * (1 + random());
    if (isGone(error)) {
      this.#mustList = true;
      this.#options.log.info("the history has a gap, listing everything", this.#facts);
      // At once, however long the server was away before; but not again and again.
      return this.#isListNew ? pauseMs : 0;
    }
    if (isTooLong && !this.#mustList) {
      this.#mustList = true;
      this.#lastError = describeError(error);
      this.#options.log.warn("an event is too large, listing everything", {
        ...this.#facts,
        error,
      });
      return pauseMs;
    }
    this.#tell(error);
    if (!(error instanceof KubeApiError)) return pauseMs;
    return Math.max(pauseMs, error.retryAfterMs ?? 0);
  }

  #tell(error: unknown): void {
    const { log } = this.#options;
    const isForGood = this.#isForbiddenForGood(error);
    const text = describeError(error);
    this.#lastError = text;
    const told = isForGood ? `for good: ${text}` : text;
    const isNew = this.#told !== told;
    this.#told = told;
    if (!isNew) log.debug("still not watching", { ...this.#facts, error });
    else if (isForGood) {
      log.error("the API server forbids reading this kind: check the role of this account", {
        ...this.#facts,
        error,
      });
    } else log.warn("not watching: what is known stays in use", { ...this.#facts, error });
  }

  #isForbiddenForGood(error: unknown): boolean {
    const isForbidden = error instanceof KubeApiError && error.status === 403;
    return isForbidden && (this.#lists === 0 || this.#failures > FORBIDDEN_IN_PASSING);
  }

  async #pause(delayMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { signal } = this.#stopping;
    const onAbort = () => resolve();
    const cancel = this.#options.timers.after(delayMs, resolve);
    signal.addEventListener("abort", onAbort, { once: true });
    await promise;
    cancel();
    signal.removeEventListener("abort", onAbort);
  }
}

import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { Log } from "../../registry/log.ts";
import type { Timers } from "../../registry/timers.ts";
import type { KubeApi } from "../api/kube-api.ts";
import { KubeApiError } from "../api/kube-api-error.ts";
import { type ApiResource, type KubeObject, pathOf, readObject } from "../api/objects.ts";
import type { StatusObject } from "./status-object.ts";
import { TokenBucket } from "./token-bucket.ts";

/** What is to be written to one object now. */
export interface StatusWrite {
  readonly object: StatusObject;
  readonly resource: ApiResource;
  readonly patch: Readonly<Record<string, unknown>>;
}

export interface StatusWriterOptions {
  readonly api: Pick<KubeApi, "request">;
  /** Asked before every call. */
  readonly mayWrite: () => boolean;
  /** Worked out when it is the object's turn, from its newest state; null: its status is as it should be. */
  readonly writeFor: (key: string) => StatusWrite | null;
  /** The object as the server has it now. */
  readonly observed: (object: KubeObject) => void;
  readonly gone: (key: string) => void;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Writes in a second. */
  readonly perSecond: number;
}

const BURST = 20;
/** Doubled with each failure, and spread up to its double. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

/**
 * Writes statuses one after the other, at a bounded rate. Each write says which version it changes, so that whatever was
 * written in between makes it fail: then the object is read again, and the change worked out anew.
 */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #bucket: TokenBucket;
  readonly #queue = new Set<string>();
  readonly #failures = new Map<string, number>();
  /** Patches that the server does not take, as text: they are not sent again. */
  readonly #hopeless = new Map<string, string>();
  readonly #pauses = new Set<() => void>();
  /** What was warned of: a role that lacks a right would make a line for every object. */
  readonly #warned = new Set<string>();
  readonly #aborting = new AbortController();
  #running: Promise<void> | null = null;
  #wake: () => void = () => undefined;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket(options.clock, options.perSecond, BURST);
  }

  /** Looks at an object when it is its turn. */
  offer(key: string): void {
    if (this.#aborting.signal.aborted) return;
    this.#queue.add(key);
    this.#running ??= this.#drain();
  }

  /** Forgets what has failed of an object that is gone. */
  forget(key: string): void {
    this.#queue.delete(key);
    this.#failures.delete(key);
    this.#hopeless.delete(key);
  }

  /** Nothing is sent from this call on. */
  async stop(): Promise<void> {
    this.#aborting.abort(new Error("stopped"));
    this.#queue.clear();
    for (const cancel of this.#pauses) cancel();
    this.#wake();
    await this.#running;
  }

  async #drain(): Promise<void> {
    // One turn later, so that `#running` is set before the first key is looked at.
    await Promise.resolve();
    for (const key of this.#queue) {
      this.#queue.delete(key);
      const write = this.#options.mayWrite() ? this.#options.writeFor(key) : null;
      if (write === null || this.#isHopeless(key, write)) continue;
      const waitMs = this.#bucket.take();
      if (waitMs === 0) {
        await this.#write(key, write);
        continue;
      }
      // What is wanted may be something else by then.
      this.#queue.add(key);
      await this.#sleep(waitMs);
    }
    this.#running = null;
  }

  #isHopeless(key: string, { patch }: StatusWrite): boolean {
    return this.#hopeless.get(key) === textOf(patch);
  }

  async #write(key: string, write: StatusWrite): Promise<void> {
    const { object, resource, patch } = write;
    const { namespace, name, uid, resourceVersion } = object;
    try {
      const { body } = await this.#options.api.request({
        ...{ method: "PATCH", path: pathOf(resource, namespace, name, "status") },
        ...{ contentType: "application/merge-patch+json", signal: this.#aborting.signal },
        body: { metadata: { uid, resourceVersion }, status: patch },
      });
      this.#failures.delete(key);
      this.#hopeless.delete(key);
      this.#options.observed(readObject(body, resource));
    } catch (error) {
      if (!this.#aborting.signal.aborted) await this.#failed(key, write, error);
    }
  }

  async #failed(key: string, write: StatusWrite, error: unknown): Promise<void> {
    const { log, gone } = this.#options;
    const { object } = write;
    const status = error instanceof KubeApiError ? error.status : 0;
    if (status === 404) {
      gone(key);
      return;
    }
    if (status === 409) {
      await this.#readAgain(key, write);
      return;
    }
    if (status === 400 || status === 422) {
      this.#hopeless.set(key, textOf(write.patch));
      log.warn("the API server does not take this status", { resource: key, error });
      return;
    }
    this.#later(key, object, error);
  }

  async #readAgain(key: string, { object, resource }: StatusWrite): Promise<void> {
    try {
      const { body } = await this.#options.api.request({
        ...{ method: "GET", path: pathOf(resource, object.namespace, object.name) },
        signal: this.#aborting.signal,
      });
      // Telling of it brings the object back to the queue.
      this.#options.observed(readObject(body, resource));
      this.offer(key);
    } catch (error) {
      if (this.#aborting.signal.aborted) return;
      if (error instanceof KubeApiError && error.status === 404) this.#options.gone(key);
      else this.#later(key, object, error);
    }
  }

  #later(key: string, { group, kind }: StatusObject, error: unknown): void {
    const { random, timers } = this.#options;
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.#warn(`${group}/${kind}`, key, error);
    const doubled = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(failures, 10), LONGEST_PAUSE_MS);
    const askedMs = error instanceof KubeApiError ? (error.retryAfterMs ?? 0) : 0;
    const cancel = timers.after(Math.max(doubled * (1 + random()), askedMs), () => {
      this.#pauses.delete(cancel);
      this.offer(key);
    });
    this.#pauses.add(cancel);
  }

  /** Aloud once for each kind of object and of failure. */
  #warn(kind: string, key: string, error: unknown): void {
    const failure = `${kind} ${error instanceof KubeApiError ? error.status : "no answer"}`;
    const isNew = !this.#warned.has(failure);
    this.#warned.add(failure);
    const facts = { resource: key, error };
    this.#options.log[isNew ? "warn" : "debug"]("a status could not be written yet", facts);
  }

  async #sleep(delayMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.timers.after(delayMs, resolve);
    this.#wake = resolve;
    await promise;
    cancel();
  }
}

/** Without times, which would make the same thing another one. */
function textOf(patch: StatusWrite["patch"]): string {
  return JSON.stringify(patch, (name, value) => (name === "lastTransitionTime" ? "" : value));
}

import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { Log } from "../registry/log.ts";
import type { Timers } from "../registry/timers.ts";
import { findObject } from "./api/find-object.ts";
import type { KubeApi } from "./api/kube-api.ts";
import { KubeApiError } from "./api/kube-api-error.ts";
import { type ApiResource, apiVersionOf, isRecord, pathOf } from "./api/objects.ts";

const LEASES: ApiResource = {
  ...{ group: "coordination.k8s.io", version: "v1", kind: "Lease" },
  ...{ plural: "leases", namespaced: true },
};

/** client-go's: others wait so long after they last saw the lease change. */
const LEASE_MS = 15_000;
/** The leader gives up when it could not renew for so long: 5 s before others may take over. */
const RENEW_MS = 10_000;
const RETRY_MS = 2_000;
/** Candidates ask up to this much more seldom, each time by chance (client-go's JitterFactor). */
const JITTER = 1.2;
/** For one call: two of them fit into RENEW_MS. */
const CALL_MS = RENEW_MS / 2;

export interface LeaderOptions {
  readonly api: Pick<KubeApi, "request">;
  readonly namespace: string;
  /** Of the Lease. */
  readonly name: string;
  /** Who is standing: the name of the pod. Two that run at the same time must differ. */
  readonly identity: string;
  readonly timers: Timers;
  /** Of this process; decides. */
  readonly clock: Clock;
  /** Of the day; only for people to read. */
  readonly wall: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface LeaderStatus {
  readonly leading: boolean;
  /** Empty: nobody, or not known. */
  readonly holder: string;
}

/** A Lease as the server has it. */
interface Seen {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly spec: Readonly<Record<string, unknown>>;
}

/**
 * One of several replicas leads: whoever holds the Lease (coordination.k8s.io/v1), by the rules of client-go's leader
 * election. Dates in the Lease are not believed: each side counts from what it saw itself, by its own clock. The leader
 * counts from before it sent the renewal that succeeded, others from after they saw it, and its time is the shorter one:
 * so it stops before another can begin, as long as no clock runs one and a half times as fast as another.
 */
export class Leader {
  readonly #options: LeaderOptions;
  readonly #listeners = new Set<(leading: boolean) => void>();
  readonly #aborting = new AbortController();
  /** Until then, by our clock, nobody else may lead. */
  #heldUntilMs = Number.NEGATIVE_INFINITY;
  #leading = false;
  #holder = "";
  /** What the Lease said when it last changed, and when that was seen. */
  #seenSpec = "";
  #seenMs = 0;
  #round: Promise<void> | null = null;
  #stopped = false;
  #cancelNext: () => void = () => undefined;
  #cancelEnd: () => void = () => undefined;
  #complaint = "";

  constructor(options: LeaderOptions) {
    this.#options = options;
  }

  /** Stands for election, until it is stopped. */
  start(): void {
    if (this.#round === null && !this.#stopped) this.#begin();
  }

  /** Asked before everything that only a leader may do: timers may be late, this is not. */
  isLeader(): boolean {
    return this.#leading && this.#options.clock.now() < this.#heldUntilMs;
  }

  status(): LeaderStatus {
    return { leading: this.isLeader(), holder: this.#holder };
  }

  /** Told when leadership begins and ends; must not throw. The result ends the subscription. */
  subscribe(listener: (leading: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Leads no more from this call on; resolves when the Lease is given back, if the server answers. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    const held = this.isLeader();
    this.#lose();
    this.#cancelNext();
    this.#aborting.abort(new Error("stopped"));
    await this.#round;
    if (held) await this.#release();
  }

  #begin(): void {
    this.#round = this.#attempt();
  }

  async #attempt(): Promise<void> {
    const { clock, timers, random } = this.#options;
    const startedMs = clock.now();
    const held = await this.#tryHold().catch((error: unknown) => {
      if (!this.#stopped) this.#complain(error);
      return false;
    });
    if (this.#stopped) return;
    if (held) this.#hold(startedMs + RENEW_MS);
    const pauseMs = this.isLeader() ? RETRY_MS : RETRY_MS * (1 + JITTER * random());
    this.#cancelNext = timers.after(pauseMs, () => this.#begin());
  }

  #hold(untilMs: number): void {
    const { clock, timers, identity, log } = this.#options;
    this.#complaint = "";
    if (untilMs <= clock.now()) return;
    this.#heldUntilMs = untilMs;
    this.#cancelEnd();
    this.#cancelEnd = timers.after(untilMs - clock.now(), () => this.#lose());
    if (this.#leading) return;
    this.#leading = true;
    log.info("leading", { identity, lease: this.#options.name });
    for (const listener of this.#listeners) listener(true);
  }

  #lose(): void {
    this.#cancelEnd();
    if (!this.#leading) return;
    this.#leading = false;
    this.#options.log.info("not leading any more", { identity: this.#options.identity });
    for (const listener of this.#listeners) listener(false);
  }

  /** Once for each different failure. */
  #complain(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    const isNew = text !== this.#complaint;
    this.#complaint = text;
    const { log, name } = this.#options;
    log[isNew ? "warn" : "debug"]("the lease could not be read or renewed", { lease: name, error });
  }

  /** Holds it, if it may. Rejects where the server does not answer, or forbids it. */
  async #tryHold(): Promise<boolean> {
    const { clock, identity } = this.#options;
    const seen = await this.#read(this.#aborting.signal);
    if (seen === null) return this.#write("POST", { spec: {}, metadata: {} });
    this.#observe(seen.spec);
    const isFree = this.#holder === "" || this.#holder === identity;
    if (!isFree && clock.now() < this.#seenMs + durationMs(seen.spec)) return false;
    return this.#write("PUT", seen);
  }

  #observe(spec: Seen["spec"]): void {
    const holder = spec["holderIdentity"];
    this.#holder = typeof holder === "string" ? holder : "";
    const text = JSON.stringify(spec);
    if (text === this.#seenSpec) return;
    this.#seenSpec = text;
    this.#seenMs = this.#options.clock.now();
  }

  /** Null: there is none. */
  async #read(signal?: AbortSignal): Promise<Seen | null> {
    const { api, namespace, name } = this.#options;
    const found = await findObject(api, {
      ...{ path: pathOf(LEASES, namespace, name), timeoutMs: CALL_MS },
      ...(signal === undefined ? {} : { signal }),
    });
    if (found === undefined) return null;
    const { metadata, spec = {} } = isRecord(found) ? found : {};
    if (!isRecord(metadata) || !isRecord(spec)) throw new Error("the answer is no Lease");
    return { metadata, spec };
  }

  /** False: another candidate was faster. */
  async #write(method: "POST" | "PUT", { metadata, spec }: Seen): Promise<boolean> {
    const { identity, wall } = this.#options;
    const now = microTime(wall.now());
    const isOurs = spec["holderIdentity"] === identity;
    const changes = Number(spec["leaseTransitions"] ?? 0);
    const next = {
      ...spec,
      ...{ holderIdentity: identity, leaseDurationSeconds: LEASE_MS / 1_000, renewTime: now },
      acquireTime: isOurs ? (spec["acquireTime"] ?? now) : now,
      leaseTransitions: isOurs || method === "POST" ? changes : changes + 1,
    };
    const taken = await this.#send(method, metadata, next, this.#aborting.signal);
    if (taken) this.#observe(next);
    return taken;
  }

  async #send(
    method: "POST" | "PUT",
    metadata: Seen["metadata"],
    spec: Seen["spec"],
    signal?: AbortSignal,
  ): Promise<boolean> {
    const { api, namespace, name } = this.#options;
    // With the resourceVersion that was read: whoever wrote in between makes this one fail.
    const body = {
      ...{ apiVersion: apiVersionOf(LEASES), kind: LEASES.kind },
      ...{ metadata: { ...metadata, name, namespace }, spec },
    };
    try {
      await api.request({
        ...{ method, body, timeoutMs: CALL_MS },
        path: pathOf(LEASES, namespace, method === "POST" ? undefined : name),
        ...(signal === undefined ? {} : { signal }),
      });
      return true;
    } catch (error) {
      if (error instanceof KubeApiError && error.status === 409) return false;
      throw error;
    }
  }

  /** So that the next one need not wait. What fails only costs that time. */
  async #release(): Promise<void> {
    const { identity, wall, log } = this.#options;
    try {
      const seen = await this.#read();
      if (seen?.spec["holderIdentity"] !== identity) return;
      const now = microTime(wall.now());
      await this.#send("PUT", seen.metadata, {
        ...seen.spec,
        ...{ holderIdentity: "", leaseDurationSeconds: 1, renewTime: now, acquireTime: now },
      });
      this.#holder = "";
    } catch (error) {
      log.debug("the lease was not given back", { error });
    }
  }
}

/** What the holder has promised; where it says nothing, ours. */
function durationMs({ leaseDurationSeconds }: Seen["spec"]): number {
  const seconds = Number(leaseDurationSeconds);
  return seconds > 0 ? seconds * 1_000 : LEASE_MS;
}

/** Kubernetes' MicroTime: RFC 3339 with six digits behind the second, no more and no fewer. */
export function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}

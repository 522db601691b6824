import type { LoadJob, Target } from "../model.ts";
import { H2Connection } from "./h2-connection.ts";
import { HttpAnswer } from "./http-answer.ts";
import { isOneAddress } from "./job.ts";
import type { Carrier, CarrierOwner, Lane } from "./lane.ts";
import { LoadConnection } from "./load-connection.ts";
import { TcpAnswer } from "./tcp-answer.ts";

/** What the load is told. Times are milliseconds of `performance.now()`. */
export interface LoadEvents {
  /** The answer is whole and right. */
  answered(lane: Lane, now: number): void;
  /** The lane can take a request. */
  ready(lane: Lane, now: number): void;
  /** A request failed; intended null: a connection that carried none. */
  failed(kind: string, intended: number | null, now: number): void;
}

/** How often connections are opened. */
const TICK_MS = 10;
/** Connections that are opened in a tick, so that neither a start nor a failing proxy makes a storm. */
const OPENED_PER_TICK = 20;
/** With more of them on their way, a server's queue of connections to accept may be full. */
const MOST_OPENING = 200;
/** Pause before a failed connection is replaced. */
const PAUSE_MS = 100;
/** How often late ones are looked for. */
const PATROL_MS = 250;

interface Wanted {
  readonly group: number;
  readonly notBefore: number;
}

/** Keeps the asked number of connections open: replaces those that are gone, at a bounded rate. */
export class Connections implements CarrierOwner {
  readonly #job: LoadJob;
  readonly #events: LoadEvents;
  readonly #timeoutMs: number;
  readonly #all = new Set<Carrier>();
  readonly #opening = new Set<Carrier>();
  readonly #timers: readonly NodeJS.Timeout[];
  #wanted: Wanted[];
  #opened = 0;
  #failure = "";

  /** `timeoutMs`: longest time to open a connection or to answer a request. */
  constructor(job: LoadJob, events: LoadEvents, timeoutMs: number) {
    this.#job = job;
    this.#events = events;
    this.#timeoutMs = timeoutMs;
    const groups = groupCount(job);
    this.#wanted = Array.from({ length: job.connections }, (_, at) => ({
      group: at % groups,
      notBefore: 0,
    }));
    this.#timers = [
      setInterval(() => this.#fill(), TICK_MS),
      setInterval(() => this.#patrol(), PATROL_MS),
    ];
    this.#fill();
  }

  /** How often a connection could be opened. */
  get opened(): number {
    return this.#opened;
  }

  /** Do all stand at this moment? */
  get areAllOpen(): boolean {
    return this.#all.size === this.#job.connections && this.#opening.size === 0;
  }

  /** Why the last one failed that could not be opened; empty: none did. */
  get failure(): string {
    return this.#failure;
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    for (const connection of this.#all) connection.discard();
  }

  onOpen(connection: Carrier): void {
    this.#opening.delete(connection);
    this.#opened++;
    const now = performance.now();
    for (const lane of connection.lanes) this.#events.ready(lane, now);
  }

  onAnswer(lane: Lane, isReady: boolean): void {
    const now = performance.now();
    this.#events.answered(lane, now);
    if (isReady) this.#events.ready(lane, now);
  }

  onLaneFailed(lane: Lane, kind: string): void {
    this.#events.failed(kind, lane.intended, performance.now());
    setTimeout(() => {
      if (lane.isIdle) this.#events.ready(lane, performance.now());
    }, PAUSE_MS);
  }

  onGone(connection: Carrier, kind: string | null, asked: readonly Lane[]): void {
    const now = performance.now();
    if (this.#opening.delete(connection)) this.#failure = `${connection.reason || kind}`;
    // Servers end connections that served for a while; one that ends them at once is failing.
    const isNormal = kind === null && connection.hasServed;
    this.#replace(connection, isNormal ? now : now + PAUSE_MS);
    if (kind === null) return;
    if (asked.length === 0) this.#events.failed(kind, null, now);
    for (const { intended } of asked) this.#events.failed(kind, intended, now);
  }

  #replace(connection: Carrier, notBefore: number): void {
    this.#all.delete(connection);
    this.#wanted.push({ group: connection.group, notBefore });
  }

  #fill(): void {
    const now = performance.now();
    const room = Math.min(OPENED_PER_TICK, MOST_OPENING - this.#opening.size);
    const next = this.#wanted.filter(({ notBefore }) => notBefore <= now).slice(0, room);
    if (next.length === 0) return;
    const taken = new Set(next);
    this.#wanted = this.#wanted.filter((one) => !taken.has(one));
    for (const { group } of next) this.#openOne(group);
  }

  #openOne(group: number): void {
    const connection = this.#connectionOf(group);
    this.#all.add(connection);
    this.#opening.add(connection);
  }

  #connectionOf(group: number): Carrier {
    const { protocol, bodyBytes, targets } = this.#job;
    const target = targets[group] as Target;
    if (protocol === "http2" || protocol === "grpc") {
      return new H2Connection(target, group, this.#job, this);
    }
    const answer = protocol === "tcp" ? new TcpAnswer(bodyBytes) : new HttpAnswer(bodyBytes);
    return new LoadConnection(target, group, answer, this);
  }

  #patrol(): void {
    const late = performance.now() - this.#timeoutMs;
    for (const connection of this.#all) connection.giveUpLate(late);
  }
}

/** A group is one address; with TCP, one service. */
export function groupCount(job: LoadJob): number {
  return isOneAddress(job) ? 1 : job.targets.length;
}

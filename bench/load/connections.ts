import type { LoadJob, Target } from "../model.ts";
import { HttpAnswer } from "./http-answer.ts";
import { isOneAddress } from "./job.ts";
import { type ConnectionOwner, LoadConnection } from "./load-connection.ts";
import { TcpAnswer } from "./tcp-answer.ts";

/** What the load is told. Times are milliseconds of `performance.now()`. */
export interface LoadEvents {
  /** The answer is whole and right. */
  answered(connection: LoadConnection, now: number): void;
  /** The connection can take a request. */
  ready(connection: LoadConnection, now: number): void;
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
export class Connections implements ConnectionOwner {
  readonly #job: LoadJob;
  readonly #events: LoadEvents;
  readonly #timeoutMs: number;
  readonly #all = new Set<LoadConnection>();
  readonly #opening = new Set<LoadConnection>();
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

  onOpen(connection: LoadConnection): void {
    this.#opening.delete(connection);
    this.#opened++;
    this.#events.ready(connection, performance.now());
  }

  onAnswer(connection: LoadConnection, isLast: boolean): void {
    const now = performance.now();
    this.#events.answered(connection, now);
    if (!isLast) {
      this.#events.ready(connection, now);
      return;
    }
    connection.discard();
    this.#replace(connection, now);
  }

  onGone(connection: LoadConnection, kind: string | null, wasAsked: boolean): void {
    const now = performance.now();
    if (this.#opening.delete(connection)) this.#failure = `${connection.reason || kind}`;
    // Servers end connections that served for a while; one that ends them at once is failing.
    const isNormal = kind === null && connection.hasServed;
    this.#replace(connection, isNormal ? now : now + PAUSE_MS);
    if (kind !== null) this.#events.failed(kind, wasAsked ? connection.intended : null, now);
  }

  #replace(connection: LoadConnection, notBefore: number): void {
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
    const { protocol, bodyBytes, targets } = this.#job;
    const answer = protocol === "tcp" ? new TcpAnswer(bodyBytes) : new HttpAnswer(bodyBytes);
    const connection = new LoadConnection(targets[group] as Target, group, answer, this);
    this.#all.add(connection);
    this.#opening.add(connection);
  }

  #patrol(): void {
    const late = performance.now() - this.#timeoutMs;
    for (const connection of this.#all) {
      if (connection.isWaiting && connection.since < late) connection.fail("timeout");
    }
  }
}

/** A group is one address; with TCP, one service. */
export function groupCount(job: LoadJob): number {
  return isOneAddress(job) ? 1 : job.targets.length;
}

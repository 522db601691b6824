import type { Lane } from "./lane.ts";
import type { Pace } from "./pace.ts";
import type { Requests } from "./requests.ts";
import type { Tally } from "./tally.ts";

/** Requests of one address: those that are due, and the connections that wait for one, the longest idle first. */
interface Group {
  readonly idle: Lane[];
  /** How many requests were due, and how many of these were sent. */
  due: number;
  sent: number;
}

/**
 * A constant rate, whatever the answers do. Request k is due at start + k / rate and goes to group k mod groups; if
 * all connections of the group are busy, it waits for one, and its latency counts from when it was due (no coordinated
 * omission, Gil Tene). What waits is two counters, so that a stalled proxy costs no memory.
 */
export class OpenLoop implements Pace {
  readonly #requests: Requests;
  readonly #tally: Tally;
  readonly #groups: readonly Group[];
  readonly #isShared: boolean;
  readonly #intervalMs: number;
  readonly #budget: number;
  #start = Number.POSITIVE_INFINITY;
  /** Requests of all groups that were due so far. */
  #due = 0;
  #isStopped = false;

  constructor(
    requests: Requests,
    tally: Tally,
    plan: {
      /** Requests per second. */
      readonly rate: number;
      readonly groups: number;
      /** One group asks all services in turn. */
      readonly isShared: boolean;
      readonly budget?: number;
    },
  ) {
    this.#requests = requests;
    this.#tally = tally;
    this.#intervalMs = 1e3 / plan.rate;
    this.#isShared = plan.isShared;
    this.#budget = plan.budget ?? Number.POSITIVE_INFINITY;
    this.#groups = Array.from({ length: plan.groups }, () => ({ idle: [], due: 0, sent: 0 }));
  }

  /** When the next request is due; infinite: never. */
  get #nextDue(): number {
    if (this.#isStopped || this.#due >= this.#budget) return Number.POSITIVE_INFINITY;
    return this.#start + this.#due * this.#intervalMs;
  }

  start(now: number): void {
    this.#start = now;
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Sends what is due. */
  pump(now: number): void {
    for (let intended = this.#nextDue; intended <= now; intended = this.#nextDue) {
      const group = this.#groups[this.#due % this.#groups.length] as Group;
      this.#due++;
      group.due++;
      this.#tally.schedule(intended);
      const connection = takeIdle(group);
      if (connection === null) continue;
      this.#tally.late(intended, now - Math.max(intended, connection.since));
      this.#send(group, connection, now);
    }
  }

  ready(connection: Lane, now: number): void {
    const group = this.#groups[connection.group] as Group;
    connection.since = now;
    if (group.sent < group.due && !this.#isStopped) {
      this.#tally.late(this.#intended(connection.group, group.sent), 0);
      this.#send(group, connection, now);
    } else group.idle.push(connection);
    // What became due since the last tick need not wait for the next.
    if (this.#nextDue <= now) this.pump(now);
  }

  #send(group: Group, connection: Lane, now: number): void {
    const intended = this.#intended(connection.group, group.sent++);
    connection.send(this.#requests.next(this.#isShared ? null : connection.group), intended, now);
  }

  /** When the request of this group and number was or will be due. */
  #intended(group: number, number: number): number {
    return this.#start + (group + number * this.#groups.length) * this.#intervalMs;
  }
}

/** Connections that are gone stay in the list until their turn. */
function takeIdle({ idle }: Group): Lane | null {
  for (;;) {
    const connection = idle.shift();
    if (connection === undefined) return null;
    if (connection.isIdle) return connection;
  }
}

import { setTimeout as delay } from "node:timers/promises";
import { BenchError } from "../lib/bench-error.ts";
import type { LoadJob, LoadResult } from "../model.ts";
import { ClosedLoop } from "./closed-loop.ts";
import { Connections, groupCount, type LoadEvents } from "./connections.ts";
import { isOneAddress } from "./job.ts";
import type { Lane } from "./lane.ts";
import { OpenLoop } from "./open-loop.ts";
import type { Pace } from "./pace.ts";
import { Requests } from "./requests.ts";
import { Tally } from "./tally.ts";
import { Ticker } from "./ticker.ts";

/** How long the generator waits for others. */
export interface Patience {
  /** To open a connection, or to answer a request. */
  readonly timeoutMs: number;
  /** To open all connections; a millisecond for each of them is added. */
  readonly openingMs: number;
}

const PATIENCE: Patience = { timeoutMs: 10_000, openingMs: 5_000 };
/** How long answers are awaited after the counted time, when requests come at a rate. */
const SETTLING_MS = 1_000;
const POLL_MS = 5;

/** Told when half of the warm-up is over, and when the counted time begins and ends. */
export interface Moments {
  loaded?(): void;
  counting(): void;
  counted(): void;
}

/** Produces one load and measures it. `run` is called once; tests give it less patience. */
export class Generator implements LoadEvents {
  readonly #job: LoadJob;
  readonly #tally: Tally;
  readonly #pace: Pace;
  readonly #ticker: Ticker | null;
  readonly #connections: Connections;
  readonly #openingMs: number;

  constructor(job: LoadJob, { timeoutMs, openingMs }: Patience = PATIENCE) {
    this.#openingMs = openingMs + job.connections;
    this.#job = job;
    this.#tally = new Tally(job.bodyBytes * (job.messages ?? 1), job.rate !== null);
    const requests = new Requests(job);
    const isShared = isOneAddress(job);
    const budget = job.firstRequests ?? Number.POSITIVE_INFINITY;
    if (job.rate === null) {
      this.#pace = new ClosedLoop(requests, isShared, budget);
      this.#ticker = null;
    } else {
      const plan = { rate: job.rate, groups: groupCount(job), isShared, budget };
      const pace = new OpenLoop(requests, this.#tally, plan);
      this.#pace = pace;
      this.#ticker = new Ticker(1e3 / job.rate, (now) => pace.pump(now));
    }
    this.#connections = new Connections(job, this, timeoutMs);
  }

  /** Resolves with what was measured. Rejects with a BenchError where no connection could be opened. */
  async run(moments: Moments): Promise<LoadResult> {
    try {
      await this.#open();
      const { warmUpSeconds, firstRequests } = this.#job;
      if (firstRequests === undefined) {
        this.#start(performance.now());
        await delay(warmUpSeconds * 500);
        moments.loaded?.();
        await delay(warmUpSeconds * 500);
      }
      return await this.#count(moments);
    } finally {
      this.#pace.stop();
      this.#ticker?.stop();
      this.#connections.close();
    }
  }

  answered(connection: Lane, now: number): void {
    this.#tally.answer(connection.intended, now);
  }

  ready(connection: Lane, now: number): void {
    this.#pace.ready(connection, now);
  }

  failed(kind: string, intended: number | null, now: number): void {
    this.#tally.error(kind, intended, now);
  }

  async #open(): Promise<void> {
    await this.#ticker?.ready();
    const deadline = performance.now() + this.#openingMs;
    while (!this.#connections.areAllOpen && performance.now() < deadline) await delay(POLL_MS);
    if (this.#connections.opened === 0) {
      const { host = "", port = 0 } = this.#job.targets[0] ?? {};
      throw new BenchError(`no connection to ${host}:${port}: ${this.#connections.failure}`);
    }
  }

  #start(now: number): void {
    this.#pace.start(now);
    this.#ticker?.start(now);
  }

  async #count(moments: Moments): Promise<LoadResult> {
    const { seconds, firstRequests } = this.#job;
    const cpu = process.cpuUsage();
    const from = performance.now();
    this.#tally.begin(from);
    moments.counting();
    if (firstRequests !== undefined) this.#start(from);
    if (firstRequests === undefined) await delay(seconds * 1e3);
    else await this.#until(seconds * 1e3, () => this.#tally.settled >= firstRequests);
    this.#tally.end(performance.now());
    const { user, system } = process.cpuUsage(cpu);
    moments.counted();
    await this.#until(SETTLING_MS, () => this.#tally.missing <= 0);
    this.#tally.giveUp();
    const { opened } = this.#connections;
    return { ...this.#tally.result(), cpuMs: (user + system) / 1e3, connectionsOpened: opened };
  }

  /** Waits for the condition, but no longer than this. */
  async #until(atMostMs: number, isTrue: () => boolean): Promise<void> {
    const deadline = performance.now() + atMostMs;
    for (;;) {
      const left = deadline - performance.now();
      if (left <= 0 || isTrue()) return;
      await delay(POLL_MS);
    }
  }
}

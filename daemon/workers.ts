import { totalmem } from "node:os";
import { constrainedMemory } from "node:process";
import type { ResourceLimits } from "node:worker_threads";
import { Worker } from "node:worker_threads";
import type { Clock } from "../src/core/clock.ts";
import type { Credentials } from "../src/core/identity.ts";
import type { DataUpdate } from "../src/core/snapshot.ts";
import type { DataPlaneStats } from "../src/proxy/data-plane.ts";
import type { ErrorReport } from "../src/sight/host-report.ts";
import type { TapEvent } from "../src/sight/tap-event.ts";
import type { TracedRequest } from "../src/telemetry/exemplar-book.ts";
import type { Log } from "../src/telemetry/log.ts";
import type { SeriesLabel } from "../src/telemetry/slot-allotter.ts";
import type { WorkerStat } from "../src/telemetry/stat-report.ts";
import type { FromWorker, SpanBatch, ToWorker } from "./worker-messages.ts";

export interface SupervisorDeps {
  /** Script of a worker thread. */
  readonly script: URL;
  readonly count: number;
  /**
   * `workerData` of a worker that begins now: it holds the full state of this moment. `urgent`: connections wait
   * for it already, as it replaces one that served.
   */
  readonly startData: (index: number, urgent: boolean) => unknown;
  readonly fullState: () => DataUpdate;
  /** A worker counts under labels that it had not used before. */
  readonly onSeries: (index: number, label: SeriesLabel) => void;
  /** An exchange failed; not told of all of them. */
  readonly onFailure?: (failure: ErrorReport) => void;
  /** A request whose trace is recorded, as an example for the metrics. */
  readonly onTraced: (request: TracedRequest) => void;
  /** A worker hands spans over. */
  readonly onSpans: (batch: SpanBatch) => void;
  /** Takes back what a dead worker still counted in shared memory. */
  readonly release: (index: number) => void;
  /** What a tap has seen in one of them. */
  readonly onTapped?: (id: number, events: readonly TapEvent[]) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly resourceLimits?: ResourceLimits;
  /** A worker that is silent for this long is taken for hung and replaced. Default 10 s. */
  readonly hangMs?: number;
}

export interface SupervisorStats {
  readonly ready: number;
  readonly restarts: number;
  readonly rejectedUpdates: number;
  /** Workers that wait for their restart because they crashed in a loop. */
  readonly backingOff: number;
}

interface Slot {
  readonly index: number;
  worker: Worker | null;
  ready: boolean;
  /** It refused an update: deltas mean nothing to it until it has taken a full state. */
  stale: boolean;
  /** Revision of the last full state that it was offered while stale: the same one would be refused again. */
  offered: number;
  heardMs: number;
  failure: unknown;
  restarts: number;
  timer: NodeJS.Timeout | null;
  readonly pings: Map<number, (stats: DataPlaneStats | null) => void>;
}

/** Restarts beyond this many in the window wait; see {@link LOOP_DELAY_MS}. */
const LOOP_RESTARTS = 10;
const LOOP_WINDOW_MS = 10_000;
const LOOP_DELAY_MS = 1_000;
const HANG_MS = 10_000;
const TICK_MS = 1_000;
/** A worker that begins compiles the whole state before it can answer. */
const START_PATIENCE_MS = 60_000;

/**
 * Half of the memory that this process may use, shared by the workers, 256 MiB to 2 GiB each. The limit is
 * there so that one worker that leaks is replaced before the kernel kills the whole process.
 */
export function defaultResourceLimits(workers: number): ResourceLimits {
  const limit = Math.min(constrainedMemory() || Number.POSITIVE_INFINITY, totalmem());
  const share = Math.floor(limit / 2 / workers / 1_048_576);
  return { maxOldGenerationSizeMb: Math.min(2_048, Math.max(256, share)) };
}

/**
 * Keeps the worker threads alive. A worker that throws, exits, exhausts its heap or hangs is replaced at
 * once; the others never notice. Updates go to all of them in order.
 */
export class WorkerSupervisor {
  readonly #deps: SupervisorDeps;
  readonly #slots: Slot[];
  #restartTimes: number[] = [];
  #restarts = 0;
  #rejected = 0;
  #pingId = 0;
  #stopping = false;
  #tick: NodeJS.Timeout | null = null;
  #starting: { resolve: () => void; reject: (reason: unknown) => void } | null = null;
  /** Told whenever a worker has become ready or has ended. */
  #settled: (() => void) | null = null;

  constructor(deps: SupervisorDeps) {
    this.#deps = deps;
    this.#slots = Array.from({ length: deps.count }, (_, index) => ({
      index,
      worker: null,
      ready: false,
      stale: false,
      offered: -1,
      heardMs: 0,
      failure: null,
      restarts: 0,
      timer: null,
      pings: new Map(),
    }));
  }

  /** Starts all workers; resolves when each listens. Rejects when one fails before that. */
  async start(): Promise<void> {
    if (this.#stopping) throw new Error("stopped before the workers were started");
    const started = new Promise<void>((resolve, reject) => {
      this.#starting = { resolve, reject };
    });
    for (const slot of this.#slots) this.#begin(slot, false);
    const tickMs = Math.min(TICK_MS, (this.#deps.hangMs ?? HANG_MS) / 4);
    this.#tick = setInterval(() => this.#watch(), tickMs);
    await started;
  }

  /** Gives an update to every worker. One that is just being restarted gets the full state instead. */
  post(update: DataUpdate): void {
    for (const slot of this.#slots) if (!slot.stale) send(slot, { type: "update", update });
  }

  /** Gives all credentials to every worker; one that begins has got them with its start. */
  postCredentials(credentials: Credentials): void {
    for (const slot of this.#slots) send(slot, { type: "credentials", credentials });
  }

  /** Tells every worker what those that begin get with their start. */
  tell(message: ToWorker): void {
    for (const slot of this.#slots) send(slot, message);
  }

  /** Asks every worker; null for one that gave no answer in time or is not ready. */
  ping(timeoutMs: number): Promise<(DataPlaneStats | null)[]> {
    return Promise.all(this.#slots.map((slot) => this.#ping(slot, timeoutMs)));
  }

  /** The thread that has this place now, or null while it is replaced. */
  worker(index: number): Worker | null {
    return this.#slots[index]?.worker ?? null;
  }

  /** One line per worker, as `GET /stats` shows it. */
  list(): WorkerStat[] {
    return this.#slots.map(({ index: id, ready: alive, restarts }) => ({ id, alive, restarts }));
  }

  stats(): SupervisorStats {
    return {
      ready: this.#slots.filter((slot) => slot.ready).length,
      restarts: this.#restarts,
      rejectedUpdates: this.#rejected,
      backingOff: this.#slots.filter((slot) => slot.timer !== null).length,
    };
  }

  /**
   * Begins no more workers, and resolves when none is in the middle of its start: from then on nobody
   * duplicates a listening socket, and the originals may be closed.
   */
  async quiesce(): Promise<void> {
    this.#stopping = true;
    this.#clearRestarts();
    for (const slot of this.#slots) if (!slot.ready) send(slot, { type: "hurry" });
    while (this.#slots.some((slot) => slot.worker !== null && !slot.ready)) {
      await new Promise<void>((resolve) => {
        this.#settled = resolve;
      });
    }
  }

  /** Lets every worker end its work and go; those still there a second after the deadline are ended. */
  async drain(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    const gone = this.#slots.map(
      (slot) =>
        new Promise<void>((resolve) => {
          if (slot.worker === null) resolve();
          else slot.worker.once("exit", () => resolve());
        }),
    );
    for (const slot of this.#slots) send(slot, { type: "drain", deadlineMs });
    const timer = setTimeout(() => void this.stop(), deadlineMs + 1_000);
    await Promise.all(gone);
    clearTimeout(timer);
    await this.stop();
  }

  /** Ends every worker now. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#tick !== null) clearInterval(this.#tick);
    this.#clearRestarts();
    await Promise.all(this.#slots.map((slot) => slot.worker?.terminate()));
  }

  #clearRestarts(): void {
    for (const slot of this.#slots) {
      if (slot.timer !== null) clearTimeout(slot.timer);
      slot.timer = null;
    }
  }

  #begin(slot: Slot, urgent: boolean): void {
    const { script, startData, resourceLimits, clock, log } = this.#deps;
    const fresh = {
      ready: false,
      stale: false,
      offered: -1,
      timer: null,
      failure: null,
      heardMs: clock.now(),
    };
    Object.assign(slot, fresh);
    const worker = new Worker(script, {
      name: `worker-${slot.index}`,
      workerData: startData(slot.index, urgent),
      ...(resourceLimits === undefined ? {} : { resourceLimits }),
    });
    slot.worker = worker;
    worker.on("message", (message: FromWorker) => this.#hear(slot, message));
    worker.on("messageerror", (error) => log.error("unreadable message of a worker", { error }));
    worker.on("error", (error: unknown) => {
      slot.failure = error;
      const stack = error instanceof Error ? error.stack : String(error);
      log.error("worker failed", { worker: slot.index, stack });
    });
    worker.on("exit", (code) => this.#replace(slot, code));
  }

  #hear(slot: Slot, message: FromWorker): void {
    slot.heardMs = this.#deps.clock.now();
    switch (message.type) {
      case "ready":
        slot.ready = true;
        this.#settled?.();
        if (this.#slots.every((one) => one.ready)) this.#starting?.resolve();
        return;
      case "pong":
        slot.pings.get(message.id)?.(message.stats);
        return;
      case "warm": {
        const { requests, durationMs, settled } = message;
        const facts = { worker: slot.index, requests, ms: Math.round(durationMs), settled };
        this.#deps.log.debug("worker is warm", facts);
        return;
      }
      case "series":
        this.#deps.onSeries(slot.index, message.label);
        return;
      case "failure":
        this.#deps.onFailure?.(message.failure);
        return;
      case "traced":
        this.#deps.onTraced(message.request);
        return;
      case "tapped":
        this.#deps.onTapped?.(message.id, message.events);
        return;
      case "spans":
        this.#deps.onSpans(message);
        send(slot, { type: "spans-taken", bytes: bytesOf(message) });
        return;
      case "rejected":
        this.#rejected++;
        slot.stale = true;
        this.#deps.log.error("worker refused an update and keeps its old view", {
          worker: slot.index,
          revision: message.revision,
          reason: message.reason,
        });
        return;
      case "log":
        this.#deps.log.warn(message.message, { worker: slot.index, ...message.facts });
    }
  }

  /** Runs when the thread is really gone: nobody else writes to its part of the shared memory. */
  #replace(slot: Slot, code: number): void {
    const { clock, log, release } = this.#deps;
    slot.worker = null;
    const wasReady = slot.ready;
    slot.ready = false;
    this.#settled?.();
    for (const answer of slot.pings.values()) answer(null);
    release(slot.index);
    if (this.#stopping) return;
    if (!wasReady) {
      const cause = slot.failure;
      this.#starting?.reject(
        new Error(`worker ${slot.index} ended before it was ready`, { cause }),
      );
    }
    const now = clock.now();
    this.#restarts++;
    slot.restarts++;
    this.#restartTimes = this.#restartTimes.filter((at) => at > now - LOOP_WINDOW_MS);
    this.#restartTimes.push(now);
    const delayMs = this.#restartTimes.length > LOOP_RESTARTS ? LOOP_DELAY_MS : 0;
    log.warn("worker is replaced", { worker: slot.index, code, delayMs });
    if (delayMs === 0) this.#begin(slot, true);
    else slot.timer = setTimeout(() => this.#begin(slot, true), delayMs);
  }

  #watch(): void {
    const now = this.#deps.clock.now();
    const hangMs = this.#deps.hangMs ?? HANG_MS;
    for (const slot of this.#slots) {
      if (slot.worker === null) continue;
      const patienceMs = slot.ready ? hangMs : START_PATIENCE_MS;
      if (now - slot.heardMs > patienceMs) {
        this.#deps.log.error("worker hangs and is ended", { worker: slot.index });
        void slot.worker.terminate();
      } else if (slot.ready) {
        if (slot.stale) this.#offerFullState(slot);
        void this.#ping(slot, hangMs);
      }
    }
  }

  #offerFullState(slot: Slot): void {
    const update = this.#deps.fullState();
    if (update.revision === slot.offered) return;
    Object.assign(slot, { stale: false, offered: update.revision });
    send(slot, { type: "update", update });
  }

  #ping(slot: Slot, timeoutMs: number): Promise<DataPlaneStats | null> {
    if (slot.worker === null || !slot.ready) return Promise.resolve(null);
    const id = ++this.#pingId;
    return new Promise((resolve) => {
      const settle = (stats: DataPlaneStats | null) => {
        clearTimeout(timer);
        slot.pings.delete(id);
        resolve(stats);
      };
      const timer = setTimeout(() => settle(null), timeoutMs);
      slot.pings.set(id, settle);
      send(slot, { type: "ping", id });
    });
  }
}

function bytesOf({ spans }: SpanBatch): number {
  let bytes = 0;
  for (let at = 1; at < spans.length; at += 2) bytes += spans[at]?.length ?? 0;
  return bytes;
}

function send(slot: Slot, message: ToWorker): void {
  slot.worker?.postMessage(message);
}

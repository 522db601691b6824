import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { RUNNING, STOPPED, type TickerMemory, tickerMemory } from "./ticker-memory.ts";

/** The thread's script: `.ts` in a checkout, `.js` in the built package. */
const SCRIPT = new URL(`./ticker-thread${extname(import.meta.url)}`, import.meta.url);

/**
 * Waking the generator costs more than sending a request. Above 8,000 requests per second some leave together, up to
 * an eighth of a millisecond after their time.
 */
const SHORTEST_STEP_MS = 0.125;

/**
 * Ticks whenever a request is due. Node's own timers count in milliseconds, so that requests would leave in bursts;
 * spinning would be exact, but keep the CPU from the upstream that shares it, and hide whether that CPU was full. So a
 * thread sleeps until the next request is due (futex, high resolution) and wakes the event loop by a message, while
 * sockets are served as ever.
 */
export class Ticker {
  readonly #worker: Worker;
  readonly #memory: TickerMemory = tickerMemory();
  readonly #stepMs: number;
  readonly #ready: Promise<void>;

  /** `intervalMs`: from request to request. `tick` is called with `performance.now()`. */
  constructor(intervalMs: number, tick: (now: number) => void) {
    this.#stepMs = Math.max(1, Math.round(SHORTEST_STEP_MS / intervalMs)) * intervalMs;
    this.#worker = new Worker(SCRIPT, { workerData: this.#memory });
    this.#ready = new Promise((resolve, reject) => {
      this.#worker.once("error", reject);
      this.#worker.once("exit", () => {
        const error = new Error("the ticking thread of the load generator has ended");
        reject(error);
        // Without it no request leaves, and nobody waits for `ready` any longer.
        if (Atomics.load(this.#memory.state, 0) === RUNNING) throw error;
      });
      this.#worker.once("message", () => {
        this.#worker.on("message", () => {
          Atomics.store(this.#memory.isSeen, 0, 1);
          tick(performance.now());
        });
        resolve();
      });
    });
    // Whoever waits for it is told.
    this.#ready.catch(() => undefined);
  }

  /** Resolves when the thread runs; rejects where it cannot. */
  ready(): Promise<void> {
    return this.#ready;
  }

  /** Ticks first at this moment of `performance.now()`. To be called when it is ready. */
  start(now: number): void {
    const { state, isSeen, schedule } = this.#memory;
    const monotonic = Number(process.hrtime.bigint()) / 1e6 - performance.now();
    schedule.set([now + monotonic, this.#stepMs]);
    Atomics.store(isSeen, 0, 1);
    Atomics.store(state, 0, RUNNING);
    Atomics.notify(state, 0);
  }

  stop(): void {
    Atomics.store(this.#memory.state, 0, STOPPED);
    Atomics.notify(this.#memory.state, 0);
  }
}

import { isDeepStrictEqual } from "node:util";
import type { Health } from "../core/model.ts";
import type { Random } from "../core/random.ts";
import { type ProbeResult, probeHttp, probeTcp } from "./check-probes.ts";
import { probeGrpc } from "./grpc-probe.ts";
import type { Log } from "./log.ts";
import type { CheckTask } from "./protocol.ts";
import type { CheckResult } from "./schema.ts";
import type { Timers } from "./timers.ts";

export interface CheckRunnerOptions {
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  /** Told of the first result of every check and of every change after it. */
  onResult(result: CheckResult): void;
  /** Runs of checks at the same time; further ones wait. */
  readonly maxRunning?: number;
}

/** Part of an interval by which it is shorter or longer than asked for. */
const JITTER = 0.1;

interface Running {
  readonly task: CheckTask;
  status: Health;
  /** Told to nobody yet, so that the first result goes out even where it changes nothing. */
  reported: boolean;
  successes: number;
  failures: number;
  cancel: () => void;
  readonly stop: AbortController;
}

/**
 * Runs the http, tcp and grpc checks of this host's endpoints. Each starts at a random moment of its first
 * interval, and each further interval is up to a tenth shorter or longer, so that checks that arrive together, or that
 * a stall brought together, do not fire together. It counts successes
 * and failures in a row before it changes the status, as Consul's `success_before_passing` and
 * `failures_before_*` do.
 */
export class CheckRunner {
  readonly #options: CheckRunnerOptions;
  readonly #running = new Map<string, Running>();
  readonly #waiting: (() => void)[] = [];
  #active = 0;

  constructor(options: CheckRunnerOptions) {
    this.#options = options;
  }

  /** Replaces the list. A check that stays as it was goes on undisturbed. */
  set(tasks: readonly CheckTask[]): void {
    const wanted = new Map(tasks.map((task) => [`${task.host}/${task.id}`, task]));
    for (const [key, running] of [...this.#running]) {
      if (isDeepStrictEqual(wanted.get(key)?.spec, running.task.spec)) wanted.delete(key);
      else this.#end(key, running);
    }
    for (const [key, task] of wanted) {
      if (task.spec.kind !== "ttl") this.#begin(key, task);
    }
  }

  stop(): void {
    for (const [key, running] of [...this.#running]) this.#end(key, running);
  }

  #begin(key: string, task: CheckTask): void {
    const running: Running = {
      task,
      status: task.status,
      ...{ reported: false, successes: 0, failures: 0 },
      cancel: () => {},
      stop: new AbortController(),
    };
    this.#running.set(key, running);
    this.#arm(key, running, this.#options.random());
  }

  #end(key: string, running: Running): void {
    running.cancel();
    running.stop.abort();
    this.#running.delete(key);
  }

  #arm(key: string, running: Running, share: number): void {
    const { spec } = running.task;
    if (spec.kind === "ttl") return;
    running.cancel = this.#options.timers.after(spec.intervalMs * share, () => {
      this.#run(key, running).catch((error: unknown) => {
        this.#options.log.error("a check could not be run", { check: key, error });
      });
    });
  }

  async #run(key: string, running: Running): Promise<void> {
    await this.#slot();
    try {
      if (running.stop.signal.aborted) return;
      const result = await probe(running);
      if (running.stop.signal.aborted) return;
      this.#judge(key, running, result);
    } finally {
      this.#active--;
      this.#waiting.shift()?.();
      if (!running.stop.signal.aborted) {
        this.#arm(key, running, 1 + JITTER * (2 * this.#options.random() - 1));
      }
    }
  }

  async #slot(): Promise<void> {
    if (this.#active >= (this.#options.maxRunning ?? 64)) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#active++;
  }

  #judge(key: string, running: Running, { status, output }: ProbeResult): void {
    const next = this.#next(running, status);
    if (next === running.status && running.reported) return;
    running.status = next;
    running.reported = true;
    this.#options.log.debug("a check has a new status", { check: key, status: next, output });
    this.#options.onResult({ check: key, status: next, output });
  }

  /** A warning counts as a success: the endpoint is up, as in Consul. */
  #next(running: Running, found: Health): Health {
    const { spec } = running.task;
    if (spec.kind === "ttl") return running.status;
    if (found !== "critical") {
      running.failures = 0;
      running.successes++;
      return running.successes >= spec.successBeforePassing ? found : running.status;
    }
    running.successes = 0;
    running.failures++;
    if (running.failures >= spec.failuresBeforeCritical) return "critical";
    return running.failures >= spec.failuresBeforeWarning ? "warning" : running.status;
  }
}

function probe({ task: { spec }, stop }: Running): Promise<ProbeResult> {
  if (spec.kind === "http") return probeHttp(spec, stop.signal);
  if (spec.kind === "tcp") return probeTcp(spec, stop.signal);
  if (spec.kind === "grpc") return probeGrpc(spec, stop.signal);
  return Promise.reject(new TypeError("a ttl check is not run, it is waited for"));
}

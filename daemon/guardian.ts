import type { Config } from "../src/config/schema.ts";
import type { Clock } from "../src/core/clock.ts";
import type { Log } from "../src/telemetry/log.ts";
import { type Capture, NO_ADDRESSES } from "./capture-control.ts";
import type { FromGeneration, GenerationPorts, GenerationStart } from "./generation-messages.ts";
import type { GenerationCommand } from "./generation-process.ts";
import { GenerationProcess } from "./generation-process.ts";
import type { SharedListener } from "./worker-messages.ts";

export interface GuardianDeps {
  readonly config: Config;
  readonly start: Omit<GenerationStart, "listeners" | "lingerMs" | "config" | "urgent">;
  readonly listeners: readonly SharedListener[];
  /** Closes the guardian's own copies of the listening sockets. */
  readonly closeListeners: () => void;
  /** null: nothing is captured (explicit proxy only). */
  readonly capture: Capture | null;
  /** Is it a failure when the rules cannot be installed? Else the explicit proxy alone will do. */
  readonly captureRequired: boolean;
  /** Leave the rules in place at an orderly stop; `capture.onDeath` then says what they do. */
  readonly keepRules: boolean;
  readonly command: GenerationCommand;
  /** How often the rules are compared with what they should be. Default 30 s. */
  readonly assertMs?: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** A data path that was silent for this long is no longer kept in the way of the containers. */
const SILENCE_MS = 1_000;
/** A generation that gives no sign of life for this long is killed and replaced. */
const HANG_MS = 30_000;
const ASSERT_MS = 30_000;
const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 5_000;
/** A generation that served for this long was sound: its successor starts without delay. */
const SOUND_MS = 10_000;

/**
 * Owns what must outlive a generation: the listening sockets, the capture rules and their dead-man. Starts
 * generations and replaces those that die. Connections that arrive in between wait in the sockets' queues.
 *
 * The dead-man is refreshed only while the data path answers: a data path that is stuck loses the
 * containers' traffic in the same way as one that is gone.
 */
export class Guardian {
  readonly #deps: GuardianDeps;
  #generation: GenerationProcess | null = null;
  #ports: GenerationPorts | null = null;
  #startedMs = 0;
  #servingMs = Number.NEGATIVE_INFINITY;
  #heardMs = 0;
  #failures = 0;
  #installed = false;
  #serving = false;
  /** The capture of new connections was given back, and is not taken up again. */
  #released = false;
  #stopping: Promise<void> | null = null;
  #finishing: Promise<void> | null = null;
  #failReason = "";
  #addresses = NO_ADDRESSES;
  #work: Promise<void> = Promise.resolve();
  #dirtySets = false;
  /** The last sync of the sets has failed: they are not what the generation has named. */
  #setsBehind = false;
  #timers: NodeJS.Timeout[] = [];
  #respawn: NodeJS.Timeout | null = null;
  #first: { resolve: () => void; reject: (reason: unknown) => void } | null = null;
  readonly #done = Promise.withResolvers<number>();

  constructor(deps: GuardianDeps) {
    this.#deps = deps;
  }

  /** Resolves with the exit code when everything has ended. */
  get done(): Promise<number> {
    return this.#done.promise;
  }

  /** Ports of the generation that serves now. */
  get ports(): GenerationPorts | null {
    return this.#ports;
  }

  /** Are connections of local workloads captured? */
  get capturing(): boolean {
    return this.#installed;
  }

  /** Process id of the generation, for tests and for the log. */
  get generationPid(): number | undefined {
    return this.#generation?.pid;
  }

  /**
   * Starts the first generation and, when it serves, captures. Rejects when that generation ends before it
   * was ready or the rules cannot be installed; nothing is left behind then.
   */
  async start(): Promise<void> {
    if (this.#stopping !== null) throw new Error("stopped before the data path was started");
    const ready = new Promise<void>((resolve, reject) => {
      this.#first = { resolve, reject };
    });
    this.#spawn();
    try {
      await ready;
      if (this.#stopping !== null) throw new Error("stopped before the data path was ready");
      await this.#install();
    } catch (error) {
      await this.force();
      throw error;
    } finally {
      this.#first = null;
    }
    const { deadManMs } = this.#deps.config.capture;
    this.#timers.push(setInterval(() => this.#watch(), Math.max(50, deadManMs / 4)));
    this.#timers.push(setInterval(() => this.#assertRules(), this.#deps.assertMs ?? ASSERT_MS));
  }

  /** An orderly stop: no new captures, open work is drained, the rules are removed. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopOrderly();
    return this.#stopping;
  }

  /**
   * The first step of a stop: new connections go direct, those that are captured go on, and whatever else comes here is
   * still served. It cannot be taken back; `stop` is to follow.
   */
  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    if (this.#installed) {
      await this.#capture("end the capture of new connections", (capture) => capture.release());
      this.#deps.log.info("capture given back: new connections go direct");
    }
    this.#tellCapture();
  }

  /** Ends the generation at once; rules are still removed. */
  async force(): Promise<void> {
    this.#stopping ??= Promise.resolve();
    this.#clearTimers();
    await this.#generation?.kill();
    await this.#finish();
  }

  async #stopOrderly(): Promise<void> {
    const { config, keepRules, log, closeListeners } = this.#deps;
    const { drainMs } = config.timeouts;
    this.#clearTimers();
    log.info("stopping: draining open requests", { drainMs });
    // Kept rules go on sending connections here until the dead-man entry has lapsed.
    const lingerMs = this.#installed && keepRules ? config.capture.deadManMs : 0;
    // Established connections need the rules until they end; only new ones must go elsewhere.
    if (this.#installed && !keepRules) await this.release();
    closeListeners();
    await this.#generation?.drain(lingerMs, drainMs);
    await this.#finish();
  }

  #finish(): Promise<void> {
    this.#finishing ??= this.#cleanUp();
    return this.#finishing;
  }

  async #cleanUp(): Promise<void> {
    this.#deps.closeListeners();
    if (this.#installed && !this.#deps.keepRules) {
      this.#installed = false;
      await this.#capture("remove the capture rules", (capture) => capture.uninstall());
      this.#deps.log.info("capture rules removed");
    }
    this.#done.resolve(0);
  }

  #spawn(): void {
    const { command, start, config, listeners, capture, clock } = this.#deps;
    const lingerMs = capture === null ? 0 : config.capture.deadManMs + 500;
    const urgent = this.#ports !== null;
    this.#respawn = null;
    this.#failReason = "";
    this.#startedMs = clock.now();
    this.#heardMs = this.#startedMs;
    this.#generation = new GenerationProcess(
      command,
      { ...start, config, lingerMs, urgent },
      listeners,
      {
        message: (message) => this.#hear(message),
        exit: (how) => this.#replace(how),
      },
    );
    // Before it can say that it is ready: nothing will be captured again.
    if (this.#released) this.#tellCapture();
  }

  #hear(message: FromGeneration): void {
    this.#heardMs = this.#deps.clock.now();
    switch (message.type) {
      case "ready":
        this.#ports = message.ports;
        this.#servingMs = this.#heardMs;
        this.#serving = true;
        this.#tellCapture();
        this.#deps.log.info("data path ready", { pid: this.generationPid, ...message.ports });
        this.#first?.resolve();
        return;
      case "failed":
        this.#failReason = message.reason;
        return;
      case "beat":
        if (message.serving) this.#servingMs = this.#heardMs;
        return;
      case "workloads":
        this.#addresses = { workloads: message.addresses, guarded: message.guarded };
        this.#syncSets();
        return;
      case "stop-requested":
        void this.stop();
        return;
      case "release-requested":
        void this.release();
    }
  }

  #replace(how: string): void {
    const { clock, log } = this.#deps;
    this.#generation = null;
    if (this.#stopping !== null) {
      this.#first?.reject(new Error("stopped before the data path was ready"));
      return;
    }
    if (this.#first !== null && this.#ports === null) {
      const reason = this.#failReason === "" ? how : this.#failReason;
      this.#first.reject(new Error(`the data path did not start: ${reason}`));
      return;
    }
    const sound = clock.now() - this.#startedMs > SOUND_MS;
    this.#failures = sound ? 0 : this.#failures + 1;
    const delayMs =
      this.#failures <= 1
        ? 0
        : Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(10, this.#failures - 2));
    log.warn("generation ended and is replaced", { how, reason: this.#failReason, delayMs });
    if (delayMs === 0) this.#spawn();
    else this.#respawn = setTimeout(() => this.#spawn(), delayMs);
  }

  async #install(): Promise<void> {
    const { capture, captureRequired, log, start } = this.#deps;
    if (capture === null) return;
    // Set before the attempt: an installation that fails half way is removed too.
    this.#installed = true;
    try {
      await this.#enqueue(async () => {
        await capture.install(this.#addresses);
        await capture.sync(this.#addresses);
        await capture.refresh();
      });
    } catch (error) {
      if (captureRequired) throw error;
      this.#installed = false;
      await this.#capture("remove a half-made capture", () => capture.uninstall());
      log.warn("no capture: only the explicit proxy serves", { reason: reasonOf(error) });
      return;
    }
    this.#tellCapture();
    const workloads = this.#addresses.workloads.length;
    log.info("capturing connections of local workloads", { mode: start.mode, workloads });
  }

  /** Changes that come while a sync runs are put together into the next one. */
  #syncSets(): void {
    if (!this.#holdsCapture || this.#stopping !== null || this.#dirtySets) return;
    this.#dirtySets = true;
    void this.#capture("sync the captured addresses", async (capture) => {
      this.#dirtySets = false;
      this.#setsBehind = true;
      await capture.sync(this.#addresses);
      this.#setsBehind = false;
      await capture.refresh();
    });
  }

  /** Every quarter of the dead-man's time. */
  #watch(): void {
    const { clock, log, config } = this.#deps;
    const now = clock.now();
    if (now - this.#heardMs > HANG_MS && this.#generation !== null) {
      log.error("generation hangs and is killed", { pid: this.generationPid });
      this.#heardMs = now;
      void this.#generation.kill();
    }
    const serving = now - this.#servingMs <= SILENCE_MS;
    if (serving !== this.#serving) {
      this.#serving = serving;
      this.#tellCapture();
      const { onDeath } = config.capture;
      if (serving) log.info("data path answers again");
      else log.error("data path is silent: its capture lapses", { onDeath });
    }
    if (!serving || !this.#holdsCapture) return;
    if (this.#setsBehind) this.#syncSets();
    else void this.#capture("refresh the dead-man entry", (capture) => capture.refresh());
  }

  #assertRules(): void {
    if (!this.#holdsCapture || !this.#serving) return;
    void this.#capture("check the capture rules", async (capture) => {
      if (!(await capture.assert())) return;
      this.#deps.log.warn("capture rules were missing and have been put back");
      await capture.sync(this.#addresses);
      await capture.refresh();
    });
  }

  get #holdsCapture(): boolean {
    return this.#installed && !this.#released;
  }

  #tellCapture(): void {
    this.#generation?.tellCapture(this.#holdsCapture && this.#serving, this.#released);
  }

  /** A failure is logged, and the next round tries again. */
  #capture(what: string, action: (capture: Capture) => Promise<void>): Promise<void> {
    const { capture, log } = this.#deps;
    if (capture === null) return Promise.resolve();
    return this.#enqueue(() => action(capture)).catch((error: unknown) => {
      log.error(`could not ${what}`, { reason: reasonOf(error) });
    });
  }

  /** One change of the rules at a time, in order. */
  #enqueue(action: () => Promise<void>): Promise<void> {
    const result = this.#work.then(action);
    this.#work = result.catch(() => undefined);
    return result;
  }

  #clearTimers(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers = [];
    if (this.#respawn !== null) clearTimeout(this.#respawn);
    this.#respawn = null;
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

import type { Change } from "../core/model.ts";
import type { RegistryClientOptions, RegistryClientState } from "./client-options.ts";
import { HeldState, type Step, StepAssembler } from "./held-state.ts";
import {
  type Ask,
  type CheckTask,
  type ClientMessage,
  PROTOCOL_VERSION,
  type ServerMessage,
  type UpdatePart,
} from "./protocol.ts";
import { type RegistryTarget, RegistryTargets } from "./registry-targets.ts";
import { registryTlsOptions } from "./registry-tls.ts";
import type { CheckResult } from "./schema.ts";
import { SnapshotFile } from "./snapshot-file.ts";
import { processTimers, type Timers } from "./timers.ts";
import { type Ending, WatchConnection } from "./watch-connection.ts";

/** Results in one message; the registry takes no more. */
const RESULTS_PER_MESSAGE = 500;
const REASON_LENGTH = 2_000;
/** A connection that lasted so long was a good one. */
const STABLE_MS = 5_000;

type HelloMesh = NonNullable<Extract<ClientMessage, { type: "hello" }>["mesh"]>;

/**
 * A daemon's view of the registry. It serves what was saved before it connects, keeps what it has while
 * the registry is gone, and takes each revision whole or not at all.
 */
export class RegistryClient {
  readonly #options: RegistryClientOptions;
  readonly #timers: Timers;
  readonly #held = new HeldState();
  readonly #file: SnapshotFile;
  readonly #assembler = new StepAssembler();
  readonly #results = new Map<string, CheckResult>();
  #connection: WatchConnection | null = null;
  #welcome: Extract<ServerMessage, { type: "welcome" }> | null = null;
  /** Lost track: everything but the beginning of a snapshot is dropped. */
  #awaitsSnapshot = false;
  readonly #targets: RegistryTargets;
  #target: RegistryTarget;
  /** Rounds over all registries without a lasting connection. */
  #rounds = 0;
  /** Of the newest attempt: an older one that is still looking for its address is void. */
  #attempt = 0;
  /** The authorities whose certificates this host uses; null: it has not said. */
  #issuers: readonly string[] | null = null;
  #cancelRetry: (() => void) | null = null;
  #welcomeMs = 0;
  #currentMs: number;
  #lastError: string | null = null;
  #rejected: { revision: number; reason: string } | null = null;
  #resyncs = 0;
  #running = false;

  constructor(options: RegistryClientOptions) {
    if (options.urls.length === 0) throw new Error("no registry is named");
    for (const url of options.urls) {
      if (!/^https?:\/\/[^/]/.test(url) || !URL.canParse(url)) {
        throw new Error(`${JSON.stringify(url)} is no http or https URL of a registry`);
      }
    }
    this.#options = options;
    const { urls, random, lookUp } = options;
    this.#targets = new RegistryTargets({
      ...{ urls, random },
      ...(lookUp === undefined ? {} : { lookUp }),
    });
    this.#target = { url: urls[0] ?? "", address: null };
    this.#timers = options.timers ?? processTimers;
    this.#currentMs = options.clock.now();
    const { snapshotPath: path, clock, log } = options;
    this.#file = new SnapshotFile({ path, clock, timers: this.#timers, log });
  }

  /** Loads the saved state, then connects and stays connected. Resolves when the saved state is in use. */
  async start(): Promise<void> {
    this.#running = true;
    const saved = await this.#file.read();
    if (!this.#running) return;
    if (saved !== null) this.#restore(saved.step, saved.epoch);
    void this.#connectNext();
  }

  /** Disconnects and saves what is not saved yet. */
  async stop(): Promise<void> {
    this.#running = false;
    this.#cancelRetry?.();
    this.#connection?.close("stopped");
    await this.#file.close();
  }

  /** Connects anew, at once: this host says hello as somebody else from now on. */
  reconnect(reason: string): void {
    // Before the first connection there is nothing to leave: that one will say the same.
    if (!this.#running || this.#attempt === 0) return;
    this.#options.log.info("connecting to the registry anew", { reason });
    this.#cancelRetry?.();
    this.#leave();
    this.#connect(this.#target);
  }

  state(): RegistryClientState {
    return {
      connected: this.#welcome !== null,
      url: this.#target.url,
      revision: this.#held.revision(),
      epoch: this.#held.epoch(),
      ageMs: this.#options.clock.now() - this.#currentMs,
      lastError: this.#lastError,
      rejected: this.#rejected,
      resyncs: this.#resyncs,
    };
  }

  /**
   * Tells which authorities signed the certificates that this host uses (SHA-256, hex), so that none is taken away too
   * early; again on every new connection.
   */
  uses(issuers: readonly string[]): void {
    this.#issuers = issuers;
    this.#sendIssuers();
  }

  /** Sends results of checks; the newest of each is sent again on every new connection. */
  report(results: readonly CheckResult[]): void {
    for (const result of results) this.#results.set(result.check, result);
    this.#sendResults(results);
  }

  #restore(step: Step, epoch: string): void {
    const { log } = this.#options;
    try {
      this.#options.onUpdate(step.changes.map(toChange), step.to, true);
      this.#held.take(step, epoch);
      log.info("serving the saved snapshot", { revision: step.to, records: step.changes.length });
    } catch (error) {
      log.warn("the saved snapshot is refused", { revision: step.to, error });
    }
  }

  /** Looks for the next registry, and connects unless something else happened meanwhile. */
  async #connectNext(): Promise<void> {
    this.#cancelRetry = null;
    const attempt = ++this.#attempt;
    const target = await this.#targets.next();
    if (this.#running && attempt === this.#attempt) this.#connect(target);
  }

  /** Ends the connection without the pause that follows a lost one. */
  #leave(): void {
    const connection = this.#connection;
    this.#connection = null;
    this.#welcome = null;
    this.#options.questions?.endAll();
    connection?.close("left");
  }

  #connect(target: RegistryTarget): void {
    this.#attempt++;
    this.#cancelRetry = null;
    this.#target = target;
    const { clock } = this.#options;
    const tls = this.#options.tls?.() ?? null;
    const mesh = this.#options.mesh?.() ?? null;
    this.#assembler.reset();
    this.#awaitsSnapshot = false;
    const connection = new WatchConnection({
      ...target,
      ...(tls === null ? {} : { tls: registryTlsOptions(tls) }),
      clock,
      timers: this.#timers,
      hello: () => this.#hello(mesh),
      receive: (message) => this.#receive(message),
      heard: () => this.#freshen(),
      closed: (reason, ending) => {
        if (this.#connection === connection) this.#closed(reason, ending);
      },
    });
    this.#connection = connection;
  }

  #hello(mesh: HelloMesh | null): ClientMessage {
    const { host, zone, version } = this.#options;
    const position = this.#held.position();
    return {
      type: "hello",
      protocol: PROTOCOL_VERSION,
      ...{ host, zone, version },
      epoch: this.#held.epoch(),
      revision: this.#held.revision(),
      ...(Object.keys(position).length === 0 ? {} : { position }),
      ...(mesh === null ? {} : { mesh }),
      ...(this.#options.questions === undefined ? {} : { takes: ["ask"] }),
    };
  }

  #closed(reason: string, ending: Ending): void {
    this.#options.questions?.endAll();
    const wasConnected = this.#welcome !== null;
    const lastedMs = wasConnected ? this.#options.clock.now() - this.#welcomeMs : 0;
    this.#connection = null;
    this.#welcome = null;
    if (!this.#running) return;
    const { log } = this.#options;
    const place = placeOf(this.#target);
    this.#lastError = `${place}: ${reason}`;
    const delayMs = this.#pauseMs(lastedMs > STABLE_MS);
    if (ending === "distrusted") this.#options.distrusted?.();
    if (ending === "dismissed")
      log.info("the registry asks to watch another one", { url: place, reason });
    else if (wasConnected)
      log.warn("the registry is gone, serving what is known", { url: place, reason });
    else log.debug("no registry at this address", { url: place, reason, delayMs });
    this.#cancelRetry = this.#timers.after(delayMs, () => void this.#connectNext());
  }
  /**
   * Another registry is tried at once, and all of them again after a pause. A registry that welcomes and drops us must not
   * be stormed: only a lasting connection makes the pauses short again.
   */
  #pauseMs(isLasting: boolean): number {
    const { random, reconnectMinMs, reconnectMaxMs } = this.#options;
    if (isLasting) {
      this.#rounds = 0;
      this.#targets.restart(this.#target);
    }
    if (this.#targets.hasOther()) return 0;
    const doublings = Math.min(this.#rounds, 30);
    this.#rounds++;
    return random() * Math.min(reconnectMaxMs, reconnectMinMs * 2 ** doublings);
  }

  #receive(message: ServerMessage): void {
    if (message.type === "welcome") this.#welcomed(message);
    else if (this.#welcome === null) throw new Error("a message before the welcome");
    else if (message.type === "update") this.#update(message, this.#welcome.epoch);
    else if (message.type === "checks") this.#takeChecks(message.checks);
    else if (message.type === "ask") this.#ask(message);
    else if (message.type === "ask-end") this.#options.questions?.end(message.id);
    else this.#compare(message.revision, message.digest);
    this.#freshen();
  }

  #welcomed(message: Extract<ServerMessage, { type: "welcome" }>): void {
    if (this.#welcome !== null) throw new Error("a second welcome");
    this.#welcome = message;
    this.#welcomeMs = this.#options.clock.now();
    this.#lastError = null;
    const { epoch, revision } = message;
    this.#options.log.info("connected to the registry", {
      url: placeOf(this.#target),
      epoch,
      revision,
    });
    this.#sendResults([...this.#results.values()]);
    this.#sendIssuers();
  }

  #update(part: UpdatePart, epoch: string): void {
    if (this.#awaitsSnapshot) {
      if (!part.full || part.part !== 0) return;
      this.#awaitsSnapshot = false;
    }
    const step = this.#assembler.add(part);
    if (step === null) return;
    const sameStore = epoch === this.#held.epoch();
    if (!step.full && (!sameStore || step.from !== this.#held.revision())) {
      this.#resync(`a step from ${step.from}, held is ${this.#held.revision()}`);
      return;
    }
    this.#apply(step, epoch);
  }

  #apply(step: Step, epoch: string): void {
    try {
      this.#options.onUpdate(step.changes.map(toChange), step.to, step.full);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const reason = message.slice(0, REASON_LENGTH);
      this.#rejected = { revision: step.to, reason };
      this.#options.log.error("a revision is refused", { revision: step.to, reason });
      this.#connection?.send({ type: "nack", revision: step.to, reason });
      return;
    }
    this.#held.take(step, epoch);
    this.#rejected = null;
    this.#connection?.send({ type: "ack", revision: step.to });
    this.#file.save(this.#held);
  }

  #ask(message: Ask): void {
    const connection = this.#connection;
    if (connection === null) return;
    this.#options.questions?.ask(message, (part) => connection.sendAndWait(part));
  }

  #compare(revision: number, digest: string): void {
    if (this.#awaitsSnapshot || revision !== this.#held.revision()) return;
    if (digest !== this.#held.digest()) this.#resync(`the digest of revision ${revision} differs`);
  }

  #resync(reason: string): void {
    this.#resyncs++;
    this.#awaitsSnapshot = true;
    this.#assembler.reset();
    this.#options.log.warn("lost track of the registry, asking for everything", { reason });
    this.#connection?.send({ type: "resync", reason });
  }

  #takeChecks(checks: readonly CheckTask[]): void {
    const wanted = new Set(checks.map(({ host, id }) => `${host}/${id}`));
    for (const key of this.#results.keys()) if (!wanted.has(key)) this.#results.delete(key);
    this.#options.onChecks(checks);
  }

  #sendResults(results: readonly CheckResult[]): void {
    if (this.#welcome === null) return;
    for (let start = 0; start < results.length; start += RESULTS_PER_MESSAGE) {
      const some = results.slice(start, start + RESULTS_PER_MESSAGE);
      this.#connection?.send({ type: "results", results: some });
    }
  }

  #sendIssuers(): void {
    // An older registry would take it for what is not of the protocol.
    if (this.#issuers === null || this.#welcome?.takes?.includes("certificates") !== true) return;
    this.#connection?.send({ type: "certificates", issuers: [...this.#issuers] });
  }

  /** The registry is there and says nothing newer: what is held is current. */
  #freshen(): void {
    if (this.#welcome === null || this.#rejected !== null || this.#awaitsSnapshot) return;
    if (this.#held.revision() < this.#welcome.revision) return;
    if (this.#held.epoch() === this.#welcome.epoch) this.#currentMs = this.#options.clock.now();
  }
}

function placeOf({ url, address }: RegistryTarget): string {
  return address === null ? url : `${url} (${address})`;
}

/** Without the version, which is the registry's matter. */
function toChange(change: VersionedStepChange): Change {
  const { version: _, ...rest } = change;
  return rest;
}

type VersionedStepChange = Step["changes"][number];

import type { Server } from "node:http";
import { extname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { execRunner } from "../iptables/runner.ts";
import type { Config } from "../src/config/schema.ts";
import { processClock } from "../src/core/clock.ts";
import type { Change } from "../src/core/model.ts";
import type { DataUpdate } from "../src/core/snapshot.ts";
import { closeFd } from "../src/proxy/downstream/libc.ts";
import { CheckRunner } from "../src/registry/check-runner.ts";
import { RegistryClient } from "../src/registry/client.ts";
import { processTimers } from "../src/registry/timers.ts";
import type { RootLog } from "../src/telemetry/log.ts";
import { RateSampler } from "../src/telemetry/rate-sampler.ts";
import { SeriesReader } from "../src/telemetry/series-reader.ts";
import { AddressLifetimes } from "./address-lifetime/address-lifetimes.ts";
import { poke } from "./address-lifetime/poke.ts";
import { CaptureState } from "./capture-state.ts";
import type { Compiler } from "./compiler.ts";
import { closeServer, listen } from "./control-server.ts";
import type { ControlParts } from "./control-servers.ts";
import { controlServers } from "./control-servers.ts";
import { makeDataDir } from "./data-dir.ts";
import type { FromGeneration, GenerationPorts, GenerationStart } from "./generation-messages.ts";
import { fetchJwks } from "./identity/fetch-jwks.ts";
import { IdentityService } from "./identity/identity-service.ts";
import { JwksKeeper } from "./identity/jwks-keeper.ts";
import type { TiedAddress } from "./local-workloads.ts";
import { makeCompiler } from "./make-compiler.ts";
import { forWorker, makeObserving, type Observing } from "./make-observing.ts";
import type { Memory, MemoryLayout } from "./memory.ts";
import { layout, MAIN_THREAD, openMemory, openSeries } from "./memory.ts";
import { NameResolver } from "./name-resolver.ts";
import { packageVersion } from "./package-version.ts";
import { probeDataPath } from "./probe-data-path.ts";
import type { Readiness } from "./readiness.ts";
import { readinessCheck } from "./readiness.ts";
import { resolveName } from "./resolve-name.ts";
import { Answers } from "./sight/answers.ts";
import { answerHandlers } from "./sight/handlers.ts";
import { RecentErrors } from "./sight/recent-errors.ts";
import { makeExporter } from "./tracing/make-exporter.ts";
import type { SpanExporter } from "./tracing/span-exporter.ts";
import type { WorkerStart } from "./worker-messages.ts";
import { defaultResourceLimits, WorkerSupervisor } from "./workers.ts";

export interface DataPathDeps {
  readonly log: RootLog;
  readonly tell: (message: FromGeneration) => void;
}

const BEAT_MS = 250;
/** A beat waits this long for the workers. */
const BEAT_PATIENCE_MS = 1_000;
const SWEEP_MS = 1_000;
/** Rates are over 10 s; five readings in each. */
const SAMPLE_MS = 2_000;
const RETIRE_MS = 60_000;
/** Below the time in which a dead-man entry lapses by default: one hung worker must not end the capture. */
const WORKER_HANG_MS = 5_000;
/**
 * A worker that replaces one has connections waiting: the kernel puts its share of the new ones into the queue of
 * its own listening socket, also while other workers serve. So its warm-up is cut short: what hurts most (code that
 * was never compiled) is over by then.
 */
const URGENT_WARM_UP_MS = 250;
/** Longest wait at a stop for the collector to take the last spans. */
const FLUSH_MS = 2_000;
/** Longest wait for the certificates of local workloads before connections of other hosts are taken. */
const CERTIFICATES_MS = 1_000;
/** Longest wait until it is known by which links local workloads are reached, and whether those have changed meanwhile. */
const LINKS_MS = 1_000;

/**
 * The main thread of a generation: it joins registry client, compiler, workers, health checks and the
 * control servers. It carries no traffic itself.
 */
export class DataPath {
  readonly #start: GenerationStart;
  readonly #config: Config;
  readonly #deps: DataPathDeps;
  readonly #memory: MemoryLayout;
  readonly #own: Memory;
  readonly #compiler: Compiler;
  readonly #lifetimes: AddressLifetimes;
  /** The worker threads; tests end some of them. */
  readonly workers: WorkerSupervisor;
  readonly #identity: IdentityService;
  readonly #jwks: JwksKeeper;
  readonly #names: NameResolver;
  readonly #observing: Observing;
  readonly #client: RegistryClient;
  readonly #checks: CheckRunner;
  readonly #series: SeriesReader;
  readonly #sampler: RateSampler;
  readonly #errors = new RecentErrors();
  readonly #spans: SpanExporter | null;
  readonly #readiness: () => Promise<Readiness>;
  readonly #servers: Server[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #version = packageVersion();
  readonly #startedMs = processClock.now();
  /** What the guardian was told last; null: nothing yet. */
  #addresses: string | null = null;
  #hasSnapshot = false;
  #draining = false;
  readonly #capture = new CaptureState(() => this.#deps.tell({ type: "release-requested" }));

  constructor(start: GenerationStart, deps: DataPathDeps) {
    this.#start = start;
    this.#config = start.config;
    this.#deps = deps;
    this.#memory = layout(start.config, start.workers);
    this.#own = openMemory(this.#memory, MAIN_THREAD, start.config);
    const regions = this.#memory.seriesOffsets.map((_, index) => openSeries(this.#memory, index));
    this.#series = new SeriesReader(regions);
    this.#sampler = new RateSampler({ series: this.#series, clock: processClock });
    this.#spans = makeExporter(start.config, this.#version, deps.log);
    this.#compiler = makeCompiler(start, this.#memory, this.#own, deps.log);
    this.#lifetimes = this.#makeLifetimes();
    this.#identity = this.#makeIdentity();
    this.#jwks = this.#makeJwksKeeper();
    this.#names = new NameResolver({
      resolve: resolveName,
      timers: processTimers,
      log: deps.log,
      onChange: (changes) => {
        const { revision } = this.#compiler;
        this.#post(this.#compiler.apply({ revision, full: false, changes }));
      },
    });
    this.#observing = makeObserving(start.config, deps.log, (to) => this.workers.tell(to));
    this.workers = this.#makeSupervisor();
    this.#checks = new CheckRunner({
      timers: processTimers,
      random: Math.random,
      log: deps.log,
      onResult: (result) => this.#client.report([result]),
    });
    this.#client = this.#makeClient();
    const { bind } = start.config.ports;
    this.#readiness = readinessCheck({
      hasSnapshot: () => this.#hasSnapshot,
      draining: () => this.#draining || this.#capture.released,
      ping: (timeoutMs) => this.workers.ping(timeoutMs),
      probe: (timeoutMs) => probeDataPath(bind, start.explicitPort, timeoutMs),
      clock: processClock,
    });
  }

  /** Resolves with the control ports when every worker accepts. Rejects with what stood in the way. */
  async start(): Promise<GenerationPorts> {
    makeDataDir(this.#config.dataDir, this.#deps.log);
    const ports = await this.#listen();
    await this.#identity.start();
    // Before the saved snapshot says whose they are.
    for (const tied of await this.#lifetimes.open()) this.#compiler.leave(tied);
    await this.#client.start();
    await this.#lifetimes.settled(LINKS_MS);
    await this.#identity.settled(this.#start.urgent ? URGENT_WARM_UP_MS : CERTIFICATES_MS);
    await this.workers.start();
    // "None" is worth saying only when the registry has said so: until then the guardian goes on
    // capturing what the generation before this one named.
    if (this.#compiler.localAddresses().length > 0) this.#tellAddresses();
    this.#every(SWEEP_MS, () => {
      if (this.#hasSnapshot && this.#client.state().connected) this.#tellAddresses();
      const update = this.#compiler.sweep();
      if (update !== null) this.#post(update);
    });
    this.#every(SAMPLE_MS, () => this.#sampler.tick());
    this.#every(RETIRE_MS, () => this.#series.retire(processClock.now()));
    void this.#beat();
    return ports;
  }

  /** Whether the guardian's rules are in place, for the metrics, or were given back for good, for readiness. */
  setCapturing(active: boolean, released: boolean): void {
    this.#capture.set(active, released);
  }

  /** Gives up the control ports, so that a successor can have them. */
  closeControl(): void {
    for (const server of this.#servers.splice(0)) void closeServer(server);
  }

  /** Accepts for `lingerMs` more, then ends what is open, at the latest after `deadlineMs`. */
  async drain(lingerMs: number, deadlineMs: number): Promise<void> {
    this.#draining = true;
    if (lingerMs > 0) await delay(lingerMs);
    // A worker that starts duplicates them by number, and a closed number may soon be somebody else's.
    await this.workers.quiesce();
    // With the last copy of a listening socket its port refuses connections.
    for (const { fd } of this.#start.listeners) closeFd(fd);
    await this.workers.drain(deadlineMs);
    await this.#spans?.close(FLUSH_MS);
    await this.stop();
  }

  /** Ends everything now. */
  async stop(): Promise<void> {
    this.#draining = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#observing.taps.endAll();
    this.closeControl();
    this.#checks.stop();
    this.#jwks.close();
    this.#names.close();
    await this.workers.stop();
    await this.#spans?.close(0);
    await this.#client.stop();
    await this.#lifetimes.close();
    await this.#identity.stop();
  }

  #makeSupervisor(): WorkerSupervisor {
    const { config, mode, listeners, explicitPort, ownAddresses, ownPorts, workers } = this.#start;
    const { warmUpMs } = config.timeouts;
    return new WorkerSupervisor({
      script: new URL(`./worker${extname(import.meta.url)}`, import.meta.url),
      count: workers,
      startData: (index, urgent): WorkerStart => ({
        ...{ config, mode, listeners, explicitPort, ownAddresses, ownPorts },
        index,
        memory: this.#memory,
        known: this.#series.known(index),
        state: this.#compiler.full(),
        ...forWorker(this.#observing),
        credentials: this.#identity.credentials(),
        identityExpected: this.#identity.isExpected(),
        warmUpMs: Math.min(warmUpMs, urgent || this.#start.urgent ? URGENT_WARM_UP_MS : warmUpMs),
      }),
      fullState: () => this.#compiler.full(),
      onSeries: (index, label) => this.#series.learn(index, label),
      onFailure: (failure) => this.#errors.add(failure),
      onTraced: (request) => this.#series.exemplars.learn(request),
      onTapped: (id, events) => this.#observing.taps.take(id, events),
      onSpans: (batch) => this.#spans?.take(batch),
      release: (index) => {
        this.#own.endpoints.releaseWorker(index);
        this.#own.quotas.releaseWorker(index);
        this.#own.serviceLimits.releaseWorker(index);
      },
      clock: processClock,
      log: this.#deps.log,
      resourceLimits: defaultResourceLimits(workers),
      hangMs: WORKER_HANG_MS,
    });
  }

  #makeIdentity(): IdentityService {
    const { config, joinToken, meshPort } = this.#start;
    return new IdentityService({
      config,
      meshPort,
      ...(joinToken === undefined ? {} : { joinToken }),
      timers: processTimers,
      wall: Date.now,
      random: Math.random,
      log: this.#deps.log,
      onCredentials: (credentials) => this.workers.postCredentials(credentials),
      onEnrolled: () => this.#client.reconnect("this host has an identity"),
      onIssuers: (issuers) => this.#client.uses(issuers),
    });
  }

  #makeLifetimes(): AddressLifetimes {
    return new AddressLifetimes({
      runner: execRunner(),
      path: join(this.#config.dataDir, "address-lifetimes.json"),
      timers: processTimers,
      log: this.#deps.log,
      poke,
      onLeft: (tied) => this.#leave(tied),
    });
  }

  #makeJwksKeeper(): JwksKeeper {
    return new JwksKeeper({
      fetch: fetchJwks,
      timers: processTimers,
      random: Math.random,
      log: this.#deps.log,
      onChange: (documents) => this.#post(this.#compiler.setJwks(documents)),
    });
  }

  #makeClient(): RegistryClient {
    const { host, zone, registry, dataDir } = this.#config;
    return new RegistryClient({
      ...{ urls: registry.urls, host, zone, version: this.#version },
      snapshotPath: join(dataDir, "snapshot.json"),
      reconnectMinMs: registry.reconnectMinMs,
      reconnectMaxMs: registry.reconnectMaxMs,
      clock: processClock,
      random: Math.random,
      log: this.#deps.log,
      tls: () => this.#identity.tls(),
      mesh: () => this.#identity.mesh(),
      distrusted: () => this.#identity.distrusted(),
      onUpdate: (changes, revision, full) => this.#take(changes, revision, full),
      onChecks: (tasks) => this.#checks.set(tasks),
      questions: new Answers(
        answerHandlers(() => this.#parts(), this.#observing),
        processTimers,
        this.#deps.log,
      ),
    });
  }

  /** What this throws is the reason of a refusal; nothing has been changed then. */
  #take(changes: readonly Change[], revision: number, full: boolean): void {
    const expanded = this.#names.expand(changes, full);
    this.#post(this.#compiler.apply({ revision, full, changes: expanded }));
    this.#hasSnapshot = true;
    this.#identity.onUpdate(changes, this.#compiler.localIdentities());
    this.#jwks.setWanted(this.#compiler.jwksWanted());
  }

  /** Its traffic is nobody's from now on, and its certificate is not shown any more. */
  #leave(tied: TiedAddress): void {
    this.#post(this.#compiler.leave(tied));
    this.#identity.onUpdate([], this.#compiler.localIdentities());
  }

  /** Workers first: an address is captured when they know whose it is. */
  #post(update: DataUpdate): void {
    this.workers.post(update);
    const { tied, left } = this.#compiler.tiedAddresses();
    this.#lifetimes.set(tied, left);
    const { workloads, removedWorkloads, policies, services } = update;
    const touched = workloads.length + removedWorkloads.length > 0 || policies !== undefined;
    if (touched || services.some(({ endpoints }) => endpoints.some(({ local }) => local))) {
      this.#tellAddresses();
    }
  }

  #tellAddresses(): void {
    const addresses = this.#compiler.localAddresses();
    const guarded = this.#compiler.guardedAddresses();
    const text = `${addresses.join(" ")} guarded ${guarded.join(" ")}`;
    if (text === this.#addresses) return;
    this.#addresses = text;
    this.#deps.tell({ type: "workloads", addresses, guarded });
  }

  /** Four times a second the guardian hears that this thread lives, and whether every worker answers. */
  async #beat(): Promise<void> {
    for (;;) {
      const answers = await this.workers.ping(BEAT_PATIENCE_MS);
      const serving = answers.every((answer) => answer !== null);
      this.#deps.tell({ type: "beat", serving });
      await delay(BEAT_MS, undefined, { ref: false });
    }
  }

  async #listen(): Promise<GenerationPorts> {
    const { log } = this.#deps;
    const { ports } = this.#config;
    const control = controlServers(this.#parts(), {
      ready: this.#readiness,
      drain: () => this.#deps.tell({ type: "stop-requested" }),
      release: () => this.#capture.release(),
      ...{ ...this.#observing, log },
    });
    this.#servers.push(...Object.values(control));
    const admin = await listen(control.admin, "the admin API", "127.0.0.1", ports.admin);
    const { metricsBind: bind } = ports;
    const metrics = await listen(control.metrics, "the metrics server", bind, ports.metrics);
    const ready = await listen(control.ready, "the readiness server", bind, ports.ready);
    log.debug("control servers listen", { admin, metrics, ready });
    return { admin, metrics, ready };
  }

  #parts(): ControlParts {
    return {
      config: this.#config,
      mode: this.#start.mode,
      capturing: () => this.#capture.active,
      ...{ version: this.#version, startedMs: this.#startedMs, clock: processClock },
      ...{ compiler: this.#compiler, supervisor: this.workers, client: this.#client },
      ...{ identity: this.#identity, jwks: this.#jwks, errors: this.#errors },
      ...{ series: this.#series, sampler: this.#sampler, spans: this.#spans },
      ...{ endpoints: this.#own.endpoints, quotas: this.#own.quotas },
      ...{ memory: this.#memory, start: this.#start },
    };
  }

  #every(intervalMs: number, action: () => void): void {
    this.#timers.push(setInterval(action, intervalMs));
  }
}

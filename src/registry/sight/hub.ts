import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../../core/clock.ts";
import { keyOf } from "../../core/model.ts";
import type { HostReport } from "../../sight/host-report.ts";
import { type KnownHost, type KnownService, MeshMerger } from "../../sight/merge.ts";
import type { MeshReport } from "../../sight/mesh-report.ts";
import type { AnyQuestion } from "../../sight/question.ts";
import type { TapFilter, TapItem, TapLimits } from "../../sight/tap-event.ts";
import type { Catalog } from "../catalog.ts";
import type { Log } from "../log.ts";
import { RegistryError } from "../registry-error.ts";
import type { Timers } from "../timers.ts";
import type { Fellows } from "./fellow-sight.ts";
import type { LocalSight } from "./local-sight.ts";
import type { HostSight, SightSource } from "./sight-source.ts";

/** Nobody is asked anew for a report that is so young. */
const CACHE_MS = 1_000;
/** Taps of this registry at once; each costs every daemon. */
const MAX_TAPS = 16;

export interface SightHubOptions {
  readonly catalog: Catalog;
  /** The daemons of this registry, and those of others. */
  readonly local: LocalSight;
  readonly fellows: Fellows;
  readonly clock: Clock;
  /** Time of day. */
  readonly wall: () => number;
  readonly timers: Timers;
  readonly log: Log;
}

interface Made {
  readonly report: MeshReport;
  readonly sights: readonly HostSight[];
}

interface Watcher {
  readonly everyMs: number;
  readonly onReport: (report: MeshReport) => void;
  dueMs: number;
}

/** What all daemons of the mesh see. Nothing is asked while nobody looks. */
export class SightHub {
  /** The daemons that watch this registry, for the others. */
  readonly local: LocalSight;
  readonly #options: SightHubOptions;
  readonly #watchers = new Set<Watcher>();
  readonly #taps = new Set<() => void>();
  #cached: Made | null = null;
  #cachedMs = 0;
  #making: Promise<void> | null = null;
  #cancelTimer: (() => void) | null = null;
  #closed = false;

  constructor(options: SightHubOptions) {
    this.#options = options;
    this.local = options.local;
  }

  /** At most a second old. */
  async report(): Promise<MeshReport> {
    return (await this.#fresh()).report;
  }

  /** Throws 404 for a host that nobody knows, 503 for one that did not report. */
  async hostReport(host: string): Promise<HostReport> {
    const { report, sights } = await this.#fresh();
    const found = sights.find((sight) => sight.host === host);
    if (found?.report) return found.report;
    if (!report.hosts.some((one) => one.host === host)) throw unknownHost(host);
    throw new RegistryError(503, `host ${host} does not report: it is ${found?.state ?? "gone"}`);
  }

  /** Hands over a report every so often, by one timer for all; the result ends it. */
  watch(everyMs: number, onReport: (report: MeshReport) => void): () => void {
    const watcher = { everyMs, onReport, dueMs: this.#options.clock.now() };
    this.#watchers.add(watcher);
    this.#schedule();
    return () => {
      this.#watchers.delete(watcher);
      this.#schedule();
    };
  }

  /** Rejects with a `RegistryError`: 404 no such host, 503 no daemon there can be asked, 504 it takes too long, 400, 429 or 502 with its own reason. */
  async ask(host: string, question: AnyQuestion, patienceMs: number): Promise<unknown> {
    return this.#sourceOf(host).ask(host, question, patienceMs);
  }

  /** `hosts` null: all that watch now. `onEnd` once, with the reason where it is not over as agreed; not after the result was called. */
  tap(
    filter: TapFilter,
    limits: TapLimits,
    hosts: readonly string[] | null,
    onItem: (item: TapItem) => void,
    onEnd: (reason: string | null) => void,
  ): () => void {
    if (this.#taps.size >= MAX_TAPS)
      throw new RegistryError(503, `${MAX_TAPS} taps are open already`);
    const shares = this.#sharesOf(hosts);
    const cancels: (() => void)[] = [];
    let open = shares.size;
    const end = () => {
      this.#taps.delete(end);
      cancelTime();
      for (const cancel of cancels.splice(0)) cancel();
    };
    const left = (reason: string | null) => {
      open--;
      if (open > 0 || !this.#taps.has(end)) return;
      end();
      onEnd(reason);
    };
    const cancelTime = this.#options.timers.after(limits.durationMs, () => {
      end();
      onEnd(null);
    });
    this.#taps.add(end);
    const question = { kind: "tap", filter, limits } as const;
    for (const [source, names] of shares) cancels.push(source.tap(names, question, onItem, left));
    if (!this.#taps.has(end)) end();
    return end;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#watchers.clear();
    for (const end of this.#taps) end();
    await this.#options.fellows.close();
  }

  async #fresh(): Promise<Made> {
    const now = this.#options.clock.now();
    if (this.#cached === null || now - this.#cachedMs >= CACHE_MS) {
      this.#making ??= this.#make().finally(() => {
        this.#making = null;
      });
      await this.#making;
    }
    if (this.#cached === null) throw new RegistryError(503, "there is no report");
    return this.#cached;
  }

  async #make(): Promise<void> {
    const { clock, wall, catalog } = this.#options;
    const found = await Promise.all(this.#sources().map((source) => source.reports()));
    const sights = newestOfEach(found.flat());
    const merger = new MeshMerger();
    for (const { report } of sights) {
      if (report === null) continue;
      merger.add(report);
      // One report at a time: a registry of many hosts has others to serve meanwhile.
      await nextTurn();
    }
    const hosts = knownHosts(catalog, sights);
    await nextTurn();
    const services = knownServices(catalog);
    await nextTurn();
    const context = { atMs: wall(), revision: catalog.revision(), hosts, services };
    const steps = merger.steps(context);
    let step = steps.next();
    for (; !step.done; step = steps.next()) await nextTurn();
    this.#cached = { report: step.value, sights };
    this.#cachedMs = clock.now();
  }

  #sources(): SightSource[] {
    return [this.local, ...this.#options.fellows.sources()];
  }

  #sourceOf(host: string): SightSource {
    const source = this.#sources().find((one) => [...one.hosts()].includes(host));
    if (source !== undefined) return source;
    if (!hostNames(this.#options.catalog).has(host)) throw unknownHost(host);
    throw new RegistryError(503, `no daemon of host ${host} watches`);
  }

  #sharesOf(hosts: readonly string[] | null): Map<SightSource, string[]> {
    const sources = this.#sources();
    const all = new Set(hosts ?? sources.flatMap((source) => [...source.hosts()]));
    if (all.size === 0) throw new RegistryError(503, "no daemon watches");
    const shares = new Map<SightSource, string[]>();
    for (const host of all) {
      const source = this.#sourceOf(host);
      shares.set(source, [...(shares.get(source) ?? []), host]);
    }
    return shares;
  }

  /** Sets the one timer for whoever is due first. */
  #schedule(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    if (this.#closed || this.#watchers.size === 0) return;
    const { clock, timers } = this.#options;
    const dueMs = Math.min(...[...this.#watchers].map((watcher) => watcher.dueMs));
    this.#cancelTimer = timers.after(Math.max(0, dueMs - clock.now()), () => void this.#tell());
  }

  async #tell(): Promise<void> {
    const { clock, log } = this.#options;
    try {
      const report = await this.report();
      const now = clock.now();
      for (const watcher of this.#watchers) {
        if (watcher.dueMs > now) continue;
        watcher.dueMs = now + watcher.everyMs;
        watcher.onReport(report);
      }
    } catch (error) {
      log.warn("the mesh's report could not be made", { error });
      const now = clock.now();
      for (const watcher of this.#watchers) watcher.dueMs = Math.max(watcher.dueMs, now + CACHE_MS);
    }
    this.#schedule();
  }
}

/** While a daemon moves it may be known to two registries. */
function newestOfEach(sights: readonly HostSight[]): HostSight[] {
  const byHost = new Map<string, HostSight>();
  for (const sight of sights) {
    const before = byHost.get(sight.host);
    const isNewer = (sight.report?.atMs ?? 0) > (before?.report?.atMs ?? 0);
    if (before === undefined || isNewer) byHost.set(sight.host, sight);
  }
  return [...byHost.values()];
}

function hostNames(catalog: Catalog): Set<string> {
  const named = catalog.all("host").map(({ value }) => value.name);
  return new Set([...named, ...catalog.all("workload").map(({ value }) => value.host)]);
}

function knownHosts(catalog: Catalog, sights: readonly HostSight[]): KnownHost[] {
  const watching = new Set(sights.map(({ host }) => host));
  const gone = [...hostNames(catalog)].filter((host) => !watching.has(host));
  return [
    ...sights,
    ...gone.map((host): KnownHost => {
      return { host, zone: "", version: "", state: "gone", revision: null, refusal: null };
    }),
  ];
}

function knownServices(catalog: Catalog): KnownService[] {
  const endpoints = Map.groupBy(
    catalog.all("endpoint").map(({ value }) => value.endpoint),
    ({ namespace, service }) => keyOf({ namespace, name: service }),
  );
  return catalog.all("service").map(({ value }) => {
    const service = keyOf(value.service);
    return { service, endpoints: endpoints.get(service) ?? [] };
  });
}

function unknownHost(host: string): RegistryError {
  return new RegistryError(404, `there is no host ${host}`);
}

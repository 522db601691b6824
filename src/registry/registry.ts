import { formatHostPort, parsePlace } from "../core/address.ts";
import { type Clock, processClock, wallClock } from "../core/clock.ts";
import { SYSTEM_NAMESPACE } from "../core/identity.ts";
import type { BalancerConfig } from "../core/model.ts";
import type { Random } from "../core/random.ts";
import { balanceWatches } from "./balance-watches.ts";
import type { AllowedRole } from "./caller.ts";
import { Catalog } from "./catalog.ts";
import { CheckMonitor } from "./check-monitor.ts";
import type { EtcdOptions } from "./etcd/etcd-options.ts";
import { HostRecords } from "./host-records.ts";
import {
  type IdentityOptions,
  type IdentityParts,
  openIdentity,
} from "./identity/open-identity.ts";
import { type Listening, listenPlain, listenSecurely } from "./listen.ts";
import type { Log } from "./log.ts";
import { type OpenedStore, openStore } from "./open-store.ts";
import type { RegistryParts } from "./parts.ts";
import type { ResourcePlanSettings, ResourceSettings } from "./plan-resource.ts";
import type { Position } from "./position.ts";
import { WatchHub, type WatchHubOptions } from "./push.ts";
import { refuseWrites } from "./refuse-writes.ts";
import { type RegistryFigures, registryFigures } from "./registry-figures.ts";
import { RequestCounts } from "./request-counts.ts";
import type { Route } from "./route.ts";
import { consulAgentRoutes } from "./routes/consul-agent.ts";
import { consulHealthRoutes } from "./routes/consul-health.ts";
import { healthRoutes } from "./routes/health.ts";
import { hostRoutes } from "./routes/hosts.ts";
import { DEFAULT_TOKEN_TTL_MS, identityRoutes } from "./routes/identity.ts";
import { localSightRoutes } from "./routes/local-sight.ts";
import { meshRoutes } from "./routes/mesh.ts";
import { resourceHistoryRoutes } from "./routes/resource-history.ts";
import { resourceRoutes } from "./routes/resources.ts";
import { sightRoutes } from "./routes/sight.ts";
import type { CheckResult } from "./schema.ts";
import type { RegistryServer } from "./server.ts";
import { Fellows } from "./sight/fellow-sight.ts";
import { SightHub } from "./sight/hub.ts";
import { LocalSight } from "./sight/local-sight.ts";
import type { RunningSource, Source } from "./source.ts";
import { processTimers, type Timers } from "./timers.ts";
import { VirtualRange } from "./virtual-range.ts";
import { Waiters } from "./waiters.ts";
import { Writer } from "./writer.ts";

/** Istio's root namespace and our own, Istio's trust domain, intentions that close what they do not name, short histories. */
const RESOURCE_DEFAULTS: ResourceSettings = {
  rootNamespaces: ["istio-system", SYSTEM_NAMESPACE],
  trustDomain: "cluster.local",
  defaultIntention: "deny",
  historyPerResource: 10,
};

export interface RegistryOptions {
  /** Folder of `registry.sqlite`, created when missing. */
  readonly dataDir: string;
  /** The store that this registry shares with others; absent: SQLite, in the data folder. */
  readonly etcd?: EtcdOptions;
  readonly bind: string;
  /** 0: any free port. */
  readonly port: number;
  /** Name and address of the registry's own host: what Consul's calls belong to when they name none. */
  readonly host: string;
  readonly nodeAddress: string;
  /** Ranges of virtual addresses; empty: none of that family. */
  readonly virtualCidr4: string;
  readonly virtualCidr6: string;
  readonly pingMs: number;
  /** For services that choose no balancer. */
  readonly balancer: BalancerConfig;
  /** How resources of other meshes are read; absent: as {@link RESOURCE_DEFAULTS} says. */
  readonly resources?: Partial<ResourceSettings>;
  /** Certificates, and the TLS port; absent: neither. */
  readonly identity?: IdentityOptions;
  /** Fills the registry; absent: it keeps what it is told in a file of `dataDir`. */
  readonly source?: Source;
  /** Ends a start that waits for the source. */
  readonly stop?: AbortSignal;
  readonly log: Log;
  readonly clock?: Clock;
  /** Time of day, for the age of resources. */
  readonly wall?: Clock;
  readonly timers?: Timers;
  readonly random?: Random;
  /** What the present state is made of, where no source says it; for tests. */
  readonly position?: () => Position;
  /** Limits, for tests and unusual sizes. */
  readonly maxBlockingQueries?: number;
  readonly maxWatchers?: number;
  readonly maxBufferedBytes?: number;
  readonly maxLogEntries?: number;
  readonly digestMs?: number;
  readonly answerMs?: number;
  readonly behindMs?: number;
  readonly requestTimeoutMs?: number;
}

export interface RunningRegistry {
  readonly url: string;
  readonly port: number;
  /** The API on TLS, as it is reached from this host; null: it is not served. */
  readonly tlsUrl: string | null;
  /** What the daemons see. */
  readonly sight: SightHub;
  /** What it holds, and how that is changed: for those who serve it in another way, such as the dashboard. */
  readonly inside: RegistryInside;
  /** Of this moment, for metrics. */
  figures(): RegistryFigures;
  /** A one-time join token for this host (null: any), by default for an hour. Rejects without a TLS port. */
  issueJoinToken(host: string | null, ttlMs?: number): Promise<string>;
  /** Ends watches and requests, writes what was accepted, closes the store. */
  close(): Promise<void>;
}

export interface RegistryInside extends Pick<RegistryParts, "catalog" | "writer" | "source"> {
  readonly settings: ResourcePlanSettings;
  readonly wall: Clock;
}

/**
 * The registry as one process part: store, HTTP API and watch. Rejects where the store cannot be opened
 * or the port cannot be had; then nothing is left open.
 */
export async function startRegistry(options: RegistryOptions): Promise<RunningRegistry> {
  const { clock = processClock, timers = processTimers, random = Math.random } = options;
  const { host, log } = options;
  // What a source brings is read anew with every start.
  const choice = { ...options, isKept: options.source === undefined };
  const opened = await openStore(choice, { host, clock, timers, random, log });
  try {
    return await startWith(opened, options);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

async function startWith(opened: OpenedStore, options: RegistryOptions): Promise<RunningRegistry> {
  const { log, clock = processClock, timers = processTimers, random = Math.random } = options;
  const { store, leadership, beats } = opened;
  const catalog = await Catalog.open(store);
  const writer = new Writer(store, catalog, clock);
  const monitor = new CheckMonitor({ catalog, writer, clock, timers, log, leadership, beats });
  const maxWaiting = options.maxBlockingQueries ?? 4_096;
  const waiters = new Waiters({ catalog, timers, random, maxWaiting });
  const hosts = hostRecordsOf(options, { catalog, writer });
  let identity: IdentityParts | null = null;
  let running: RunningSource | null = null;
  const base = { catalog, clock, timers, log };
  const late = { hosts, identity: () => identity, source: () => running };
  const hub = watchHub(options, { ...base, store, monitor, ...late });
  let endBalance: () => void = () => undefined;
  const { wall = wallClock } = options;
  const local = new LocalSight({ watched: () => hub.watched(), clock, timers, log });
  const fellows = fellowsOf(() => identity, log);
  const sight = new SightHub({ ...base, wall: () => wall.now(), local, fellows });
  const close = async () => {
    endBalance();
    await sight.close();
    await hub.close();
    monitor.close();
    await running?.close();
    await writer.close();
    await identity?.close();
    await opened.close();
  };
  try {
    const connected = () => hub.daemons().map(({ host }) => host);
    if (options.identity !== undefined) {
      const deps = { dataDir: options.dataDir, catalog, writer, clock, timers, log, connected };
      const store = options.identity.store ?? opened.secrets;
      const shared = store === null ? {} : { store };
      identity = await openIdentity({ ...options.identity, ...shared }, deps);
      await identity.rotation.publish();
      await identity.board.start();
      endBalance = balanceWatches({
        ...{ clock, timers, log },
        own: () => [...connected()],
        others: () => identity?.board.watching() ?? [],
        dismiss: (host, reason) => hub.dismiss(host, reason),
      });
    }
    const resources = resourceSettingsOf(options);
    const settings = { ranges: rangesOf(options), balancer: options.balancer };
    const daemons = () => hub.daemons();
    const all = { ...resources, ...settings };
    const parts = { catalog, writer, settings: all, wall, timers, clock, random, log };
    const stop = options.stop ?? new AbortController().signal;
    running = (await options.source?.start({ ...parts, identity, daemons }, stop)) ?? null;
    const source = running && { place: options.source?.place ?? "", running };
    const own = { catalog, writer, monitor, waiters, wall, identity, source, epoch: store.epoch };
    const told = { settings, resources, daemons, sight, storeStatus: () => opened.status() };
    return await serve(options, { ...own, ...told }, hub, close);
  } catch (error) {
    await close();
    throw error;
  }
}

function fellowsOf(identity: () => IdentityParts | null, log: Log): Fellows {
  return new Fellows({
    log,
    others: () => identity()?.board.others() ?? [],
    tls() {
      const parts = identity();
      const own = parts?.own.current() ?? null;
      if (parts === null || own === null) return null;
      const anchors = parts.authority.anchors().map(String);
      const credential = { chain: own.cert, privateKey: own.key };
      return { trustDomain: parts.trustDomain, anchors, credential };
    },
  });
}

interface WatchHubDeps extends Pick<WatchHubOptions, "catalog" | "store" | "clock" | "timers"> {
  readonly log: Log;
  readonly monitor: CheckMonitor;
  readonly hosts: HostRecords | null;
  /** Null while they are not there (yet). */
  identity(): IdentityParts | null;
  source(): RunningSource | null;
}

function watchHub(options: RegistryOptions, deps: WatchHubDeps): WatchHub {
  const { catalog, store, clock, timers, log, monitor, hosts, identity, source } = deps;
  return new WatchHub({
    ...limitsOf(options),
    ...{ catalog, store, clock, timers, log, pingMs: options.pingMs },
    position: options.position ?? (() => source()?.position() ?? {}),
    reach: options.position ?? (() => source()?.reach() ?? {}),
    results: (host, results) => takeResults(monitor, host, results, log),
    greeted: (hello, address) => hosts?.greeted(hello, address),
    acknowledged: (host, revision) => {
      identity()?.evidence.acknowledge(host, revision);
      identity()?.board.touch();
    },
    certificates: (host, issuers) => {
      identity()?.evidence.uses(host, issuers);
      identity()?.board.touch();
    },
  });
}

type OwnParts = Omit<RegistryParts, "registrars" | "host" | "nodeAddress" | "listening">;

/** Opens the ports; what is open is closed again where the second cannot be had. */
async function serve(
  options: RegistryOptions,
  own: OwnParts,
  hub: WatchHub,
  closeParts: () => Promise<void>,
): Promise<RunningRegistry> {
  const { bind, host, nodeAddress, log, requestTimeoutMs } = options;
  const { catalog, identity } = own;
  let { port } = options;
  const listening = () => formatHostPort(bind, port);
  const registrars: AllowedRole[] = options.identity?.hostsRegister === true ? ["host"] : [];
  const parts = { ...own, registrars, host, nodeAddress, listening };
  const requests = new RequestCounts();
  const shared: Listening = {
    ...{ routes: routesOf(parts), requests },
    revision: () => catalog.revision(),
    upgrade: (request, socket, head, callerOf) => hub.upgrade(request, socket, head, callerOf),
    log,
    ...(requestTimeoutMs === undefined ? {} : { requestTimeoutMs }),
  };
  const plain = await listenPlain(shared, bind, port);
  port = plain.port;
  let tls: RegistryServer | null = null;
  try {
    if (identity !== null && options.identity !== undefined) {
      tls = await listenSecurely(shared, identity, options.identity);
      if (tls !== null) identity.board.announce(replicaUrl(options.identity, tls.port));
    }
  } catch (error) {
    await plain.close();
    throw error;
  }
  log.info("the registry listens", { address: listening(), revision: catalog.revision() });
  return {
    url: `http://${listening()}`,
    port,
    sight: own.sight,
    inside: insideOf(own),
    figures: () => registryFigures({ ...own, requests }),
    tlsUrl: tls === null ? null : `https://${reachable(options.identity?.tlsBind, tls.port)}`,
    issueJoinToken(forHost, ttlMs = DEFAULT_TOKEN_TTL_MS) {
      if (identity === null || tls === null) {
        return Promise.reject(new Error("this registry serves no identities"));
      }
      const { tokens, authority } = identity;
      return tokens.create(forHost, ttlMs, authority.ownSigner().anchorId);
    },
    async close() {
      await hub.close();
      await Promise.all([plain.close(), tls?.close()]);
      await closeParts();
    },
  };
}

function insideOf({
  catalog,
  writer,
  source,
  wall,
  resources,
  settings,
}: OwnParts): RegistryInside {
  return { catalog, writer, source, wall, settings: { ...resources, ...settings } };
}

function resourceSettingsOf({ identity, resources, source }: RegistryOptions): ResourceSettings {
  const { trustDomain = RESOURCE_DEFAULTS.trustDomain } = identity ?? {};
  return { ...RESOURCE_DEFAULTS, trustDomain, ...resources, ...source?.resources };
}

function routesOf(parts: RegistryParts): Route[] {
  const all = [
    ...consulAgentRoutes(parts),
    ...consulHealthRoutes(parts),
    ...meshRoutes(parts),
    ...resourceRoutes(parts),
    ...resourceHistoryRoutes(parts),
    ...hostRoutes(parts),
    ...healthRoutes(),
    ...sightRoutes(parts),
    ...localSightRoutes(parts.sight.local),
    ...(parts.identity === null ? [] : identityRoutes(parts.identity)),
  ];
  return parts.source === null ? all : refuseWrites(all, parts.source.place);
}

function hostRecordsOf(
  { identity, source, log }: RegistryOptions,
  stored: Pick<RegistryParts, "catalog" | "writer">,
): HostRecords | null {
  // A source knows the hosts, also those whose daemons follow another registry.
  if (identity === undefined || source !== undefined) return null;
  return new HostRecords({ ...stored, hostAddress: identity.hostAddress, log });
}

function rangesOf({ virtualCidr4, virtualCidr6 }: RegistryOptions): VirtualRange[] {
  const cidrs = [virtualCidr4, virtualCidr6].filter((cidr) => cidr !== "");
  return cidrs.map((cidr) => new VirtualRange(cidr));
}

function replicaUrl({ replicaAddress = "", hostAddress }: IdentityOptions, port: number): string {
  const place = replicaAddress === "" ? null : parsePlace(replicaAddress, port);
  return `https://${formatHostPort(place?.host ?? hostAddress, place?.port ?? port)}`;
}

/** From this host: an unspecified address is no place to connect to. */
function reachable(bind: string | undefined, port: number): string {
  if (bind === undefined || bind === "0.0.0.0") return formatHostPort("127.0.0.1", port);
  return formatHostPort(bind === "::" ? "::1" : bind, port);
}

/** Only the limits that were given, so that the others keep their defaults. */
function limitsOf(options: RegistryOptions) {
  const { maxWatchers, maxBufferedBytes, digestMs, answerMs, behindMs } = options;
  return {
    ...(behindMs === undefined ? {} : { behindMs }),
    ...(maxWatchers === undefined ? {} : { maxWatchers }),
    ...(maxBufferedBytes === undefined ? {} : { maxBufferedBytes }),
    ...(digestMs === undefined ? {} : { digestMs }),
    ...(answerMs === undefined ? {} : { answerMs }),
  };
}

/** A daemon speaks for the endpoints of its own host only. */
function takeResults(
  monitor: CheckMonitor,
  host: string,
  results: readonly CheckResult[],
  log: Log,
): void {
  for (const { check, status, output } of results) {
    if (!check.startsWith(`${host}/`)) {
      log.warn("a daemon reported a check of another host", { host, check });
      continue;
    }
    monitor
      .report(check, status, output)
      .catch((error: unknown) => log.error("a check result was not written", { check, error }));
  }
}

import type { HashOn } from "../core/model.ts";
import type { DataEndpoint, DataService, DataTraffic, Place } from "../core/snapshot.ts";
import type { TrafficSettings } from "../core/traffic.ts";
import { NamedDestinations } from "./named-destinations.ts";
import type { OwnPlaces } from "./own-places.ts";
import type { AdaptiveLimits } from "./routing/policy/adaptive-limit.ts";
import {
  type BalanceOptions,
  type Balancer,
  type BalancerDeps,
  createBalancer,
} from "./upstream/balance/balancer.ts";
import { isCandidate } from "./upstream/balance/candidates.ts";
import type { OutlierGroup } from "./upstream/balance/outlier.ts";
import type { PoolLimits } from "./upstream/pool/upstream-pool.ts";

/** Which endpoints of a service are meant, and by whom they are called. */
export interface ClusterChoice {
  readonly portName: string;
  /** "": all endpoints. */
  readonly subset: string;
  /** Namespace of the caller; null: what callers are told does not matter (a call that comes from another host). */
  readonly namespace: string | null;
}

/** The endpoints of one service port or subset, with the balancer that chooses among them, and what holds for them. */
export interface Cluster {
  readonly service: DataService;
  readonly choice: ClusterChoice;
  readonly endpoints: readonly DataEndpoint[];
  readonly balancer: Balancer;
  /** Null where the policy does not hash. */
  readonly hashOn: HashOn | null;
  /** True where endpoints were left out because they are this proxy's own ports. */
  readonly loops: boolean;
  readonly settings: TrafficSettings;
  /** Index into the shared state of services; -1: it has none. */
  readonly slot: number;
  readonly group: OutlierGroup;
  /** For connections to its endpoints; null: the daemon's settings. */
  readonly limits: PoolLimits | null;
  /** Requests with this cluster need no more than an endpoint: no rules and no settings of its own. */
  readonly plain: boolean;
}

/** A request or connection goes to one endpoint of a cluster. */
export interface ToCluster {
  readonly kind: "cluster";
  readonly cluster: Cluster;
  /** Set where the client dialled this endpoint itself: then nothing is balanced. */
  readonly fixed: DataEndpoint | null;
}

interface Live extends Cluster {
  service: DataService;
  endpoints: readonly DataEndpoint[];
  loops: boolean;
  group: OutlierGroup;
}

/** What clusters are made with, beside the service. */
export interface ClusterDeps extends BalancerDeps {
  /** Where this proxy is at first: the near endpoints are near to it. */
  readonly here: BalanceOptions["here"];
  readonly adaptive: AdaptiveLimits;
  /** For services that say nothing of it. */
  readonly defaults: Pick<BalanceOptions, "locality" | "minHealthPercent">;
}

/**
 * Clusters are made when first asked for, and follow the updates of their service: the balancer keeps what
 * it knows, because an update replaces its endpoints and not itself.
 */
export class Clusters {
  readonly #deps: ClusterDeps;
  readonly #own: OwnPlaces;
  #here: BalanceOptions["here"];
  readonly #byService = new Map<string, Map<string, Live>>();
  /** What names led to, as long as the services stay as they are. */
  readonly named = new NamedDestinations();

  constructor(deps: ClusterDeps, own: OwnPlaces) {
    this.#deps = deps;
    this.#here = deps.here;
    this.#own = own;
  }

  get(service: DataService, choice: ClusterChoice): Cluster {
    let clusters = this.#byService.get(service.key);
    if (clusters === undefined) {
      clusters = new Map();
      this.#byService.set(service.key, clusters);
    }
    const view = viewOf(service, choice.namespace);
    const key = keyOfChoice(choice, view);
    const known = clusters.get(key);
    if (known !== undefined) return known;
    const cluster = this.#make(service, choice, view);
    clusters.set(key, cluster);
    return cluster;
  }

  #make(service: DataService, choice: ClusterChoice, view: DataTraffic | null): Live {
    const { settings, labels } = chosen(service, choice, view);
    const { endpoints, loops } = this.#members(service, choice.portName, labels, settings);
    const config = settings.balancer ?? service.balancer;
    const hashes = config.policy === "ring-hash" || config.policy === "maglev";
    const slot = service.slots?.[choice.subset] ?? -1;
    const { outlier = null, accrual = null } = settings;
    return {
      service,
      choice,
      endpoints,
      balancer: createBalancer(config, endpoints, this.#deps, this.#optionsOf(settings)),
      hashOn: hashes ? (config.hashOn ?? { kind: "source" }) : null,
      loops,
      settings,
      slot,
      group: { endpoints, outlier, accrual },
      limits: poolLimits(service, choice, settings, slot),
      plain: view === null && (service.routes ?? []).length === 0,
    };
  }

  #optionsOf({ outlier, accrual, locality, concurrency }: TrafficSettings): BalanceOptions {
    const { adaptive, defaults } = this.#deps;
    return {
      ...{ here: this.#here, ...defaults },
      ...(locality === undefined ? {} : { locality }),
      ...(accrual === undefined ? {} : { accrual }),
      ...(outlier === undefined ? {} : { minHealthPercent: outlier.minHealthPercent }),
      ...(concurrency === undefined
        ? {}
        : { concurrency: (slot: number) => adaptive.limitOf(slot, concurrency) }),
    };
  }

  /** Is there an endpoint that takes requests now? */
  isServed({ endpoints }: Cluster): boolean {
    const { state, clock } = this.#deps;
    const nowMs = clock.now();
    return endpoints.some((one) => isCandidate(one) && state.isAvailable(one.slot, nowMs));
  }

  #members(
    service: DataService,
    portName: string,
    labels: Readonly<Record<string, string>> | null,
    { locality }: TrafficSettings,
  ): { endpoints: readonly DataEndpoint[]; loops: boolean } {
    const fitting = endpointsOf(service, portName).filter((one) => hasLabels(one, labels));
    const all = locality?.only === "host" ? ofOwnHost(fitting) : fitting;
    const endpoints = all.filter((one) => !this.#own.has(one.address, one.port));
    return { endpoints: withoutAway(endpoints), loops: endpoints.length < all.length };
  }

  update(before: DataService | undefined, after: DataService): void {
    const clusters = this.#byService.get(after.key);
    if (clusters === undefined) return;
    if (!isSameTreatment(before, after)) {
      this.#byService.delete(after.key);
      return;
    }
    for (const [key, cluster] of clusters) {
      const { portName, namespace } = cluster.choice;
      if (after.ports.length > 0 && !after.ports.some((port) => port.name === portName)) {
        clusters.delete(key);
        continue;
      }
      const { labels, settings } = chosen(after, cluster.choice, viewOf(after, namespace));
      const { endpoints, loops } = this.#members(after, portName, labels, settings);
      cluster.service = after;
      cluster.endpoints = endpoints;
      cluster.loops = loops;
      cluster.group = { ...cluster.group, endpoints };
      cluster.balancer.update(endpoints);
    }
  }

  /** Others are near from now on. False: the place is the one that it was. */
  moveTo({ zone, region }: Place): boolean {
    if (zone === this.#here.zone && region === this.#here.region) return false;
    this.#here = { ...this.#here, zone, region };
    this.#byService.clear();
    return true;
  }

  remove(service: DataService): void {
    this.#byService.delete(service.key);
  }
}

/** What holds for callers of a namespace; null: nothing but the daemon's defaults. */
function viewOf(service: DataService, namespace: string | null): DataTraffic | null {
  if (service.traffic === undefined || namespace === null) return null;
  for (const view of service.traffic) {
    if (view.clients === null || view.clients.includes(namespace)) return view;
  }
  return null;
}

function keyOfChoice({ portName, subset }: ClusterChoice, view: DataTraffic | null): string {
  if (view === null && subset === "") return portName;
  return `${portName}\n${subset}\n${view === null ? "" : (view.clients?.join() ?? "*")}`;
}

/** The settings for a choice, and the labels that its endpoints have; null: it means a subset that nobody defines. */
function chosen(
  service: DataService,
  { portName, subset }: ClusterChoice,
  view: DataTraffic | null,
): { settings: TrafficSettings; labels: Readonly<Record<string, string>> | null } {
  const defined = view?.subsets.find(({ name }) => name === subset);
  const port = service.ports.find(({ name }) => name === portName)?.port;
  const scope = subset === "" ? view : defined;
  const settings = scope?.ports[String(port ?? "")] ?? scope?.settings ?? {};
  return { settings, labels: subset === "" ? {} : (defined?.labels ?? null) };
}

function hasLabels(
  { meta }: DataEndpoint,
  labels: Readonly<Record<string, string>> | null,
): boolean {
  if (labels === null) return false;
  for (const name in labels) if (meta[name] !== labels[name]) return false;
  return true;
}

function poolLimits(
  service: DataService,
  { subset }: ClusterChoice,
  { connections }: TrafficSettings,
  slot: number,
): PoolLimits | null {
  if (connections === undefined) return null;
  return { key: `${service.key}/${subset}`, slot, ...connections };
}

/** May the clusters of the service stay, with other endpoints? */
function isSameTreatment(before: DataService | undefined, after: DataService): boolean {
  if (before === undefined) return false;
  if (
    before.traffic === undefined &&
    after.traffic === undefined &&
    !before.routes &&
    !after.routes
  ) {
    return JSON.stringify(before.balancer) === JSON.stringify(after.balancer);
  }
  const treatment = ({ balancer, traffic, slots, ports }: DataService, hasRoutes: boolean) =>
    JSON.stringify([balancer, traffic, slots, ports, hasRoutes]);
  const isRouted = (service: DataService) => (service.routes ?? []).length > 0;
  return treatment(before, isRouted(before)) === treatment(after, isRouted(after));
}

/**
 * Of a service that is served on each host by itself. An endpoint without a weight leaves it to others, of which there may be
 * none here: then it serves on, as kube-proxy has it (KEP-1669 asks for ready ones among those that a node may use).
 */
function ofOwnHost(endpoints: readonly DataEndpoint[]): readonly DataEndpoint[] {
  const own = endpoints.filter(({ local }) => local);
  if (own.some(isCandidate)) return own;
  return own.map((one) => (one.weight > 0 ? one : { ...one, weight: 1 }));
}

/** Those behind a daemon that is away are called only where nobody else could be. */
function withoutAway(endpoints: readonly DataEndpoint[]): readonly DataEndpoint[] {
  const there = endpoints.filter(({ away }) => away === undefined);
  return there.some(isCandidate) ? there : endpoints;
}

/** A service without ports of its own leads to all its endpoints. */
function endpointsOf(service: DataService, portName: string): readonly DataEndpoint[] {
  return service.ports.length === 0
    ? service.endpoints
    : service.endpoints.filter((endpoint) => endpoint.portName === portName);
}

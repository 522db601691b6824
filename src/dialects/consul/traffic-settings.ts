import type { BalancerConfig, BalancerPolicy, HashOn } from "../../core/model.ts";
import type {
  ConnectionLimits,
  OutlierPolicy,
  RateLimitRule,
  RouteMatch,
  SubsetPolicy,
  TrafficPolicy,
  TrafficSettings,
} from "../../core/traffic.ts";
import type { TranslationContext, Work } from "../translator.ts";
import type { ConfigEntry } from "./config-entry.ts";
import {
  type InstanceLevel,
  type Override,
  type ServiceDefaults,
  serviceDefaultsKind,
} from "./defaults-fields.ts";
import { type HashPolicy, type ResolverFields, serviceResolverKind } from "./resolver-fields.ts";

const SECOND_MS = 1_000;
const POLICIES: Readonly<Record<string, BalancerPolicy>> = {
  random: "random",
  round_robin: "round-robin",
  least_request: "least-request",
  ring_hash: "ring-hash",
  maglev: "maglev",
};

/** Topic of the service-defaults with an override for an upstream. */
export const overrideTopic = (namespace: string, name: string) =>
  `upstream override ${namespace}/${name}`;

/** Where an override means to go. */
export function upstreamOf(entry: ConfigEntry<ServiceDefaults>, { name, namespace }: Override) {
  return { namespace: namespace ?? entry.namespace, name };
}

/** All that Consul's entries say of one service. */
interface Parts {
  readonly resolver: ConfigEntry<ResolverFields> | null;
  readonly defaults: ConfigEntry<ServiceDefaults> | null;
  /** The oldest override, and whose it is. */
  readonly override: { entry: ConfigEntry<ServiceDefaults>; override: Override } | null;
}

/**
 * What all of Consul's entries together say of a service. Only one of them brings it, because the model takes no more
 * than one policy: the resolver, or where there is none the service's defaults, or the oldest override. Null: this one
 * does not, or nothing is said.
 */
export function trafficOf(
  work: Work<unknown>,
  namespace: string,
  name: string,
): TrafficPolicy | null {
  const parts = partsOf(work.context, namespace, name);
  const owner = parts.resolver ?? parts.defaults ?? parts.override?.entry ?? null;
  if (owner?.key !== work.key) return null;
  const settings = settingsOf(parts, `${namespace}/${name}`);
  const subsets = subsetsOf(parts.resolver);
  if (Object.keys(settings).length === 0 && subsets.length === 0) return null;
  return {
    ...{ source: owner.source, createdMs: owner.createdMs },
    service: `${namespace}/${name}`,
    ...{ namespace, root: false, clients: null },
    // Defaults are no more than that: they hide nothing that others say of the service.
    ...(parts.resolver === null ? { base: true } : {}),
    ...{ settings, ports: {}, subsets },
  };
}

function partsOf(context: TranslationContext, namespace: string, name: string): Parts {
  const resolver = serviceResolverKind.find(context, namespace, name);
  const defaults = serviceDefaultsKind.find(context, namespace, name);
  for (const known of context.about(overrideTopic(namespace, name))) {
    const entry = serviceDefaultsKind.read(known);
    // Of several entries for one caller only the oldest counts, also with its overrides.
    const counts =
      entry !== null &&
      serviceDefaultsKind.find(context, entry.namespace, entry.name)?.key === entry.key;
    const override = counts
      ? entry.fields.upstreamConfig?.overrides?.find((each) => {
          const upstream = upstreamOf(entry, each);
          return upstream.namespace === namespace && upstream.name === name;
        })
      : undefined;
    if (entry !== null && override !== undefined) {
      return { resolver, defaults, override: { entry, override } };
    }
  }
  return { resolver, defaults, override: null };
}

function settingsOf(parts: Parts, service: string): TrafficSettings {
  const { resolver, defaults, override } = parts;
  const { requestTimeout, prioritizeByLocality, loadBalancer } = resolver?.fields ?? {};
  const { localRequestTimeoutMs, rateLimits, protocol } = defaults?.fields ?? {};
  const { passiveHealthCheck } = override?.override ?? {};
  const balancer = balancerOf(loadBalancer);
  const connections = connectionsOf(parts);
  const requestMs = requestTimeout ?? localRequestTimeoutMs;
  const mode = prioritizeByLocality?.mode;
  const { instanceLevel } = rateLimits ?? {};
  return {
    ...(balancer === undefined ? {} : { balancer }),
    ...(Object.keys(connections).length === 0 ? {} : { connections }),
    ...(passiveHealthCheck === undefined ? {} : { outlier: outlierOf(passiveHealthCheck) }),
    ...(requestMs === undefined ? {} : { timeouts: { requestMs } }),
    ...(mode ? { locality: { enabled: mode === "failover" } } : {}),
    ...(protocol === undefined ? {} : { protocol }),
    ...(instanceLevel === undefined ? {} : { rateLimits: rateLimitsOf(instanceLevel, service) }),
  };
}

function connectionsOf({ resolver, defaults, override }: Parts): ConnectionLimits {
  const { limits, connectTimeoutMs } = override?.override ?? {};
  const { maxConnections, maxPendingRequests: maxPending, maxConcurrentRequests } = limits ?? {};
  const connectMs =
    connectTimeoutMs ?? resolver?.fields.connectTimeout ?? defaults?.fields.localConnectTimeoutMs;
  return {
    ...(maxConnections === undefined ? {} : { maxConnections }),
    ...(maxPending === undefined ? {} : { maxPending }),
    ...(maxConcurrentRequests === undefined ? {} : { maxRequests: maxConcurrentRequests }),
    ...(connectMs === undefined ? {} : { connectTimeoutMs: connectMs }),
  };
}

function subsetsOf(resolver: Parts["resolver"]): SubsetPolicy[] {
  return Object.entries(resolver?.fields.subsets ?? {}).map(([name, { filter }]) => ({
    name,
    labels: filter,
  }));
}

function balancerOf(field: ResolverFields["loadBalancer"]): BalancerConfig | undefined {
  const policy = POLICIES[field?.policy ?? ""];
  if (policy === undefined) return undefined;
  const [first] = field?.hashPolicies ?? [];
  // Consul knows no slow start.
  return { policy, slowStartMs: 0, ...(first === undefined ? {} : { hashOn: hashOn(first) }) };
}

function hashOn({ field, fieldValue: name = "", cookieConfig, sourceIP }: HashPolicy): HashOn {
  if (sourceIP === true || !field) return { kind: "source" };
  if (field === "query_parameter") return { kind: "query", name };
  if (field === "header") return { kind: "header", name: name.toLowerCase() };
  const { session, ttl, path } = cookieConfig ?? {};
  const ttlSeconds = ttl === undefined ? undefined : Math.max(1, Math.round(ttl / SECOND_MS));
  return {
    ...{ kind: "cookie", name },
    ...(session === true ? { ttlSeconds: 0 } : {}),
    ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
    ...(path ? { path } : {}),
  };
}

/** Envoy's defaults but for the panic threshold, which Consul switches off. */
function outlierOf(check: NonNullable<Override["passiveHealthCheck"]>): OutlierPolicy {
  return {
    consecutive5xx: check.enforcingConsecutive5xx === 0 ? 0 : check.maxFailures || 5,
    consecutiveGateway: 0,
    consecutiveLocal: 5,
    splitLocalErrors: false,
    intervalMs: check.interval ?? 10_000,
    baseEjectionMs: check.baseEjectionTime ?? 30_000,
    maxEjectionMs: Math.max(300_000, check.baseEjectionTime ?? 0),
    maxEjectionPercent: check.maxEjectionPercent ?? 10,
    minHealthPercent: 0,
    successRate: { minHosts: 5, minRequests: 100, stdevFactor: 1.9 },
  };
}

function rateLimitsOf(field: InstanceLevel, service: string): RateLimitRule[] {
  const { requestsPerSecond, requestsMaxBurst, routes = [] } = field;
  const ruleOf = (name: string, requests: number, burst: number | undefined): RateLimitRule => ({
    name: `consul ${service}${name}`,
    requests,
    periodMs: SECOND_MS,
    burst: burst ?? requests,
    per: [],
  });
  const all =
    requestsPerSecond === undefined ? [] : [ruleOf("", requestsPerSecond, requestsMaxBurst)];
  return [
    ...all,
    ...routes.map((route, index) => ({
      ...ruleOf(` route ${index}`, route.requestsPerSecond, route.requestsMaxBurst),
      matches: [pathMatch(route)],
    })),
  ];
}

function pathMatch(route: NonNullable<InstanceLevel["routes"]>[number]): RouteMatch {
  const { pathExact, pathPrefix, pathRegex } = route;
  if (pathRegex !== undefined) return { path: { kind: "regex", value: pathRegex } };
  if (pathExact !== undefined) return { path: { kind: "exact", value: pathExact } };
  return { path: { kind: "prefix", value: pathPrefix ?? "/" } };
}

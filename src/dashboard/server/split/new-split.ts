import type { ServicePort } from "../../../core/model.ts";
import { bucketNames } from "../../../registry/buckets.ts";
import type { Catalog } from "../../../registry/catalog.ts";
import type { Content } from "./weighted-list.ts";

/** Names by which another service is a version of the first: `reviews-v2`, `reviews-canary`. */
const VERSION = /^(v\d[\w.]*|canary|next|blue|green|stable|primary|beta)$/;
const MAX_BACKENDS = 16;

/** A resource that would split the traffic of a service that no resource routes yet. */
export interface NewSplit {
  readonly group: string;
  readonly kind: string;
  readonly content: Content;
  /** Why this kind. */
  readonly because: string;
}

/**
 * What splits the traffic of a service where nothing does: a VirtualService between the subsets that a DestinationRule
 * names, else an HTTPRoute between the service and its versions. As long as nobody changes the weights everything goes
 * where it goes without it. Null: there is nothing to split between.
 */
export function newSplit(catalog: Catalog, namespace: string, name: string): NewSplit | null {
  return betweenSubsets(catalog, namespace, name) ?? betweenVersions(catalog, namespace, name);
}

function betweenSubsets(catalog: Catalog, namespace: string, name: string): NewSplit | null {
  const key = `${namespace}/${name}`;
  const policy = catalog
    .all("traffic")
    .map(({ value }) => value)
    .filter(({ service, subsets }) => service === key && subsets.length > 1)
    .sort((a, b) => a.createdMs - b.createdMs)[0];
  if (policy === undefined) return null;
  const subsets = policy.subsets.slice(0, MAX_BACKENDS);
  const endpoints = [...catalog.members(bucketNames.endpointsOfService(key))].flatMap(
    (id) => catalog.get("endpoint", id)?.endpoint ?? [],
  );
  const counts = subsets.map(({ labels }) => {
    const has = (meta: Readonly<Record<string, string>>) =>
      Object.entries(labels).every(([label, value]) => meta[label] === value);
    return endpoints.filter(({ meta }) => has(meta)).length;
  });
  const weights = percentages(counts);
  const route = subsets.map((subset, index) => {
    const destination = { host: name, subset: subset.name };
    return { destination, weight: weights[index] };
  });
  return {
    group: "networking.istio.io",
    kind: "VirtualService",
    content: {
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata: { name, namespace },
      spec: { hosts: [name], http: [{ route }] },
    },
    because: `a VirtualService will be made: ${policy.source} names subsets, and no resource routes this service yet`,
  };
}

function betweenVersions(catalog: Catalog, namespace: string, name: string): NewSplit | null {
  const own = catalog.get("service", `${namespace}/${name}`)?.service;
  const port = own === undefined ? undefined : httpPort(own.ports);
  if (own === undefined || port === undefined) return null;
  const versions = catalog
    .all("service")
    .map(({ value }) => value.service)
    .filter((each) => each.namespace === namespace && each.name.startsWith(`${name}-`))
    .filter((each) => VERSION.test(each.name.slice(name.length + 1)))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .slice(0, MAX_BACKENDS - 1)
    .flatMap((each) => {
      const same = each.ports.find((other) => other.port === port.port) ?? httpPort(each.ports);
      return same === undefined ? [] : [{ name: each.name, port: same.port, weight: 0 }];
    });
  if (versions.length === 0) return null;
  const parent = { group: "", kind: "Service", name, port: port.port };
  const backendRefs = [{ name, port: port.port, weight: 100 }, ...versions];
  return {
    group: "gateway.networking.k8s.io",
    kind: "HTTPRoute",
    content: {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name, namespace },
      spec: { parentRefs: [parent], rules: [{ backendRefs }] },
    },
    because: `an HTTPRoute will be made: there are other versions of the service (${versions.map((each) => each.name).join(", ")}), and no resource routes it yet`,
  };
}

function httpPort(ports: readonly ServicePort[]): ServicePort | undefined {
  return ports.find(({ protocol }) => protocol !== "tcp" && protocol !== "tls");
}

/** Shares in percent, 100 together; equal ones where there is nothing to share by. */
function percentages(counts: readonly number[]): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const shares = total === 0 ? counts.map(() => 1 / counts.length) : counts.map((n) => n / total);
  const whole = shares.map((share) => Math.floor(share * 100));
  const rest = 100 - whole.reduce((sum, share) => sum + share, 0);
  const largest = whole.indexOf(Math.max(...whole));
  return whole.map((share, index) => (index === largest ? share + rest : share));
}

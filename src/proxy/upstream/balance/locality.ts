import type { LocalityRule } from "../../../core/locality-rule.ts";
import type { DataEndpoint } from "../../../core/snapshot.ts";

/** Where calls come from. */
export interface Here {
  readonly host: string;
  readonly zone: string;
  readonly region: string;
  /** Of the calling workload, for `failoverPriority`. */
  readonly labels: Readonly<Record<string, string>>;
}

/** Endpoints that are used alike; those of a lower level first. */
export interface Level {
  readonly endpoints: readonly DataEndpoint[];
  /** Share of the requests, in percent, where the shares are given (`distribute`); else 0. */
  readonly share: number;
}

/** Labels that Kubernetes and Istio give to places, and what they are here. */
const PLACE_LABELS: Readonly<Record<string, "region" | "zone" | "host">> = {
  "topology.kubernetes.io/region": "region",
  "failure-domain.beta.kubernetes.io/region": "region",
  "topology.kubernetes.io/zone": "zone",
  "failure-domain.beta.kubernetes.io/zone": "zone",
  "kubernetes.io/hostname": "host",
};

/** Same host, same zone, same region, the region to fail over to, the rest. */
const FAR = 4;

/**
 * Groups endpoints by how near they are. With `distribute` for this place: one level for each of its targets, and
 * endpoints that none of them names are left out, as in Istio. Empty levels are left out.
 */
export function levelsOf(
  endpoints: readonly DataEndpoint[],
  rule: LocalityRule,
  here: Here,
): readonly Level[] {
  if (rule.hints) return byHints(endpoints, here);
  const shares = rule.distribute?.find(({ from }) => matches(from, here))?.to;
  if (shares !== undefined) return distributed(endpoints, shares);
  const labels = rule.failoverPriority ?? [];
  const byLabels = labels.length > 0;
  const levels = new Map<number, DataEndpoint[]>();
  for (const endpoint of endpoints) {
    const level = byLabels
      ? labels.length - sharedPrefix(endpoint, labels, here)
      : distance(endpoint, rule, here);
    const members = levels.get(level) ?? [];
    levels.set(level, members);
    members.push(endpoint);
  }
  return [...levels]
    .sort(([a], [b]) => a - b)
    .map(([, members]) => ({ endpoints: members, share: 0 }));
}

/** Those for this host, those for this zone, the rest; a kind of hint counts where every endpoint that is ready gives it. */
function byHints(endpoints: readonly DataEndpoint[], here: Here): readonly Level[] {
  const ready = endpoints.filter(({ weight, health }) => weight > 0 && health !== "critical");
  const isOfHost = (one: DataEndpoint) => one.hints?.hosts?.includes(here.host) === true;
  const isOfZone = (one: DataEndpoint) => one.hints?.zones?.includes(here.zone) === true;
  const hosts = ready.every(({ hints }) => hints?.hosts !== undefined);
  const zones = here.zone !== "" && ready.every(({ hints }) => hints?.zones !== undefined);
  const levels: DataEndpoint[][] = [[], [], []];
  for (const endpoint of endpoints) {
    const level = hosts && isOfHost(endpoint) ? 0 : zones && isOfZone(endpoint) ? 1 : 2;
    levels[level]?.push(endpoint);
  }
  return levels
    .filter((members) => members.length > 0)
    .map((members) => ({ endpoints: members, share: 0 }));
}

function distance(endpoint: DataEndpoint, { failover }: LocalityRule, here: Here): number {
  const { host, zone, region = "" } = endpoint;
  if (endpoint.local || host === here.host) return 0;
  // A zone without a region is taken for the one of that name.
  const maySameRegion = region === here.region || region === "" || here.region === "";
  if (zone === here.zone && maySameRegion) return 1;
  if (region === here.region) return 2;
  const next = failover?.find(({ from }) => from === here.region)?.to;
  return region === next ? FAR - 1 : FAR;
}

/** How many labels, from the first on, the endpoint has in common with the caller (or with the value that is given). */
function sharedPrefix(endpoint: DataEndpoint, labels: readonly string[], here: Here): number {
  const at = labels.findIndex((label) => {
    const equals = label.indexOf("=");
    const name = equals === -1 ? label : label.slice(0, equals);
    const wanted = equals === -1 ? placeOrLabel(here, name, here.labels) : label.slice(equals + 1);
    return placeOrLabel(endpoint, name, endpoint.meta) !== wanted;
  });
  return at === -1 ? labels.length : at;
}

/** A label that is absent has the empty value, which equals that of another without it. */
function placeOrLabel(
  place: { readonly host: string; readonly zone: string; readonly region?: string },
  name: string,
  labels: Readonly<Record<string, string>>,
): string {
  const given = Object.hasOwn(labels, name) ? labels[name] : undefined;
  if (given !== undefined) return given;
  const field = Object.hasOwn(PLACE_LABELS, name) ? PLACE_LABELS[name] : undefined;
  return field === undefined ? "" : (place[field] ?? "");
}

function distributed(
  endpoints: readonly DataEndpoint[],
  shares: Readonly<Record<string, number>>,
): readonly Level[] {
  const targets = Object.entries(shares)
    .filter(([, share]) => share > 0)
    .sort(([a], [b]) => precision(b) - precision(a))
    .map(([pattern, share]) => ({ pattern, share, endpoints: [] as DataEndpoint[] }));
  for (const endpoint of endpoints) {
    targets.find(({ pattern }) => matches(pattern, endpoint))?.endpoints.push(endpoint);
  }
  return targets.filter((target) => target.endpoints.length > 0);
}

/** `region/zone/host`, of which each may be `*` and later ones may be missing. */
function matches(
  pattern: string,
  place: { readonly region?: string; readonly zone: string; readonly host: string },
): boolean {
  const fields = [place.region ?? "", place.zone, place.host];
  return pattern.split("/").every((part, at) => part === "*" || part === fields[at]);
}

/** The more of a place a pattern names, the sooner it is asked. */
function precision(pattern: string): number {
  return pattern.split("/").filter((part) => part !== "*").length;
}

import type { Backend, RouteRule, RouteTable, ServiceRef } from "../../core/traffic.ts";
import { found } from "./analyzed.ts";
import type { Finding } from "./codes.ts";
import { placeOfPort, placeOfRule, placeOfService, placeOfSubset } from "./places.ts";
import { unreachableRules } from "./reach.ts";
import type { Owned, World } from "./world.ts";

type Target = Omit<Backend, "weight" | "failover">;

/** What is to be said of routes, one by one and among each other. */
export function routeFindings(world: World): Finding[] {
  return world.tables.flatMap((table) => [
    ...serviceFindings(world, table),
    ...targetFindings(world, table),
    ...ruleFindings(table),
    ...shadowFindings(world, table),
  ]);
}

/** Services that the table is for. */
function serviceFindings(world: World, { by, value }: Owned<RouteTable>): Finding[] {
  return value.services.flatMap((ref): Finding[] => {
    const services = world.servicesOf(ref);
    const place = placeOfService(by.resource.content, ref);
    if (services.length === 0) {
      // A star may stand for nothing yet.
      if (ref.includes("*") || !world.knowsServices) return [];
      return [found(by, "HM0204", place, `nobody defines the service ${shown(ref)}`)];
    }
    const { port } = value;
    if (port === undefined || services.some((service) => hasPort(service, port))) return [];
    const text = `the service ${shown(ref)} has no port ${port}`;
    return [found(by, "HM0203", placeOfPort(by.resource.content, ref, port), text)];
  });
}

/** Places that requests are sent to. */
function targetFindings(world: World, { by, value }: Owned<RouteTable>): Finding[] {
  return value.rules.flatMap(targetsOf).flatMap((target) => {
    const { service: ref, subset, port } = target;
    if (ref === null) return [];
    const { content } = by.resource;
    const services = world.servicesOf(ref);
    const findings: Finding[] = [];
    if (services.length === 0 && world.knowsServices) {
      const text = `nobody defines the service ${shown(ref)}: its share of the requests gets ${target.missingStatus ?? 503}`;
      findings.push(found(by, "HM0201", placeOfService(content, ref), text));
    }
    if (subset !== undefined && isMissing(world, ref, subset)) {
      const text = `nobody defines the subset ${subset} of ${shown(ref)}${definedSubsets(world, ref)}`;
      findings.push(found(by, "HM0202", placeOfSubset(content, ref, subset), text));
    }
    if (
      port !== undefined &&
      services.length > 0 &&
      !services.some((each) => hasPort(each, port))
    ) {
      const ports = services.flatMap((service) => service.ports.map((each) => each.port));
      const text = `the service ${shown(ref)} has no port ${port}; it has ${ports.join(", ")}`;
      findings.push(found(by, "HM0203", placeOfPort(content, ref, port), text));
    }
    return findings;
  });
}

function targetsOf({ action, mirrors = [] }: RouteRule): Target[] {
  const backends = action.kind === "forward" ? action.backends : [];
  return [
    ...backends,
    ...backends.flatMap(({ failover = [] }) => failover),
    ...mirrors.map(({ backend }) => backend),
  ];
}

/** Rules that never act, and weights that send requests nowhere. */
function ruleFindings({ by, value }: Owned<RouteTable>): Finding[] {
  const { rules, order } = value;
  const place = (index: number) => placeOfRule(by.resource.content, index, rules.length);
  const named = (index: number) => {
    const name = rules[index]?.name ?? "";
    return name === "" ? `rule ${index + 1}` : `rule ${index + 1} (${name})`;
  };
  // By Gateway API's precedence the more specific rule counts, wherever it stands.
  const behind = order === "listed" ? unreachableRules(rules) : [];
  const unreachable = behind.map(({ index, by: first }) =>
    found(by, "HM0501", place(index), `${named(first)} takes all its requests before it`),
  );
  const weightless = rules.flatMap(({ action }, index) => {
    if (action.kind !== "forward" || action.backends.length < 2) return [];
    if (action.backends.some(({ weight }) => weight > 0)) return [];
    return [found(by, "HM0502", place(index), `all weights of ${named(index)} are 0`)];
  });
  return [...unreachable, ...weightless];
}

/** Tables of the same service that are asked in place of this one. */
function shadowFindings(world: World, table: Owned<RouteTable>): Finding[] {
  const { by, value } = table;
  if (value.role !== "route") return [];
  return world.tablesMeeting(value.services).flatMap((other): Finding[] => {
    if (other.by === by || !isAskedBefore(other, table)) return [];
    const ref = value.services.find((each) =>
      other.value.services.some((theirs) => world.meet(each, theirs)),
    );
    if (ref === undefined) return [];
    const place = placeOfService(by.resource.content, ref);
    if (other.value.rank > value.rank) {
      const text = `for ${shown(ref)} ${other.by.label} takes precedence, and this has no effect`;
      return [found(by, "HM0302", place, text)];
    }
    const text = `for ${shown(ref)} the older ${other.by.label} counts, and this has no effect`;
    return [found(by, "HM0301", place, text)];
  });
}

function isAskedBefore(other: Owned<RouteTable>, table: Owned<RouteTable>): boolean {
  const [first, second] = [other.value, table.value];
  if (first.role !== "route" || first.protocol !== second.protocol) return false;
  const coversPort = first.port === undefined || first.port === second.port;
  const coversClients =
    first.clients === null || second.clients?.every((each) => first.clients?.includes(each));
  if (!coversPort || coversClients !== true) return false;
  if (first.rank !== second.rank) return first.rank > second.rank;
  if (first.order !== "listed") return false;
  if (first.createdMs !== second.createdMs) return first.createdMs < second.createdMs;
  return other.by.resource.key < table.by.resource.key;
}

/** Offline, a policy that is in none of the files may define it. */
function isMissing(world: World, ref: ServiceRef, subset: string): boolean {
  const policies = world.policiesMeeting(ref);
  if (!world.isComplete && policies.length === 0) return false;
  return !policies.some(({ value }) => value.subsets.some(({ name }) => name === subset));
}

function definedSubsets(world: World, ref: ServiceRef): string {
  const names = world
    .policiesMeeting(ref)
    .flatMap(({ value }) => value.subsets.map(({ name }) => name));
  return names.length === 0 ? "" : `; there are: ${[...new Set(names)].join(", ")}`;
}

function hasPort(service: { readonly ports: readonly { readonly port: number }[] }, port: number) {
  return service.ports.length === 0 || service.ports.some((each) => each.port === port);
}

/** A reference as people write it. */
export function shown(ref: ServiceRef): string {
  return ref.startsWith("host:") ? ref.slice("host:".length) : ref;
}

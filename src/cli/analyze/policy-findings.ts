import type { TrafficPolicy } from "../../core/traffic.ts";
import { found } from "./analyzed.ts";
import type { Finding } from "./codes.ts";
import { placeOfDefinition, placeOfService } from "./places.ts";
import { shown } from "./route-findings.ts";
import { type Owned, serviceOf, type World } from "./world.ts";

/** What is to be said of traffic policies, and of endpoints that resources bring. */
export function policyFindings(world: World): Finding[] {
  return [
    ...world.policies.flatMap((policy) => [
      ...serviceFindings(world, policy),
      ...subsetFindings(world, policy),
      ...shadowFindings(world, policy),
    ]),
    ...endpointFindings(world),
  ];
}

function serviceFindings(world: World, { by, value }: Owned<TrafficPolicy>): Finding[] {
  const { service: ref } = value;
  const isKnown = !world.knowsServices || world.servicesOf(ref).length > 0;
  if (isKnown || ref.includes("*")) return [];
  const place = placeOfService(by.resource.content, ref);
  return [found(by, "HM0204", place, `nobody defines the service ${shown(ref)}`)];
}

/** Subsets that no endpoint belongs to; only where endpoints can be known at all. */
function subsetFindings(world: World, { by, value }: Owned<TrafficPolicy>): Finding[] {
  const services = world.servicesOf(value.service);
  const endpoints = services.flatMap((service) => world.endpointsOf(service));
  if (services.length === 0 || (!world.isComplete && endpoints.length === 0)) return [];
  return value.subsets.flatMap(({ name, labels }): Finding[] => {
    const wanted = Object.entries(labels);
    const has = endpoints.some(({ meta }) => wanted.every(([key, text]) => meta[key] === text));
    if (has) return [];
    const text = wanted.map(([key, label]) => `${key}=${label}`).join(", ");
    const message = `no endpoint of ${shown(value.service)} has the labels of the subset ${name} (${text})`;
    return [found(by, "HM0401", placeOfDefinition(by.resource.content, name), message)];
  });
}

/** Of policies in one namespace for one service the oldest counts. */
function shadowFindings(world: World, { by, value }: Owned<TrafficPolicy>): Finding[] {
  const { settings, ports, namespace, service } = value;
  const saysNothing = Object.keys(settings).length === 0 && Object.keys(ports).length === 0;
  if (value.base || saysNothing) return [];
  const older = world.policiesMeeting(service).find((other) => {
    const theirs = other.value;
    if (other.by === by || theirs.base || theirs.namespace !== namespace) return false;
    if (theirs.clients !== null) return false;
    if (theirs.createdMs !== value.createdMs) return theirs.createdMs < value.createdMs;
    return other.by.resource.key < by.resource.key;
  });
  if (older === undefined) return [];
  const text = `for ${shown(service)} the older ${older.by.label} counts, and only the subsets of this are added`;
  return [found(by, "HM0303", placeOfService(by.resource.content, service), text)];
}

function endpointFindings(world: World): Finding[] {
  if (!world.knowsServices) return [];
  return world.brought
    .filter(({ value }) => !world.isService(serviceOf(value)))
    .map(({ by, value }) =>
      found(by, "HM0402", "metadata", `nobody declares the service ${serviceOf(value)}`),
    );
}

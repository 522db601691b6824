import { canonicalAddress } from "../core/address.ts";
import { type Endpoint, type Health, keyOf, type Service } from "../core/model.ts";
import { bucketNames } from "./buckets.ts";
import { serviceKeyOf } from "./catalog.ts";
import type { Draft } from "./draft.ts";
import { refuseReserved } from "./identity/granted-identities.ts";
import type { CheckInput, EndpointInput, PlanSettings } from "./inputs.ts";
import { allotAddresses, claimAddresses, dropIfUnused } from "./plan-service.ts";
import type { StoredCheck, StoredEndpoint } from "./records.ts";
import { RegistryError } from "./registry-error.ts";

const SEVERITY: Record<Health, number> = { passing: 0, warning: 1, critical: 2 };

/** Id of an endpoint, unique over the mesh. */
export function endpointId(host: string, instance: string): string {
  return `${host}/${instance}`;
}

/**
 * Creates or replaces an endpoint, its checks, and its service where nobody declared that. Throws 403 in a namespace of
 * the mesh's own, 409 for an endpoint that a resource brought.
 */
export function registerEndpoint(draft: Draft, input: EndpointInput, settings: PlanSettings): void {
  refuseReserved(input.namespace);
  const id = endpointId(input.host, input.instance);
  const before = draft.get("endpoint", id);
  refuseBrought(id, before);
  implyService(draft, input, settings);
  putChecks(draft, id, input);
  const endpoint: Endpoint = {
    id,
    service: input.service,
    namespace: input.namespace,
    address: canonicalAddress(input.address),
    port: input.port,
    portName: input.portName,
    weight: input.weights.passing,
    zone: input.zone,
    host: input.host,
    meta: input.meta,
    ...(input.protocol === undefined ? {} : { protocol: input.protocol }),
    health: "passing",
  };
  const { instance, tags, weights } = input;
  draft.put("endpoint", id, withHealth(draft, { endpoint, instance, tags, weights }));
  if (before !== undefined) dropIfUnused(draft, serviceKeyOf(before));
}

/**
 * Removes an endpoint with its checks, and its service if that was only implied. False: unknown. Throws 409 for an
 * endpoint that a resource brought.
 */
export function removeEndpoint(draft: Draft, id: string): boolean {
  const present = draft.get("endpoint", id);
  if (present === undefined) return false;
  refuseBrought(id, present);
  for (const key of [...draft.members(bucketNames.checksOfEndpoint(id))]) {
    draft.remove("check", key);
  }
  draft.remove("endpoint", id);
  dropIfUnused(draft, serviceKeyOf(present));
  return true;
}

function refuseBrought(id: string, present: StoredEndpoint | undefined): void {
  if (present?.resource === undefined) return;
  const reason = `the endpoint ${id} is brought by the resource ${present.resource}: change or delete that`;
  throw new RegistryError(409, reason);
}

/** Records the result of a check, and what it makes of its endpoint's health. False: unknown. */
export function setCheck(draft: Draft, key: string, status: Health, output: string): boolean {
  const present = draft.get("check", key);
  if (present === undefined) return false;
  // An output alone is no reason for a write: a heartbeat with a time in its note would never be quiet.
  if (present.status === status) return true;
  draft.put("check", key, { ...present, status, output });
  const endpoint = draft.get("endpoint", present.endpoint);
  if (endpoint !== undefined) draft.put("endpoint", present.endpoint, withHealth(draft, endpoint));
  return true;
}

/** Health is the worst of the checks, passing without any; the weight follows it, as Consul's do. */
function withHealth(draft: Draft, stored: StoredEndpoint): StoredEndpoint {
  let health: Health = "passing";
  for (const key of draft.members(bucketNames.checksOfEndpoint(stored.endpoint.id))) {
    const status = draft.get("check", key)?.status ?? "passing";
    if (SEVERITY[status] > SEVERITY[health]) health = status;
  }
  const weight = health === "warning" ? stored.weights.warning : stored.weights.passing;
  return { ...stored, endpoint: { ...stored.endpoint, health, weight } };
}

function putChecks(draft: Draft, endpoint: string, input: EndpointInput): void {
  const named = new Set<string>();
  for (const [index, check] of input.checks.entries()) {
    const id = check.id ?? defaultCheckId(input, index);
    const key = `${input.host}/${id}`;
    const present = draft.get("check", key);
    if (named.has(key) || (present !== undefined && present.endpoint !== endpoint)) {
      throw new RegistryError(409, `the check id ${id} is taken`, `checks[${index}]`);
    }
    named.add(key);
    draft.put("check", key, storedCheck(input, endpoint, id, check, present));
  }
  if (!input.replaceChecks) return;
  for (const key of [...draft.members(bucketNames.checksOfEndpoint(endpoint))]) {
    if (!named.has(key)) draft.remove("check", key);
  }
}

/** Registering again keeps the status, as Consul does: a periodic registration must not flap. */
function storedCheck(
  input: EndpointInput,
  endpoint: string,
  id: string,
  check: CheckInput,
  present: StoredCheck | undefined,
): StoredCheck {
  const kept = present?.spec.kind === check.spec.kind ? present : undefined;
  return {
    id,
    host: input.host,
    endpoint,
    name: check.name ?? `Service '${input.service}' check`,
    notes: check.notes,
    spec: check.spec,
    deregisterMs: check.deregisterMs,
    status: kept?.status ?? check.status,
    output: kept?.output ?? "",
  };
}

function defaultCheckId(input: EndpointInput, index: number): string {
  const base = `service:${input.instance}`;
  return input.checks.length === 1 ? base : `${base}:${index + 1}`;
}

/** The first endpoint brings its service into being; later ones may refine what nobody declared. */
function implyService(draft: Draft, input: EndpointInput, settings: PlanSettings): void {
  const key = keyOf({ namespace: input.namespace, name: input.service });
  const present = draft.get("service", key);
  const { implied } = input;
  if (present?.declared) {
    const { service } = present;
    // A demand for mutual TLS is never dropped: what calls in the clear would not be noticed.
    const raised = { ...present, service: { ...service, mtls: "required" as const } };
    if (implied.mtls === "required" && service.mtls === undefined)
      draft.put("service", key, raised);
    return;
  }
  const { policy } = implied;
  const base: Service = present?.service ?? {
    name: input.service,
    namespace: input.namespace,
    addresses: [],
    ports: [],
    balancer: settings.balancer,
    meta: {},
  };
  const service: Service = {
    ...base,
    addresses: impliedAddresses(draft, key, base, input, settings),
    ...(implied.port === undefined
      ? {}
      : { ports: [{ name: input.portName, port: implied.port }] }),
    ...(implied.protocol === undefined ? {} : { protocol: implied.protocol }),
    ...(implied.mtls === undefined ? {} : { mtls: implied.mtls }),
    ...(policy === undefined ? {} : { balancer: { ...base.balancer, policy } }),
  };
  draft.put("service", key, { service, declared: false });
}

function impliedAddresses(
  draft: Draft,
  key: string,
  base: Service,
  { implied }: EndpointInput,
  settings: PlanSettings,
): readonly string[] {
  if (implied.addresses.length > 0) return claimAddresses(draft, key, implied.addresses);
  return base.addresses.length > 0 ? base.addresses : allotAddresses(draft, key, settings);
}

import { canonicalAddress } from "../core/address.ts";
import { type Endpoint, keyOf, type Service } from "../core/model.ts";
import type { TranslatedKind, TranslatedRecord } from "../dialects/translator.ts";
import type { Draft } from "./draft.ts";
import { refuseReserved } from "./identity/granted-identities.ts";
import type { PlanSettings } from "./inputs.ts";
import { allotAddresses, claimAddresses, dropIfUnused, releaseService } from "./plan-service.ts";
import { RegistryError } from "./registry-error.ts";

interface RecordName {
  readonly kind: TranslatedKind;
  readonly key: string;
}

/**
 * Puts what a resource was translated to, in place of what it was translated to before. Throws 409 where a service or an
 * endpoint of that name, or a virtual address, belongs to a registration or to another resource.
 */
export function replaceRecords(
  draft: Draft,
  resource: string,
  before: readonly RecordName[],
  records: readonly TranslatedRecord[],
  settings: PlanSettings,
): void {
  const named = new Set(records.map(({ kind, key }) => `${kind} ${key}`));
  const gone = before.filter(({ kind, key }) => !named.has(`${kind} ${key}`));
  removeRecords(draft, resource, gone, settings);
  for (const record of records) putRecord(draft, resource, record, settings);
}

/** Removes what a resource was translated to. A service that others' endpoints serve stays, as they imply it. */
export function removeRecords(
  draft: Draft,
  resource: string,
  records: readonly RecordName[],
  settings: PlanSettings,
): void {
  for (const { kind, key } of records) {
    if (kind === "service") {
      if (draft.get("service", key)?.resource === resource) releaseService(draft, key, settings);
    } else if (kind === "endpoint") {
      const present = draft.get("endpoint", key);
      if (present?.resource !== resource) continue;
      draft.remove("endpoint", key);
      const { namespace, service: name } = present.endpoint;
      dropIfUnused(draft, keyOf({ namespace, name }));
    } else {
      draft.remove(kind, key);
    }
  }
}

function putRecord(
  draft: Draft,
  resource: string,
  record: TranslatedRecord,
  settings: PlanSettings,
): void {
  if (record.kind === "service") putService(draft, resource, record.value, settings);
  else if (record.kind === "endpoint") putEndpoint(draft, resource, record.value);
  else draft.put(record.kind, record.key, record.value);
}

/** Takes over a service that endpoints only implied, with its addresses; one that was declared is somebody else's. */
function putService(draft: Draft, resource: string, value: Service, settings: PlanSettings): void {
  const key = keyOf(value);
  const present = draft.get("service", key);
  if (present?.declared && present.resource !== resource) {
    const owner =
      present.resource === undefined
        ? "was declared by registration: take that declaration back first (DELETE /v1/mesh/services)"
        : `is already brought by ${present.resource}`;
    throw new RegistryError(409, `the service ${key} ${owner}`);
  }
  const addresses = addressesFor(draft, value, present?.service, settings);
  // A demand for mutual TLS is never dropped: what calls in the clear would not be noticed.
  const mtls = value.mtls ?? present?.service.mtls;
  const service = { ...value, addresses, ...(mtls === undefined ? {} : { mtls }) };
  draft.put("service", key, { service, declared: true, resource });
}

function addressesFor(
  draft: Draft,
  value: Service,
  present: Service | undefined,
  settings: PlanSettings,
): readonly string[] {
  const key = keyOf(value);
  if (value.addresses.length > 0) return claimAddresses(draft, key, value.addresses);
  // Clients dial the real addresses: a virtual one would lead nowhere.
  if (value.originalDestination) return [];
  const kept = present?.addresses ?? [];
  return kept.length > 0 ? kept : allotAddresses(draft, key, settings);
}

/** Joins whatever serves the service, registered or not: the endpoints of a slice add to those of a declared service. */
function putEndpoint(draft: Draft, resource: string, value: Endpoint): void {
  refuseReserved(value.namespace);
  const { id, weight } = value;
  const present = draft.get("endpoint", id);
  if (present !== undefined && present.resource !== resource) {
    const owner = present.resource ?? "a registration";
    throw new RegistryError(409, `the endpoint ${id} already comes from ${owner}`);
  }
  const endpoint = { ...value, address: canonicalAddress(value.address) };
  const weights = { passing: weight, warning: weight };
  draft.put("endpoint", id, { endpoint, instance: id, tags: [], weights, resource });
  if (present === undefined) return;
  const { namespace, service: name } = present.endpoint;
  dropIfUnused(draft, keyOf({ namespace, name }));
}

import { canonicalAddress } from "../src/core/address.ts";
import type { Endpoint, Service } from "../src/core/model.ts";
import type { DataEndpoint, DataService } from "../src/core/snapshot.ts";

/** A service as workers know it, with its compiled endpoints. */
export function compileService(
  key: string,
  record: Service,
  endpoints: readonly DataEndpoint[],
): DataService {
  const { name, namespace, ports, balancer } = record;
  const addresses = record.addresses.map(canonicalAddress);
  return {
    ...{ key, name, namespace, addresses, ports, balancer, endpoints },
    ...(record.protocol === undefined ? {} : { protocol: record.protocol }),
    ...(record.mtls === undefined ? {} : { mtls: record.mtls }),
  };
}

/** An endpoint as workers know it, but for what other records say of it. */
export function compileEndpoint(record: Endpoint, slot: number, host: string): DataEndpoint {
  const { id, port, portName, weight, zone, meta, health } = record;
  const address = canonicalAddress(record.address);
  const local = record.host === host;
  const base = {
    slot,
    id,
    address,
    port,
    portName,
    weight,
    zone,
    host: record.host,
    meta,
    health,
    local,
  };
  return record.protocol === undefined ? base : { ...base, protocol: record.protocol };
}

import { canonicalAddress } from "../src/core/address.ts";
import type { Endpoint, Service, ServicePort } from "../src/core/model.ts";
import type { DataEndpoint, DataService, DataTraffic } from "../src/core/snapshot.ts";
import type { RouteTable } from "../src/core/traffic.ts";

/** What a service's compiled form has besides its record. */
export interface ServiceParts {
  readonly endpoints: readonly DataEndpoint[];
  readonly routes: readonly RouteTable[];
  readonly routeStamp: string;
  readonly traffic: readonly DataTraffic[];
  readonly slots: Readonly<Record<string, number>>;
}

/** A service as workers know it, with its compiled endpoints. */
export function compileService(
  key: string,
  record: Service,
  { endpoints, routes, routeStamp, traffic, slots }: ServiceParts,
): DataService {
  const { name, namespace, ports, balancer, protocol, mtls, hosts, exportTo } = record;
  const { originalDestination } = record;
  const addresses = record.addresses.map(canonicalAddress);
  return {
    ...{ key, name, namespace, addresses, ports, balancer, endpoints, slots },
    ...(protocol === undefined ? {} : { protocol }),
    ...(mtls === undefined ? {} : { mtls }),
    ...(hosts === undefined ? {} : { hosts: hosts.map((host) => host.toLowerCase()) }),
    ...(originalDestination === undefined ? {} : { originalDestination }),
    ...(exportTo === undefined ? {} : { exportTo }),
    ...(routes.length === 0 ? {} : { routes, routeStamp }),
    ...(traffic.length === 0 ? {} : { traffic }),
  };
}

/** An endpoint of a service with these ports as workers know it, but for what other records say of it. */
export function compileEndpoint(
  record: Endpoint,
  slot: number,
  host: string,
  ports: readonly ServicePort[],
): DataEndpoint {
  const { id, port, weight, zone, meta, health } = record;
  const portName = servedPort(record, ports);
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
  const { protocol, region } = record;
  return {
    ...base,
    ...(protocol === undefined ? {} : { protocol }),
    ...(region === undefined ? {} : { region }),
  };
}

/**
 * Registrations seldom name a port, Kubernetes Services and ServiceEntries do: where one of the two names none, the
 * endpoint serves the only port of its service, of several the one with its own number.
 */
function servedPort({ portName, port }: Endpoint, ports: readonly ServicePort[]): string {
  if (ports.some(({ name }) => name === portName)) return portName;
  if (portName !== "" && ports[0]?.name !== "") return portName;
  const served = ports.length === 1 ? ports[0] : ports.find((each) => each.port === port);
  return served?.name ?? portName;
}

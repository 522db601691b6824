import { canonicalAddress } from "../src/core/address.ts";
import type { Endpoint, Service, ServicePort } from "../src/core/model.ts";
import type { DataEndpoint, DataService, DataTraffic } from "../src/core/snapshot.ts";
import type { RouteTable } from "../src/core/traffic.ts";
import type { SaidProtocols } from "./base-policies.ts";

/** What a service's compiled form has besides its record. */
export interface ServiceParts {
  readonly endpoints: readonly DataEndpoint[];
  readonly routes: readonly RouteTable[];
  readonly routeStamp: string;
  readonly traffic: readonly DataTraffic[];
  readonly protocols: SaidProtocols;
  readonly slots: Readonly<Record<string, number>>;
}

/** A service as workers know it, with its compiled endpoints. */
export function compileService(
  key: string,
  record: Service,
  { endpoints, routes, routeStamp, traffic, protocols, slots }: ServiceParts,
): DataService {
  const { name, namespace, balancer, mtls, hosts, exportTo } = record;
  const protocol = record.protocol ?? protocols.all;
  const ports = record.ports.map((port) => {
    const said = protocols.ports[String(port.port)];
    return said === undefined ? port : { ...port, protocol: said };
  });
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

/** What an endpoint is compiled with, of its service. */
export interface EndpointPlace {
  /** Name of this host. */
  readonly host: string;
  readonly ports: readonly ServicePort[];
  readonly protocols: SaidProtocols;
}

/** An endpoint as workers know it, but for what other records say of it. */
export function compileEndpoint(
  record: Endpoint,
  slot: number,
  { host, ports, protocols }: EndpointPlace,
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
  const { region, outside, workload, hints } = record;
  // Where the service has no ports of its own, what is said of a port is said of the endpoint's.
  const said = ports.length === 0 ? protocols.ports[String(port)] : undefined;
  const protocol = said ?? record.protocol;
  return {
    ...base,
    ...(protocol === undefined ? {} : { protocol }),
    ...(region === undefined ? {} : { region }),
    ...(outside === undefined ? {} : { outside }),
    ...(workload === undefined ? {} : { workload }),
    ...(hints === undefined ? {} : { hints }),
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

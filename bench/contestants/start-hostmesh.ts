import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import type { ConfigInput } from "../../src/config/schema.ts";
import { configSchema } from "../../src/config/schema.ts";
import { freePorts } from "../lib/free-ports.ts";
import type { Place } from "../lib/site.ts";
import type { Protocol, Target } from "../model.ts";
import type { Records } from "./apply-records.ts";
import type { Crew } from "./crew.ts";
import type { Address } from "./relay.ts";
import { slug } from "./relay.ts";

/** A service, and everywhere where it is served. */
export interface ServiceRecord {
  readonly name: string;
  readonly endpoints: readonly Address[];
  /** Host of the endpoints, to which others must use mutual TLS; absent: the registry's own, and no TLS. */
  readonly meshHost?: string;
  /** What its endpoints speak is declared; absent: it is found out. */
  readonly protocol?: "http2" | "grpc";
}

export interface WorkloadRecord {
  readonly name: string;
  readonly address: string;
  /** Absent: the registry's own host. */
  readonly host?: string;
}

/** A daemon with an identity, on a host of its own in the mesh. */
export interface MeshMember {
  /** Name of that host. */
  readonly host: string;
  readonly joinTokenFile: string;
}

export interface RunningRegistry {
  readonly pid: number;
  readonly url: string;
  /** Of the same API on TLS. */
  readonly tlsUrl: string;
}

export interface RunningDaemon {
  readonly pid: number;
  readonly explicit: Address;
  readonly meshPort: number;
  /** On its loopback address. */
  readonly metricsPort: number;
}

export interface RegistryOptions {
  /** Part of the names of its files; a crew may have several. */
  readonly role: string;
  readonly services: readonly ServiceRecord[];
  readonly workloads?: readonly WorkloadRecord[];
}

export interface DaemonOptions {
  readonly role: string;
  readonly place: Place;
  readonly registryUrl: string;
  readonly workers: number;
  /** The most client connections that it has to hold. */
  readonly connections: number;
  /** Instead of the settings' defaults. */
  readonly warmUpMs?: number;
  readonly turnRequests?: number;
  /** Absent: it has no identity, and speaks no TLS. */
  readonly member?: MeshMember;
}

export interface HostmeshOptions extends Omit<RegistryOptions, "role"> {
  readonly place: Place;
  readonly workers: number;
  readonly connections: number;
  /** `tcp`: the services are called by CONNECT. */
  readonly protocol: Protocol;
  readonly warmUpMs?: number;
  readonly turnRequests?: number;
}

/** One daemon with a registry of its own; it has answered for every service. */
export interface Hostmesh {
  /** Of the daemon, whose tree is the proxy. */
  readonly pid: number;
  readonly registryPid: number;
  readonly registryUrl: string;
  /** Its explicit proxy port. */
  readonly explicit: Address;
  /** One for each service, in their order. */
  readonly targets: readonly Target[];
}

/** A registry is filled within seconds, also with 100,000 endpoints. */
const REGISTRY_SECONDS = 60;
/** Services without a port of their own are called at the port of HTTP. */
const CONNECT_PORT = 80;

/** {@link startHostmeshProxy}, and waits until every service has delivered a whole body. */
export async function startHostmesh(crew: Crew, options: HostmeshOptions): Promise<Hostmesh> {
  const hostmesh = await startHostmeshProxy(crew, options);
  await crew.untilAnswers(options.protocol, hostmesh.targets);
  return hostmesh;
}

/**
 * `hostmesh registry` and `hostmesh daemon` as two processes, as on a real host; only the daemon is a proxy. Every
 * setting that is not named in the kept files has its default. Resolves before it answers.
 */
export async function startHostmeshProxy(crew: Crew, options: HostmeshOptions): Promise<Hostmesh> {
  const { services, workloads = [], protocol } = options;
  const registry = await startRegistry(crew, { role: "registry", services, workloads });
  const registryUrl = registry.url;
  const { pid, explicit } = await startDaemon(crew, {
    ...options,
    role: "host proxy",
    registryUrl,
  });
  const targets = services.map(({ name }) => targetThrough(explicit, name, protocol));
  return { pid, explicit, targets, registryPid: registry.pid, registryUrl: registry.url };
}

/** What a service is declared to speak where the load speaks this. HTTP/1.1 and TCP are what is assumed or found out. */
export function declared(protocol: Protocol): Pick<ServiceRecord, "protocol"> {
  return protocol === "http2" || protocol === "grpc" ? { protocol } : {};
}

/** How a service is called through the explicit port of a daemon. */
export function targetThrough(explicit: Address, service: string, protocol: Protocol): Target {
  const connect = protocol === "tcp";
  return { ...explicit, authority: connect ? `${service}:${CONNECT_PORT}` : service, connect };
}

/** Starts a registry in the client's place and registers everything over its HTTP API. */
export async function startRegistry(
  crew: Crew,
  { role, services, workloads = [] }: RegistryOptions,
): Promise<RunningRegistry> {
  const [port = 0, tlsPort = 0] = await freePorts(2);
  const { a: place } = crew.site;
  const settings: ConfigInput = {
    host: "bench",
    dataDir: await crew.scratch(role),
    registry: { bind: place.address, port, tlsBind: place.address, tlsPort },
  };
  const config = await crew.keep(`${slug(role)}.yaml`, stringify(settings));
  const command = hostmesh("registry", config);
  const env = environment();
  const pid = await crew.start({ role, place, cpus: "load", command, connections: 0, env });
  const records = recordsOf(services, workloads);
  const file = await crew.keep(`${slug(role)}.records.json`, `${JSON.stringify(records)}\n`);
  const url = `http://${place.address}:${port}`;
  await crew.runScript("apply-records", [url, file], REGISTRY_SECONDS);
  return { pid, url, tlsUrl: `https://${place.address}:${tlsPort}` };
}

function recordsOf(
  services: readonly ServiceRecord[],
  workloads: readonly WorkloadRecord[],
): Records {
  return {
    services: services
      .filter(({ meshHost, protocol }) => meshHost !== undefined || protocol !== undefined)
      .map(({ name, meshHost, protocol }) => ({
        name,
        ...(meshHost === undefined ? {} : { mtls: "required" }),
        ...(protocol === undefined ? {} : { protocol }),
      })),
    endpoints: services.flatMap(({ name: service, endpoints, meshHost }) =>
      endpoints.map(({ host: address, port }, at) => ({
        ...{ id: `${service}-${at}`, service, address, port },
        ...(meshHost === undefined ? {} : { host: meshHost }),
      })),
    ),
    workloads: workloads.map(({ name, address, host }) => ({
      ...{ name, addresses: [address] },
      ...(host === undefined ? {} : { host }),
    })),
  };
}

/** Starts a daemon that serves its explicit port on the place's address. Resolves before it answers. */
export async function startDaemon(crew: Crew, options: DaemonOptions): Promise<RunningDaemon> {
  const { role, place, registryUrl, workers, connections, warmUpMs, member } = options;
  const [port = 0, admin = 0, metrics = 0, ready = 0, meshPort = 0] = await freePorts(5);
  const bind = place.address;
  const settings: ConfigInput = {
    ...{ host: member?.host ?? "bench", workers, dataDir: await crew.scratch(role) },
    capture: { mode: "explicit" },
    // Many daemons run side by side here.
    mesh: { bind, port: meshPort },
    ...identityOf(member),
    ports: { bind, explicit: port, admin, metrics, ready, metricsBind: "127.0.0.1" },
    registry: { urls: [registryUrl] },
    // So that a run ends soon: nothing is drained in it.
    timeouts: { drainMs: 1_000, ...(warmUpMs === undefined ? {} : { warmUpMs }) },
    ...raisedLimits(connections, options.turnRequests),
  };
  const config = await crew.keep(`${slug(role)}.yaml`, stringify(settings));
  const command = hostmesh("daemon", config);
  const env = environment();
  const pid = await crew.start({ role, place, cpus: "proxy", command, connections, env });
  return { pid, explicit: { host: bind, port }, meshPort, metricsPort: metrics };
}

/** Who shall have an identity does not start without. */
function identityOf(member: MeshMember | undefined): Pick<ConfigInput, "identity"> {
  if (member === undefined) return {};
  return { identity: { mode: "required", joinTokenFile: member.joinTokenFile } };
}

/**
 * Where the load would meet limits that are there to protect services, they are raised, as Envoy's circuit breakers are:
 * refusals are not measured.
 */
function raisedLimits(
  connections: number,
  turnRequests: number | undefined,
): Pick<ConfigInput, "limits" | "pool"> {
  const turns = turnRequests === undefined ? {} : { turnRequests };
  const { limits, pool } = configSchema.parse({});
  const amply = 2 * connections;
  const isBelow = Math.min(
    ...[limits.workloadInFlight, limits.workloadConnections],
    ...[pool.maxConnectionsPerEndpoint, pool.maxPendingPerEndpoint],
  );
  if (amply <= isBelow) return { limits: turns };
  return {
    limits: {
      ...turns,
      workloadInFlight: Math.max(amply, limits.workloadInFlight),
      workloadConnections: Math.max(amply, limits.workloadConnections),
    },
    pool: {
      maxConnectionsPerEndpoint: Math.max(amply, pool.maxConnectionsPerEndpoint),
      maxPendingPerEndpoint: Math.max(amply, pool.maxPendingPerEndpoint),
    },
  };
}

function hostmesh(command: "registry" | "daemon", config: string): string[] {
  const cli = new URL(`../../src/cli/main${extname(import.meta.url)}`, import.meta.url);
  return [process.execPath, fileURLToPath(cli), command, "--config", config];
}

/** Without HOSTMESH_ variables: the defaults are measured, and not what somebody set in their shell. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("HOSTMESH_"));
  return Object.fromEntries(kept);
}

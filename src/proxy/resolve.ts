import { formatHostPort, type HostPort } from "../core/address.ts";
import { MeshError } from "../core/errors.ts";
import type { HashOn } from "../core/model.ts";
import type { DataEndpoint, DataService } from "../core/snapshot.ts";
import { findField } from "../http/headers.ts";
import type { RequestHead } from "../http/message.ts";
import type { Cluster, ToCluster } from "./clusters.ts";
import { type Origin, sourceNamespace } from "./context.ts";
import type { Plane } from "./plane.ts";
import { type Authority, parseAuthority } from "./routing/match/authority.ts";
import { DESTINATION_OVERRIDE, destinationOverride } from "./routing/match/destination-override.ts";
import type { Lookup } from "./routing/match/table.ts";
import { hashOf } from "./upstream/balance/hash.ts";

/** Where a request or connection goes: to a cluster, or to a place outside the mesh. */
export type Destination = ToCluster | Outside;

export interface Outside {
  readonly kind: "outside";
  readonly host: string;
  readonly port: number;
  /** Why the caller may not go there unless a request names a host that it may call; null: it may. */
  readonly forbidden: MeshError | null;
}

/**
 * Where the requests of one connection go. Clients name the same place over and over, so the last answer is
 * kept until the services change; finding it anew costs more than all the rest of routing.
 */
export class Router {
  readonly #plane: Plane;
  readonly #origin: Origin;
  #destination: Destination | null = null;
  #version = -1;
  #host = "";
  #form: RequestHead["form"] = "origin";
  #scheme: RequestHead["scheme"] = "";
  /** May its requests say themselves where they go? */
  readonly #mayChoose: boolean;

  constructor(plane: Plane, origin: Origin) {
    this.#plane = plane;
    this.#origin = origin;
    this.#mayChoose = mayChooseRoutes(plane, origin);
  }

  /** Throws where the request leads nowhere. */
  route(head: RequestHead): Destination {
    const wanted = this.#mayChoose ? destinationOverride(head) : null;
    if (wanted !== null && head.method !== "CONNECT") return this.#chosen(wanted);
    const { version } = this.#plane.services;
    const { host, form, scheme } = head;
    const known = this.#destination;
    const same = this.#host === host && this.#form === form && this.#scheme === scheme;
    if (known !== null && same && this.#version === version) return known;
    this.#destination = null;
    const dialled = this.#origin.destination;
    const found = this.#find(dialled, head);
    this.#version = version;
    this.#host = host;
    this.#form = form;
    this.#scheme = scheme;
    this.#destination = found;
    return found;
  }

  /** Only into the mesh, and only to what the caller sees; its policies hold there as for anybody. */
  #chosen(wanted: string): Destination {
    const authority = parseAuthority(wanted, sourceNamespace(this.#origin));
    const found =
      authority?.kind === "name" ? lookupName(this.#plane, this.#origin, authority) : "none";
    if (!isSeen(this.#plane, this.#origin, found) || leadsAnywhere(found)) {
      throw new MeshError("NO_ROUTE", `${DESTINATION_OVERRIDE}: ${wanted.slice(0, 100)}`);
    }
    return inMesh(this.#plane, this.#origin, found, wanted);
  }

  #find(dialled: HostPort | null, head: RequestHead): Destination {
    if (dialled === null) return resolveHost(this.#plane, this.#origin, head);
    if (this.#origin.peer !== null) return resolveMesh(this.#plane, this.#origin);
    const found = resolveAddress(this.#plane, this.#origin, dialled);
    if (found.kind !== "outside") return found;
    const named = this.#named(found, head);
    refuseForbidden(named);
    return named;
  }

  /** An address that nobody has registered may still be that of a host name which somebody has (ServiceEntry). */
  #named(outside: Outside, head: RequestHead): Destination {
    const { services } = this.#plane;
    if (!services.hasHostAt(outside.port)) return outside;
    const namespace = sourceNamespace(this.#origin);
    const authority = parseAuthority(head.host, namespace);
    if (authority?.kind !== "name") return outside;
    const found = services.byHost(authority.host, outside.port, namespace);
    if (found === "bad-port" || !isSeen(this.#plane, this.#origin, found)) return outside;
    if (leadsAnywhere(found)) return { ...outside, forbidden: null };
    return inMesh(this.#plane, this.#origin, found, head.host);
  }
}

/** Is it a local workload, whose requests may be sent elsewhere by themselves? */
export function mayChooseRoutes({ config }: Plane, { workload, peer }: Origin): boolean {
  return config.mesh.requestOverrides === "routes" && workload !== null && peer === null;
}

/**
 * The endpoint that another host asks for. It must be here, and be of the identity that this host has presented to it:
 * else a certificate for one workload would open another one.
 */
export function resolveMesh(plane: Plane, { destination, peer }: Origin): ToCluster {
  const place = destination === null ? "" : formatHostPort(destination.host, destination.port);
  const found =
    destination === null || peer === null
      ? null
      : plane.services.localAt(destination.host, destination.port, peer.presented);
  if (found === null) {
    throw new MeshError("NO_ROUTE", `${place} is no endpoint of ${peer?.presented} here`);
  }
  const { service, endpoint } = found;
  const choice = { portName: endpoint.portName, subset: "", namespace: null };
  return { kind: "cluster", cluster: plane.clusters.get(service, choice), fixed: endpoint };
}

/**
 * The destination of a captured connection: a virtual address, an endpoint, or somewhere outside. What is forbidden there
 * is only marked as such where a request may yet name a host that is not.
 */
export function resolveAddress(plane: Plane, origin: Origin, dialled: HostPort): Destination {
  const { host, port } = dialled;
  if (plane.own.has(host, port)) throw loop(plane, host, port);
  const found = plane.services.byAddress(host, port);
  if (!isSeen(plane, origin, found)) {
    const place = outside(plane, origin, dialled);
    if (!plane.services.hasHostAt(port)) refuseForbidden(place);
    return place;
  }
  if (leadsAnywhere(found)) return { kind: "outside", host, port, forbidden: null };
  return inMesh(plane, origin, found, formatHostPort(host, port));
}

/** Is there a service, and one that the caller sees? To others it is as if it were not there. */
function isSeen(plane: Plane, origin: Origin, found: Lookup): found is Exclude<Lookup, "none"> {
  if (found === "none") return false;
  return found === "bad-port" || plane.scopes.isVisible(origin, found.service);
}

/** Out of the mesh, if the caller may leave it. */
function outside(plane: Plane, origin: Origin, { host, port }: HostPort): Outside {
  const scope = plane.scopes.of(origin);
  if (scope?.outside !== "refuse") return { kind: "outside", host, port, forbidden: null };
  const reason = `${formatHostPort(host, port)} is outside the mesh, which ${scope.source} forbids`;
  return { kind: "outside", host, port, forbidden: new MeshError("NO_ROUTE", reason) };
}

/** Throws where the caller may not go there. */
export function refuseForbidden(destination: Destination): void {
  if (destination.kind === "outside" && destination.forbidden !== null) throw destination.forbidden;
}

/** The destination of a request on the explicit proxy port. */
function resolveHost(plane: Plane, origin: Origin, head: RequestHead): Destination {
  if (plane.scopes.of(origin) !== null) return resolveAuthority(plane, origin, head);
  const { named } = plane.clusters;
  const { version } = plane.services;
  const namespace = sourceNamespace(origin);
  return named.get(namespace, head.host, version) ?? resolveAuthority(plane, origin, head);
}

/**
 * The destination of a request on the explicit proxy port. Only a client that knows that it speaks to a
 * proxy (absolute-form, CONNECT) is taken outside the mesh; an unknown Host in origin-form is an error.
 */
function resolveAuthority(plane: Plane, origin: Origin, head: RequestHead): Destination {
  const authority = parseAuthority(head.host, sourceNamespace(origin));
  if (authority === null) throw new MeshError("BAD_REQUEST", "no usable authority");
  const defaultPort = head.scheme === "https" ? 443 : 80;
  const port = authority.port === 0 ? defaultPort : authority.port;
  const host = authority.kind === "address" ? authority.address : authority.host;
  const address = host === "localhost" ? "127.0.0.1" : host;
  const maybeOwn = authority.kind === "address" || host === "localhost";
  if (maybeOwn && plane.own.has(address, port)) throw loop(plane, host, port);
  const found =
    authority.kind === "address"
      ? plane.services.byAddress(authority.address, port)
      : lookupName(plane, origin, authority);
  if (isSeen(plane, origin, found)) {
    if (leadsAnywhere(found)) return { kind: "outside", host, port, forbidden: null };
    const destination = inMesh(plane, origin, found, head.host);
    // An address, and the host's own name, may also depend on the scheme.
    if (!maybeOwn) remember(plane, origin, head.host, destination);
    return destination;
  }
  return leave(plane, origin, head, { host, port });
}

/** Only a client that knows that it speaks to a proxy asks it for what is outside the mesh. */
function leave(plane: Plane, origin: Origin, head: RequestHead, place: HostPort): Outside {
  const { form, scheme } = head;
  if (form !== "absolute" && form !== "authority") throw new MeshError("NO_ROUTE", head.host);
  if (scheme === "https") {
    throw new MeshError("BAD_REQUEST", "https targets are reached with CONNECT");
  }
  const destination = outside(plane, origin, place);
  refuseForbidden(destination);
  return destination;
}

/** By the mesh's own names, or by a host name that a service has. */
function lookupName(
  { services }: Plane,
  origin: Origin,
  authority: Extract<Authority, { kind: "name" }>,
): Lookup {
  const { name, namespace, host, port } = authority;
  const own = name === "" ? "none" : services.byName(namespace, name, port);
  return own === "none" ? services.byHost(host, port, sourceNamespace(origin)) : own;
}

/** Is it a service without endpoints of its own, whose connections go where they were dialled? */
function leadsAnywhere(found: Exclude<Lookup, "none">): boolean {
  return found !== "bad-port" && found.service.originalDestination === true;
}

/** Kept for all callers of the namespace: not what only some of them see. */
function remember(plane: Plane, origin: Origin, host: string, destination: ToCluster): void {
  const isForAll = destination.cluster.service.exportTo === undefined;
  if (!isForAll || plane.scopes.of(origin) !== null) return;
  const { named } = plane.clusters;
  named.set(sourceNamespace(origin), host, plane.services.version, destination);
}

function inMesh(
  plane: Plane,
  origin: Origin,
  found: Exclude<Lookup, "none">,
  name: string,
): ToCluster {
  if (found === "bad-port") throw new MeshError("FORBIDDEN_PORT", name);
  const { service, port, endpoint } = found;
  const portName = endpoint?.portName ?? port?.name ?? "";
  const choice = { portName, subset: "", namespace: sourceNamespace(origin) };
  return { kind: "cluster", cluster: plane.clusters.get(service, choice), fixed: endpoint };
}

function loop(plane: Plane, host: string, port: number): MeshError {
  plane.recorder.event("loop_refused");
  return new MeshError("LOOP", formatHostPort(host, port));
}

/** The service that a destination belongs to, for the record. */
export function serviceOf(destination: Destination): DataService | null {
  return destination.kind === "cluster" ? destination.cluster.service : null;
}

/**
 * What the cluster hashes on, taken from the request; -1, which is a random pick, where its policy does not
 * hash or where the request lacks the header or cookie: else all newcomers would go to one endpoint.
 */
export function hashFor(cluster: Cluster, origin: Origin, head: RequestHead | null): number {
  const on = cluster.hashOn;
  if (on === null) return -1;
  if (on.kind === "source") return hashOf(origin.address);
  if (head === null) return -1;
  const value = hashed(on, head);
  return value === undefined ? -1 : hashOf(value);
}

function hashed(on: Exclude<HashOn, { kind: "source" }>, head: RequestHead): string | undefined {
  switch (on.kind) {
    case "header":
      return findField(head.fields, on.name.toLowerCase());
    case "cookie":
      return cookie(head, on.name);
    case "query":
      return parameter(head, on.name);
  }
}

/** Value of the first query parameter of this name, as it was sent. */
function parameter({ path }: RequestHead, name: string): string | undefined {
  const mark = path.indexOf("?");
  if (mark === -1) return undefined;
  for (const pair of path.slice(mark + 1).split("&")) {
    const equals = pair.indexOf("=");
    if ((equals === -1 ? pair : pair.slice(0, equals)) !== name) continue;
    return equals === -1 ? "" : pair.slice(equals + 1);
  }
  return undefined;
}

/** Value of one cookie (RFC 6265 section 4.2), which may stand in any of several Cookie fields. */
function cookie(head: RequestHead, name: string): string | undefined {
  for (let at = 0; at < head.fields.length; at += 2) {
    if (head.fields[at]?.toLowerCase() !== "cookie") continue;
    for (const pair of (head.fields[at + 1] ?? "").split(";")) {
      const equals = pair.indexOf("=");
      const isIt = equals !== -1 && pair.slice(0, equals).trim() === name;
      if (isIt) return pair.slice(equals + 1).trim();
    }
  }
  return undefined;
}

/**
 * Picks an endpoint of the destination, or says why there is none. A fixed endpoint (dialled by the client
 * itself) is not balanced.
 */
export function pickEndpoint(
  destination: ToCluster,
  hash: number,
  tried: readonly DataEndpoint[],
): DataEndpoint {
  if (destination.fixed !== null) return destination.fixed;
  const { cluster } = destination;
  const endpoint = cluster.balancer.pick({ hash, tried });
  if (endpoint !== null) return endpoint;
  const code = cluster.loops ? "LOOP" : "NO_ENDPOINT";
  throw new MeshError(code, `${cluster.service.key}, ${cluster.endpoints.length} known`);
}

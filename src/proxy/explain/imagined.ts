import { isIP } from "node:net";
import { canonicalAddress, type HostPort, parseHostPort } from "../../core/address.ts";
import { MeshError } from "../../core/errors.ts";
import type { ExplainRequest } from "../../core/explanation.ts";
import type { DataWorkload } from "../../core/snapshot.ts";
import { parseRequestHead } from "../../http/h1/parser.ts";
import type { RequestHead } from "../../http/message.ts";
import type { Origin } from "../context.ts";
import type { Plane } from "../plane.ts";

/** A request that nobody sends, in the form in which it would come to the data path. */
export interface Imagined {
  readonly origin: Origin;
  /** Null: a connection that is no HTTP. */
  readonly head: RequestHead | null;
  /** How the destination was dialled, for people. */
  readonly dialled: string;
}

const TARGET = /^(?:(https?|tcp):\/\/)?([^/?#\s]+)$/i;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

/** Throws a RangeError for a request that no client could send, or that names a caller who is not of this host. */
export function imagine(
  plane: Plane,
  workloads: readonly DataWorkload[],
  request: ExplainRequest,
): Imagined {
  const [, scheme = "http", authority = ""] = TARGET.exec(request.destination) ?? [];
  const kind = scheme.toLowerCase();
  const place = parseHostPort(authority, DEFAULT_PORTS[kind] ?? 0);
  if (place === null) {
    throw new RangeError(`destination: not a host and port: ${request.destination.slice(0, 100)}`);
  }
  const who = originOf(plane, workloads, request, place);
  const address = addressOf(plane, who.workload?.namespace ?? "default", place);
  const destination = request.fromIdentity === undefined ? address : place;
  if (kind !== "http" && destination === null) {
    throw new RangeError(
      `destination: ${place.host} is no address, and no service with a virtual one: where a client would connect to is unknown`,
    );
  }
  const origin = { ...who, destination };
  const head = kind === "http" ? headOf(plane, request, authority, destination === null) : null;
  const dialled =
    destination === null
      ? `the explicit proxy port, asked for ${authority}`
      : `${destination.host}:${destination.port}`;
  return { origin, head, dialled };
}

function originOf(
  plane: Plane,
  workloads: readonly DataWorkload[],
  { source, fromIdentity }: ExplainRequest,
  place: HostPort,
): Omit<Origin, "destination"> {
  if (fromIdentity !== undefined) {
    const found = plane.services.byAddress(canonicalAddress(place.host), place.port);
    const presented =
      found === "none" || found === "bad-port" ? "" : (found.endpoint?.identity ?? "");
    const peer = { fingerprint: "", presented };
    return { entry: "mesh", address: "0.0.0.0", workload: null, identity: fromIdentity, peer };
  }
  const workload = callerOf(plane, workloads, source);
  const address = workload?.addresses[0] ?? source;
  const known = { entry: "captured", peer: null, workload } as const;
  return {
    ...known,
    address: canonicalAddress(address || "0.0.0.0"),
    identity: workload?.identity ?? "",
  };
}

/** By name, by address, or a workload that serves a service of that name. Null: a stranger. Throws where nobody has the name. */
function callerOf(
  plane: Plane,
  workloads: readonly DataWorkload[],
  source: string,
): DataWorkload | null {
  if (source === "") return null;
  const address = canonicalAddress(source);
  if (isIP(address) !== 0) return plane.workloads.at(address);
  const name = source.includes("/") ? source : `default/${source}`;
  const named = workloads.find(({ key }) => key === name);
  if (named !== undefined) return named;
  const service = plane.services.byRef(name, "default");
  for (const { address, local } of service?.endpoints ?? []) {
    const owner = local ? plane.workloads.at(canonicalAddress(address)) : null;
    if (owner !== null) return owner;
  }
  throw new RangeError(`source: this host has no workload ${name}`);
}

/** What a client's resolver would make of the name: the address itself, or the service's virtual one. */
function addressOf(plane: Plane, namespace: string, place: HostPort): HostPort | null {
  const host = canonicalAddress(place.host);
  if (/^[\d.]+$/.test(host) || host.includes(":")) return { host, port: place.port };
  const [name = "", other = namespace, ...rest] = host.toLowerCase().split(".");
  const isOwn = rest.length === 0 || /^svc(\.cluster\.local)?$/.test(rest.join("."));
  const service =
    (isOwn ? plane.services.byRef(`${other}/${name}`, namespace) : undefined) ??
    plane.services.byRef(`host:${host.toLowerCase()}`, namespace);
  const [address] = plane.grounds.guards ? (service?.addresses ?? []) : [];
  return address === undefined ? null : { host: canonicalAddress(address), port: place.port };
}

/** Throws a RangeError where no parser would take it. */
function headOf(
  { config }: Plane,
  { method, path, headers }: ExplainRequest,
  authority: string,
  isAbsolute: boolean,
): RequestHead {
  if (!TOKEN.test(method)) throw new RangeError("method: not a method of HTTP");
  if (!/^\/[\x21-\x7e]*$/.test(path)) throw new RangeError("path: must begin with a slash");
  for (const [name, value] of headers) {
    if (!TOKEN.test(name)) throw new RangeError(`headers: ${name.slice(0, 50)} is no field name`);
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) throw new RangeError(`headers: value of ${name}`);
  }
  const named = headers.some(([name]) => name.toLowerCase() === "host");
  const target = isAbsolute ? `http://${authority}${path}` : path;
  const fields = named ? headers : [["Host", authority] as const, ...headers];
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  try {
    return parseRequestHead(`${method} ${target} HTTP/1.1\r\n${lines}\r\n`, config.limits);
  } catch (error) {
    if (error instanceof MeshError) throw new RangeError(error.message, { cause: error });
    throw error;
  }
}

import { isIP } from "node:net";
import {
  canonicalAddress,
  formatHostPort,
  type HostPort,
  parseHostPort,
} from "../../core/address.ts";
import { MESH_ALPN, MESH_ERROR_FIELD, meshReasonText, PROTOCOL_FIELD } from "../h1/mesh-connect.ts";

/** ALPN of connections between hosts that carry streams of HTTP/2, as ztunnel has it. */
export const MESH_H2_ALPN = "h2";

/** What both sides of a connection between hosts speak, the preferred one first; the other one is for older peers. */
export const MESH_ALPNS: readonly string[] = [MESH_H2_ALPN, MESH_ALPN];

/** Where a ztunnel connects to a workload, at that one's own address. */
export const HBONE_PORT = 15_008;

/**
 * In the SETTINGS of a server, with the value 1: it takes requests as streams (`MeshTarget`), and not HBONE's CONNECT alone.
 * Of the range for experiments (RFC 7540 section 11.3).
 */
export const SETTINGS_MESH_REQUESTS = 0xf48d;

const CONNECT = "CONNECT";
const ENDPOINT_FIELD = "x-hostmesh-endpoint";
const CLIENT_FIELD = "x-hostmesh-client";
/** The three fields of a `MeshTarget` as entries of a flat list. */
const TARGET_ENTRIES = 6;
const COLON = 0x3a;
const LETTER_X = 0x78;

/** RFC 7239 sections 4 and 6: an address, with a port where it is known; ztunnel adds `host`. */
const FORWARDED =
  /^for="?(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::([0-9]{1,5}))?"?(?:;host="?[^\s";,]*"?)?$/i;

/** Opaque TCP: a CONNECT in the form of HBONE, and what is known of its caller. */
export interface MeshTunnel {
  /** The endpoint; its host is a canonical IP address. */
  readonly authority: HostPort;
  /** Canonical IP address of the calling workload; "" where it is not said. */
  readonly client: string;
  /** Port of the calling workload's connection; 0 where it is not said. */
  readonly clientPort: number;
}

/** What HBONE says of a caller besides its address, where it is known; "" is left out. */
export interface MeshBaggage {
  readonly namespace: string;
  readonly service: string;
  /** Value of `traceparent` (W3C Trace Context). */
  readonly traceparent: string;
}

/** The fields of a CONNECT (RFC 9113 section 8.5). */
export function writeMeshTunnel(tunnel: MeshTunnel, baggage: MeshBaggage): string[] {
  const { authority, client, clientPort } = tunnel;
  const fields = [":method", CONNECT, ":authority", formatHostPort(authority.host, authority.port)];
  if (client !== "") fields.push("forwarded", `for="${forwardedNode(client, clientPort)}"`);
  const members = baggageOf(baggage);
  if (members !== "") fields.push("baggage", members);
  if (baggage.traceparent !== "") fields.push("traceparent", baggage.traceparent);
  return fields;
}

function forwardedNode(client: string, port: number): string {
  if (port !== 0) return formatHostPort(client, port);
  return client.includes(":") ? `[${client}]` : client;
}

/** W3C Baggage: percent-encoded values, joined by commas. */
function baggageOf({ namespace, service }: MeshBaggage): string {
  const members: string[] = [];
  if (namespace !== "") members.push(`k8s.namespace.name=${encodeURIComponent(namespace)}`);
  if (service !== "") members.push(`service.name=${encodeURIComponent(service)}`);
  return members.join(",");
}

/**
 * What a request that has no fields of a `MeshTarget` asks for by HBONE's CONNECT, or why it is none that can be answered
 * (400), as a clause. Its fields are those of a request that RFC 9113 finds well-formed.
 */
export function readMeshTunnel(fields: readonly string[]): MeshTunnel | string {
  const method = valuesOf(fields, ":method")[0];
  if (method !== CONNECT) return `the method is ${method}`;
  if (valuesOf(fields, ":protocol").length > 0) return "it is an extended CONNECT";
  const authority = readPlace(valuesOf(fields, ":authority")[0] ?? "");
  if (authority === null) return "the authority is no address and port";
  const forwarded = valuesOf(fields, "forwarded");
  const client = readForwarded(forwarded);
  return client === null ? "Forwarded is no single address" : { authority, ...client };
}

function readForwarded([value, ...more]: readonly string[]): {
  client: string;
  clientPort: number;
} | null {
  if (value === undefined) return { client: "", clientPort: 0 };
  const [, v6, v4, port = "0"] = FORWARDED.exec(value) ?? [];
  const clientPort = Number(port);
  if (more.length > 0 || clientPort > 65_535) return null;
  if (v6 !== undefined && isIP(v6) === 6) return { client: canonicalAddress(v6), clientPort };
  return v4 !== undefined && isIP(v4) === 4 ? { client: v4, clientPort } : null;
}

/** `ip:port`, with IPv6 in brackets; null: it is none. */
function readPlace(text: string): HostPort | null {
  const place = parseHostPort(text, 0);
  if (place === null || isIP(place.host) === 0) return null;
  return { host: canonicalAddress(place.host), port: place.port };
}

function valuesOf(fields: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) {
    if (fields[at] === name) values.push(fields[at + 1]!);
  }
  return values;
}

/** Where a request stream goes, and for whom: three fields right behind its pseudo-fields, which the receiver takes off. */
export interface MeshTarget {
  /** The endpoint; its host is a canonical IP address. */
  readonly endpoint: HostPort;
  /** Canonical IP address of the calling workload. */
  readonly client: string;
  /** What the endpoint is spoken to in where its service declares nothing. */
  readonly protocol: "http/1.1" | "h2";
}

/** The values of a target's fields as they are on the wire. */
export interface MeshTargetValues {
  readonly endpoint: string;
  readonly client: string;
  readonly protocol: string;
}

export function meshTargetValues({ endpoint, client, protocol }: MeshTarget): MeshTargetValues {
  return { endpoint: formatHostPort(endpoint.host, endpoint.port), client, protocol };
}

/** Puts a target into the fields of a request. What the application has said by these names goes: it has no say in it. */
export function putMeshTarget(fields: string[], target: MeshTargetValues): void {
  const { endpoint, client, protocol } = target;
  const at = pseudoEnd(fields);
  if (countTargetFields(fields, at) > 0) dropTargetFields(fields, at);
  fields.splice(at, 0, ENDPOINT_FIELD, endpoint, CLIENT_FIELD, client, PROTOCOL_FIELD, protocol);
}

function dropTargetFields(fields: string[], from: number): void {
  let to = from;
  for (let at = from; at < fields.length; at += 2) {
    const name = fields[at]!;
    if (isTargetField(name)) continue;
    fields[to] = name;
    fields[to + 1] = fields[at + 1]!;
    to += 2;
  }
  fields.length = to;
}

/**
 * Takes a target's fields out of those of a request. Null: there are none, and the request asks by HBONE's CONNECT or for
 * nothing; a clause: they are not what they have to be (400).
 */
export function takeMeshTarget(fields: string[]): MeshTargetValues | string | null {
  const at = pseudoEnd(fields);
  const count = countTargetFields(fields, at);
  if (count === 0) return null;
  const isWhole =
    count === TARGET_ENTRIES / 2 &&
    fields[at] === ENDPOINT_FIELD &&
    fields[at + 2] === CLIENT_FIELD &&
    fields[at + 4] === PROTOCOL_FIELD;
  if (!isWhole)
    return "the fields x-hostmesh-endpoint, -client and -protocol are not there once each";
  const [, endpoint, , client, , protocol] = fields.splice(at, TARGET_ENTRIES);
  return { endpoint: endpoint!, client: client!, protocol: protocol! };
}

/** What they say, or what is wrong with them (400), as a clause. */
export function readMeshTarget(values: MeshTargetValues): MeshTarget | string {
  const endpoint = readPlace(values.endpoint);
  const { client, protocol } = values;
  if (endpoint === null) return `${ENDPOINT_FIELD} is no address and port`;
  if (isIP(client) === 0 || client.includes("%")) return `${CLIENT_FIELD} is no address`;
  if (protocol !== "http/1.1" && protocol !== "h2") return `${PROTOCOL_FIELD} is unknown`;
  return { endpoint, client: canonicalAddress(client), protocol };
}

function pseudoEnd(fields: readonly string[]): number {
  let at = 0;
  while (at < fields.length && fields[at]!.charCodeAt(0) === COLON) at += 2;
  return at;
}

function countTargetFields(fields: readonly string[], from: number): number {
  let count = 0;
  for (let at = from; at < fields.length; at += 2) {
    if (isTargetField(fields[at]!)) count++;
  }
  return count;
}

/** Names are in lower case: others are malformed (RFC 9113 section 8.2.1). */
function isTargetField(name: string): boolean {
  if (name.charCodeAt(0) !== LETTER_X) return false;
  return name === ENDPOINT_FIELD || name === CLIENT_FIELD || name === PROTOCOL_FIELD;
}

/** The answer to a CONNECT that stands: exactly 200. */
export const MESH_GRANT_FIELDS: readonly string[] = [":status", "200"];

/**
 * Why a stream gets nothing, as HBONE says it. 400: it asks for nothing that is here; 401: a policy forbids it; 503: the endpoint
 * is unknown, or cannot be reached.
 */
export type MeshStreamRefusal = 400 | 401 | 503;

/** The fields of a refusal, which ends the stream. The reason is read by `meshRefusalReason`. */
export function meshRefusalFields(status: MeshStreamRefusal, reason: string): string[] {
  return [":status", String(status), MESH_ERROR_FIELD, meshReasonText(reason)];
}

import { isIP } from "node:net";
import {
  canonicalAddress,
  formatHostPort,
  type HostPort,
  parseHostPort,
} from "../../core/address.ts";
import { findField } from "../headers.ts";
import type { FieldLimits, RequestHead } from "../message.ts";
import type { HeadLimits } from "./head-reader.ts";

/** ALPN of connections between hosts whose first bytes are the CONNECT of this file. */
export const MESH_ALPN = "hostmesh/1";

/** Both heads are made by hostmesh itself and stay below 512 bytes. */
export const MESH_HEAD_LIMITS: HeadLimits & FieldLimits = {
  headBytes: 4_096,
  requestLineBytes: 1_024,
  headerCount: 32,
};

/** `h2`: a session of HTTP/2 with prior knowledge, whose streams are requests to the endpoint. */
export const MESH_PROTOCOLS = ["http/1.1", "h2", "tcp"] as const;
export type MeshProtocol = (typeof MESH_PROTOCOLS)[number];

/** What one host asks of another: a connection to an endpoint there. */
export interface MeshConnect {
  /** The endpoint; its host is an IP address. */
  readonly authority: HostPort;
  /** What will follow the answer. */
  readonly protocol: MeshProtocol;
  /** IP address of the calling workload; "" where it is not said. */
  readonly client: string;
}

export const PROTOCOL_FIELD = "x-hostmesh-protocol";
/** Why a CONNECT was refused, for the log of the host that asked. */
export const MESH_ERROR_FIELD = "x-hostmesh-error";
/** RFC 7239 sections 4 and 6: one element, one parameter, an address without a port. */
const FORWARDED = /^for="(?:\[([0-9a-f:.]+)\]|([0-9.]+))"$/;
const MAX_REASON = 200;

/** The request (RFC 9110 section 9.3.6). */
export function writeMeshConnect({ authority, protocol, client }: MeshConnect): string {
  const target = formatHostPort(authority.host, authority.port);
  const address = client.includes(":") ? `[${client}]` : client;
  const forwarded = client === "" ? "" : `forwarded: for="${address}"\r\n`;
  return `CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n${forwarded}${PROTOCOL_FIELD}: ${protocol}\r\n\r\n`;
}

/** What a CONNECT asks for, or why it is none that can be answered, as a clause. */
export function readMeshConnect(head: RequestHead): MeshConnect | string {
  if (head.method !== "CONNECT") return `the method is ${head.method}`;
  if (head.framing !== "none" || head.minor !== 1) return "it has content, or is HTTP/1.0";
  const authority = parseHostPort(head.target, 0);
  if (authority === null || isIP(authority.host) === 0) return "the target is no address and port";
  if (valuesOf(head, "host")[0] !== head.target) return "Host is not the target";
  const [said, ...more] = valuesOf(head, PROTOCOL_FIELD);
  const protocol = MESH_PROTOCOLS.find((one) => one === said);
  if (protocol === undefined || more.length > 0) {
    return `${PROTOCOL_FIELD} is none of ${MESH_PROTOCOLS.join(", ")}`;
  }
  const client = clientOf(valuesOf(head, "forwarded"));
  if (client === null) return "Forwarded is no single address";
  const host = canonicalAddress(authority.host);
  return { authority: { host, port: authority.port }, protocol, client };
}

function clientOf([value, ...more]: readonly string[]): string | null {
  if (value === undefined) return "";
  const [, v6, v4] = FORWARDED.exec(value) ?? [];
  if (more.length > 0) return null;
  if (v6 !== undefined && isIP(v6) === 6) return canonicalAddress(v6);
  return v4 !== undefined && isIP(v4) === 4 ? v4 : null;
}

function valuesOf({ fields }: RequestHead, lowerCaseName: string): string[] {
  const values: string[] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) {
    if (fields[at]?.toLowerCase() === lowerCaseName) values.push(fields[at + 1] ?? "");
  }
  return values;
}

export const MESH_GRANT = "HTTP/1.1 200 OK\r\n\r\n";

const REASONS = {
  400: "Bad Request",
  403: "Forbidden",
  503: "Service Unavailable",
};
export type MeshRefusalStatus = keyof typeof REASONS;

export function writeMeshRefusal(status: MeshRefusalStatus, reason: string): string {
  return `HTTP/1.1 ${status} ${REASONS[status]}\r\n${MESH_ERROR_FIELD}: ${meshReasonText(reason)}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`;
}

/** `reason` as the value of `MESH_ERROR_FIELD`: characters that no field value may have are replaced. */
export function meshReasonText(reason: string): string {
  return reason
    .replace(/[^\x20-\x7e]/g, "?")
    .slice(0, MAX_REASON)
    .trim();
}

/** Why a CONNECT was refused; "" where the answer does not say. */
export function meshRefusalReason(fields: readonly string[]): string {
  return (findField(fields, MESH_ERROR_FIELD) ?? "").slice(0, MAX_REASON);
}

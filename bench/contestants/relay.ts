import type { Place } from "../lib/site.ts";
import type { Credentials } from "./credentials.ts";

/**
 * What is spoken on one side of a proxy. TLS is 1.3 with certificates on both sides, verified on both. Without it HTTP/2 is
 * spoken by prior knowledge (RFC 9113 section 3.3). `grpc` is HTTP/2 where a program wants to be told.
 */
export type Wire =
  | ("http1" | "http2" | "grpc" | "tcp")
  | ("tls-http1" | "tls-http2" | "tls-grpc" | "tls-tcp");

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** One service: the name by which it is called, and where it is. */
export interface Route {
  readonly authority: string;
  readonly to: Address;
}

/** One direction of a proxy: what comes in at an address goes on to the service that is meant. */
export interface Relay {
  /** `outbound` or `inbound`: part of names in the configuration. */
  readonly name: string;
  readonly listen: Address;
  readonly accepts: Wire;
  readonly dials: Wire;
  /** HTTP: one for each Host. TCP has nothing to choose by: exactly one. */
  readonly routes: readonly Route[];
}

/** One process of a peer, before it is written in the peer's own language. */
export interface ProxyPlan {
  /** As `client sidecar`, `server sidecar of web-3`, `host proxy`. */
  readonly role: string;
  readonly place: Place;
  readonly relays: readonly Relay[];
  readonly workers: number;
  /** The most client connections that it has to hold. */
  readonly connections: number;
  /** Its own certificate and the authority's, where a relay speaks TLS. */
  readonly credentials: Credentials | null;
  /** An existing folder for its temporary files. */
  readonly scratch: string;
}

export function isTls(wire: Wire): boolean {
  return wire.startsWith("tls-");
}

export function isHttp(wire: Wire): boolean {
  return wire !== "tcp" && wire !== "tls-tcp";
}

/** Do many requests share a connection? */
export function isHttp2(wire: Wire): boolean {
  return isGrpc(wire) || wire === "http2" || wire === "tls-http2";
}

export function isGrpc(wire: Wire): boolean {
  return wire === "grpc" || wire === "tls-grpc";
}

/** The credentials of a plan that speaks TLS; throws where there are none. */
export function credentialsOf({ role, credentials }: ProxyPlan): Credentials {
  if (credentials === null) throw new TypeError(`${role} speaks TLS and has no certificate`);
  return credentials;
}

/** A name for files: `server sidecar of web-3` becomes `server-sidecar-of-web-3`. */
export function slug(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9.]+/g, "-")
    .replace(/^-|-$/g, "");
}

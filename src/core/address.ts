import { isIP } from "node:net";

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/**
 * One spelling per address, so that addresses can be compared as strings: IPv4-mapped IPv6
 * (`::ffff:10.0.0.1`, as a dual-stack listener reports IPv4 peers) becomes IPv4, IPv6 is lower-case and
 * compressed as RFC 5952 says. Anything that is no address is returned as it is.
 */
export function canonicalAddress(address: string): string {
  if (address.startsWith("::ffff:") && address.includes(".")) return address.slice(7);
  if (!address.includes(":") || isIP(address) !== 6) return address;
  const zone = address.indexOf("%");
  const bare = zone === -1 ? address : address.slice(0, zone);
  return new URL(`http://[${bare}]/`).hostname.slice(1, -1);
}

/** `host:port`, with IPv6 in brackets. */
export function formatHostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Splits `host`, `host:port`, `[v6]` or `[v6]:port`. A missing port is `defaultPort`. Returns null where the
 * text is none of these or the port is not 1 to 65535.
 */
export function parseHostPort(text: string, defaultPort: number): HostPort | null {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s/@]+))(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return null;
  const host = match[1] ?? match[2] ?? "";
  const port = match[3] === undefined ? defaultPort : Number(match[3]);
  if (port < 1 || port > 65_535) return null;
  if (match[1] !== undefined && isIP(host) !== 6) return null;
  return { host, port };
}

/** The same, and an IPv6 address without brackets, as Kubernetes writes it. */
export function parsePlace(text: string, defaultPort: number): HostPort | null {
  return isIP(text) === 6 ? { host: text, port: defaultPort } : parseHostPort(text, defaultPort);
}

/** Is this (canonical) address one of the host's own loopback: 127.0.0.0/8 or ::1? */
export function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}

/**
 * Does the Host header name this very machine? A page of another site whose name was made to mean 127.0.0.1 (DNS
 * rebinding) shows that name here.
 */
export function isLocalHost(host: string | undefined): boolean {
  const parsed = parseHostPort(host ?? "", 80);
  if (parsed === null) return false;
  const name = parsed.host.toLowerCase().replace(/\.$/, "");
  if (name === "localhost" || name.endsWith(".localhost")) return true;
  const address = canonicalAddress(name);
  return address === "::1" || (/^127(\.\d{1,3}){3}$/.test(address) && isLoopback(address));
}

import type { Redirect, RouteMatch } from "../../../core/traffic.ts";
import { rewritePath } from "./path-rewrite.ts";
import { isAuthority } from "./request-line.ts";

/** What a redirect takes over from the request. */
export interface Redirected {
  readonly scheme: string;
  /** Without port. */
  readonly host: string;
  /** Of the authority, or that which was called; 0: unknown. */
  readonly port: number;
  /** With query. */
  readonly path: string;
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

/**
 * Status and Location. The default port of the scheme is left out (Gateway API); the location always has scheme and
 * host, so that no path (`//elsewhere`) can be read as another host.
 */
export function redirectTo(
  redirect: Redirect,
  request: Redirected,
  match: RouteMatch | null,
): { status: number; location: string } {
  const scheme = redirect.scheme ?? (request.scheme === "https" ? "https" : "http");
  const { host, port: ownPort } = hostOf(redirect, request);
  const port = portOf(redirect, request, scheme, ownPort);
  const suffix = port === 0 || port === DEFAULT_PORTS[scheme] ? "" : `:${port}`;
  const from = request.path.startsWith("/") ? request.path : "/";
  const path = redirect.path === undefined ? from : rewritePath(from, redirect.path, match);
  return { status: redirect.status, location: `${scheme}://${host}${suffix}${path}` };
}

/** Istio's `authority` may bring a port. What is no host is not taken over. */
function hostOf(redirect: Redirect, request: Redirected): { host: string; port: number } {
  const given = bracketed(redirect.host ?? request.host);
  if (!isAuthority(given)) return { host: bracketed(request.host), port: 0 };
  const port = /:(\d+)$/.exec(given)?.[1];
  if (port === undefined) return { host: given, port: 0 };
  return { host: given.slice(0, -port.length - 1), port: Number(port) };
}

/** IPv6 with brackets. */
function bracketed(host: string): string {
  const isBare = host.split(":").length > 2 && !host.startsWith("[");
  return isBare ? `[${host}]` : host;
}

/** 0: none is known. `own`: a port that came with the host. */
function portOf(redirect: Redirect, request: Redirected, scheme: string, own: number): number {
  if (typeof redirect.port === "number") return redirect.port;
  if (redirect.port === "default") return DEFAULT_PORTS[scheme] ?? 0;
  if (redirect.port === "request") return request.port;
  if (own !== 0) return own;
  return redirect.scheme === undefined ? request.port : 0;
}

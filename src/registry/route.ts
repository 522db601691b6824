import type { IncomingHttpHeaders } from "node:http";
import type { AllowedRole, Caller } from "./caller.ts";
import { RegistryError } from "./registry-error.ts";

/** A request as routes see it. */
export interface RegistryRequest {
  /** Parts of the path that the pattern names, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** The JSON body; throws 400 where it is none. */
  json(): unknown;
  readonly hasBody: boolean;
  readonly caller: Caller;
  /** Where it comes from. */
  readonly address: string;
  /** Aborted when the client goes away. */
  readonly closed: AbortSignal;
}

/** What a route answers: one value, items that are sent as an array while they are made, or lines. */
export interface Reply {
  readonly status?: number;
  readonly body?: unknown;
  readonly items?: Iterable<unknown>;
  /** Values that are sent as they come, one JSON text in each line (NDJSON), until they end or the client goes. */
  readonly lines?: AsyncIterable<unknown>;
  /** Revision of the answer, where it is not simply the newest. */
  readonly index?: number;
}

export interface Route {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** Segments: literal, `:name` for one, `*name` for the rest. */
  readonly pattern: string;
  /** Largest body that is read; absent: none is. */
  readonly bodyBytes?: number;
  /** Who may call it besides operators; absent: nobody. */
  readonly allow?: readonly AllowedRole[];
  /** Writes what a source brings: refused where this registry has one. */
  readonly writesState?: true;
  handle(request: RegistryRequest): Reply | Promise<Reply>;
}

/** Default limit of a body; Consul's for a key. */
export const BODY_BYTES = 524_288;

/** Routes by pattern. */
export class Router<R extends Pick<Route, "method" | "pattern"> = Route> {
  readonly #routes: readonly { route: R; segments: readonly string[] }[];

  constructor(routes: readonly R[]) {
    this.#routes = routes.map((route) => ({ route, segments: route.pattern.split("/") }));
  }

  /** Throws 404 for an unknown path, 405 for a wrong method, 400 for a path that cannot be decoded. */
  match(method: string, path: string): { route: R; params: Record<string, string> } {
    const parts = path.split("/");
    const allowed: string[] = [];
    for (const { route, segments } of this.#routes) {
      const params = matchSegments(segments, parts);
      if (params === null) continue;
      if (route.method === method) return { route, params };
      allowed.push(route.method);
    }
    if (allowed.length > 0) {
      throw new RegistryError(405, `this path takes ${allowed.join(", ")}, not ${method}`);
    }
    throw new RegistryError(404, "there is nothing at this path");
  }
}

function matchSegments(
  segments: readonly string[],
  parts: readonly string[],
): Record<string, string> | null {
  const params: Record<string, string> = {};
  for (const [index, segment] of segments.entries()) {
    const part = parts[index];
    if (part === undefined) return null;
    if (segment.startsWith("*")) {
      params[segment.slice(1)] = parts.slice(index).map(decode).join("/");
      return params;
    }
    if (segment.startsWith(":")) params[segment.slice(1)] = decode(part);
    else if (segment !== part) return null;
  }
  return parts.length === segments.length ? params : null;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (cause) {
    throw new RegistryError(400, "the path is not valid percent-encoding", undefined, cause);
  }
}

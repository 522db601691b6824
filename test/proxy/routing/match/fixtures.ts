import type { RouteMatch, RouteRule, RouteTable } from "../../../../src/core/traffic.ts";
import {
  type Found,
  type RouteRequest,
  RouteSet,
} from "../../../../src/proxy/routing/match/route-set.ts";
import { latin1, parseRequest } from "../../../helpers/heads.ts";

/** A rule for the matches, which is known by its name. */
export function rule(name: string, ...matches: readonly RouteMatch[]): RouteRule {
  return { name, matches, action: { kind: "forward", backends: [] } };
}

export function table(rules: readonly RouteRule[], more: Partial<RouteTable> = {}): RouteTable {
  return {
    source: "VirtualService shop/reviews",
    createdMs: 0,
    protocol: "http",
    role: "route",
    services: ["shop/reviews"],
    clients: null,
    rank: 30,
    order: "listed",
    otherwise: "refuse",
    rules,
    ...more,
  };
}

/** A GET of the target with these field lines. */
export function request(
  target: string,
  fields: readonly string[] = [],
  more: Partial<RouteRequest> & { readonly method?: string } = {},
): RouteRequest {
  const { method = "GET", ...rest } = more;
  const lines = [`${method} ${target} HTTP/1.1`, "Host: reviews.shop", ...fields];
  const limits = { headBytes: 1_000_000, requestLineBytes: 100_000, headerCount: 100_000 };
  return {
    head: parseRequest([latin1(`${lines.join("\r\n")}\r\n\r\n`)], limits),
    host: "reviews.shop",
    scheme: "http",
    port: 80,
    source: { namespace: "web", labels: {} },
    ...rest,
  };
}

/** A set that must not have problems. */
export function routeSet(...tables: readonly RouteTable[]): RouteSet {
  return new RouteSet(tables, (source, reason) => {
    throw new Error(`${source}: ${reason}`);
  });
}

/** Name of the rule that was found, or the answer itself. */
export function nameOf(found: Found | "refuse" | null): string | null {
  return found === null || found === "refuse" ? found : found.rule.rule.name;
}

/** Does one match hold for a request? */
export function holds(match: RouteMatch, of: RouteRequest): boolean {
  return nameOf(routeSet(table([rule("yes", match)])).find(of)) === "yes";
}

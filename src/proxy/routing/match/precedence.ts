import type { RouteMatch, TextMatch } from "../../../core/traffic.ts";

/** A match with what decides between matches of equal worth. */
export interface Candidate {
  readonly match: RouteMatch | null;
  readonly createdMs: number;
  /** `HTTPRoute shop/cart`. */
  readonly source: string;
}

/**
 * Gateway API's precedence (HTTPRouteRule.matches): the exact path, then the longest prefix, then a method, the most
 * headers, the most query parameters, the oldest route, the first by `namespace/name`; what is still equal keeps its
 * order (of rules in their route, with a stable sort). Expressions stand behind prefixes, as in Istio, but before the
 * prefix `/`, which is what every match has that says nothing.
 */
export function byPrecedence(a: Candidate, b: Candidate): number {
  return (
    pathRank(b) - pathRank(a) ||
    pathLength(b) - pathLength(a) ||
    Number(b.match?.method !== undefined) - Number(a.match?.method !== undefined) ||
    (b.match?.headers?.length ?? 0) - (a.match?.headers?.length ?? 0) ||
    (b.match?.query?.length ?? 0) - (a.match?.query?.length ?? 0) ||
    byAge(a, b)
  );
}

type Dated = Omit<Candidate, "match">;

/** The oldest, then the first by `namespace/name`. */
export function byAge(a: Dated, b: Dated): number {
  return a.createdMs - b.createdMs || compareTexts(nameOf(a.source), nameOf(b.source));
}

function pathRank({ match }: Candidate): number {
  const path = match?.path;
  if (path === undefined || lengthOf(path) === 0) return 0;
  if (path.kind === "exact") return 3;
  return path.kind === "prefix" || path.kind === "segments" ? 2 : 1;
}

function pathLength({ match }: Candidate): number {
  return match?.path === undefined ? 0 : lengthOf(match.path);
}

/** In characters; a slash at the end of a prefix of whole elements does not count, and the prefix `/` is none. */
function lengthOf(path: TextMatch): number {
  if (path.kind === "present") return 0;
  const { kind, value } = path;
  if (kind === "prefix" && value === "/") return 0;
  return kind === "segments" && value.endsWith("/") ? value.length - 1 : value.length;
}

function nameOf(source: string): string {
  return source.slice(source.indexOf(" ") + 1);
}

function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

import type { HttpMatch } from "./http-match.ts";
import type { HttpRoute } from "./http-route.ts";
import type { StringMatch } from "./string-match.ts";

/**
 * A route of a delegate under the route that names it: what it does not say itself holds as there. Null where one of its
 * matches is part of none of the root's (Istio's mergeHTTPRoute).
 */
export function mergeRoute(root: HttpRoute, leaf: HttpRoute): HttpRoute | null {
  const match = mergeMatches(root.match ?? [], leaf.match ?? []);
  if (match === null) return null;
  const { delegate: _, ...above } = root;
  return {
    ...above,
    ...leaf,
    ...(match.length > 0 ? { match } : {}),
    name: [root.name, leaf.name].filter((name) => name !== undefined).join("-") || undefined,
  };
}

function mergeMatches(root: readonly HttpMatch[], leaf: readonly HttpMatch[]): HttpMatch[] | null {
  if (root.length === 0) return [...leaf];
  if (leaf.length === 0) return [...root];
  const merged: HttpMatch[] = [];
  for (const below of leaf) {
    const fitting = root.filter((above) => !isConflict(above, below));
    if (fitting.length === 0) return null;
    merged.push(...fitting.map((above) => mergeMatch(above, below)));
  }
  return merged;
}

function mergeMatch(root: HttpMatch, leaf: HttpMatch): HttpMatch {
  return {
    ...root,
    ...leaf,
    headers: { ...root.headers, ...leaf.headers },
    withoutHeaders: { ...root.withoutHeaders, ...leaf.withoutHeaders },
    queryParams: { ...root.queryParams, ...leaf.queryParams },
    ...(root.sourceLabels === undefined && leaf.sourceLabels === undefined
      ? {}
      : { sourceLabels: { ...root.sourceLabels, ...leaf.sourceLabels } }),
  };
}

function isConflict(root: HttpMatch, leaf: HttpMatch): boolean {
  const texts = (["uri", "scheme", "method", "authority"] as const).some((name) =>
    isTextConflict(root[name], leaf[name]),
  );
  const fields = (["headers", "withoutHeaders", "queryParams"] as const).some((name) =>
    Object.entries(leaf[name] ?? {}).some(([key, match]) =>
      isTextConflict(root[name]?.[key], match),
    ),
  );
  return texts || fields || isCallerConflict(root, leaf);
}

function isCallerConflict(root: HttpMatch, leaf: HttpMatch): boolean {
  if ((root.ignoreUriCase ?? false) !== (leaf.ignoreUriCase ?? false)) return true;
  if (root.port !== undefined && leaf.port !== undefined && root.port !== leaf.port) return true;
  const { sourceNamespace, sourceLabels = {}, gateways = [] } = root;
  if (sourceNamespace !== undefined && leaf.sourceNamespace !== sourceNamespace) return true;
  const known = new Map(Object.entries(sourceLabels));
  const labels = Object.entries(leaf.sourceLabels ?? {});
  if (labels.some(([key, value]) => (known.get(key) ?? value) !== value)) return true;
  return gateways.length > 0 && (leaf.gateways ?? []).some((name) => !gateways.includes(name));
}

/** Does the lower match take anything that the upper does not? Where regexes meet nobody can say, so they conflict. */
function isTextConflict(
  root: Partial<StringMatch> | undefined,
  leaf: Partial<StringMatch> | undefined,
): boolean {
  if (root === undefined || leaf === undefined) return false;
  if (Object.keys(root).length === 0) return false;
  if (root.regex !== undefined || leaf.regex !== undefined) return true;
  if (root.exact !== undefined) return leaf.exact !== root.exact;
  const text = leaf.exact ?? leaf.prefix;
  return text === undefined || !text.startsWith(root.prefix ?? "");
}

import { formatPath, type Issue } from "./schema-issue.ts";

/** Levels of nesting that any valid input stays below. */
const MAX_DEPTH = 12;
/** The keys through which a careless merge anywhere behind us would reach a prototype. */
const FORBIDDEN = new Set(["__proto__", "constructor", "prototype"]);

/**
 * The first part of a JSON value that the registry takes from nobody: one nested beyond reason (a value that contains
 * itself, too), or with a forbidden key; null where there is none. `above`: levels that the value stands within.
 */
export function hostilePart(value: unknown, above = 0): Issue | null {
  return search(value, [], above);
}

function search(value: unknown, path: readonly PropertyKey[], above: number): Issue | null {
  if (typeof value !== "object" || value === null) return null;
  if (path.length + above > MAX_DEPTH) {
    return { path: formatPath(path), reason: "nested too deeply" };
  }
  const entries = Array.isArray(value) ? value.entries() : Object.entries(value);
  for (const [key, each] of entries) {
    const place = [...path, key];
    if (FORBIDDEN.has(String(key))) {
      return { path: formatPath(place), reason: "this key is not allowed" };
    }
    const found = search(each, place, above);
    if (found !== null) return found;
  }
  return null;
}

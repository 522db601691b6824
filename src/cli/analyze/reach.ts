import { isDeepStrictEqual } from "node:util";
import type { FieldMatch, RouteMatch, RouteRule, TextMatch } from "../../core/traffic.ts";

/** Which rules no request reaches, and the rule that takes their requests: the first that matches counts. */
export function unreachableRules(
  rules: readonly RouteRule[],
): { readonly index: number; readonly by: number }[] {
  const found: { index: number; by: number }[] = [];
  // A rule for exact paths alone can only take the requests of others for one of them: it need not be asked for the rest.
  const wide: number[] = [];
  const exact = new Map<string, number[]>();
  for (const [index, rule] of rules.entries()) {
    const paths = exactPathsOf(rule);
    const same = paths?.flatMap((path) => exact.get(path) ?? []) ?? [];
    const by = [...wide, ...same].sort((a, b) => a - b).find((at) => takesAll(rules[at], rule));
    if (by !== undefined) found.push({ index, by });
    if (paths === null) wide.push(index);
    for (const path of new Set(paths)) {
      const there = exact.get(path);
      if (there === undefined) exact.set(path, [index]);
      else there.push(index);
    }
  }
  return found;
}

/** Null: it also matches by something else than a whole path. */
function exactPathsOf({ matches }: RouteRule): string[] | null {
  const paths = matches.map(({ path }) => (path?.kind === "exact" ? path.value : null));
  return paths.length === 0 || paths.includes(null) ? null : paths.filter((path) => path !== null);
}

function takesAll(earlier: RouteRule | undefined, rule: RouteRule): boolean {
  return earlier !== undefined && takesAllOf(earlier, rule);
}

/** Does the request get no further than `earlier`, whichever match of `rule` it has? */
function takesAllOf(earlier: RouteRule, rule: RouteRule): boolean {
  if (matchesAll(earlier)) return true;
  if (rule.matches.length === 0) return false;
  return rule.matches.every((match) => earlier.matches.some((wide) => covers(wide, match)));
}

export function matchesAll({ matches }: RouteRule): boolean {
  return matches.length === 0 || matches.some((match) => covers(match, {}));
}

/** Is every request that `narrow` matches matched by `wide` too? Where it is not certain: no. */
function covers(wide: RouteMatch, narrow: RouteMatch): boolean {
  const { path, headers = [], query = [], sourceLabels = {}, ...rest } = wide;
  if (path !== undefined && !coversPath(path, narrow.path)) return false;
  if (!includesAll(narrow.headers, headers) || !includesAll(narrow.query, query)) return false;
  const labels = narrow.sourceLabels ?? {};
  if (Object.entries(sourceLabels).some(([name, value]) => labels[name] !== value)) return false;
  const facts = new Map<string, unknown>(Object.entries(narrow));
  return Object.entries(rest).every(
    ([name, value]) => value === undefined || isDeepStrictEqual(facts.get(name), value),
  );
}

function includesAll(fields: readonly FieldMatch[] = [], wanted: readonly FieldMatch[]): boolean {
  return wanted.every((each) => fields.some((field) => isDeepStrictEqual(field, each)));
}

function coversPath(wide: TextMatch, narrow: TextMatch | undefined): boolean {
  if (takesEveryPath(wide)) return true;
  if (narrow === undefined) return false;
  if (isDeepStrictEqual(wide, narrow)) return true;
  if (wide.kind !== "prefix" || wide.ignoreCase) return false;
  const isText = narrow.kind === "exact" || narrow.kind === "prefix" || narrow.kind === "segments";
  if (!isText || ("ignoreCase" in narrow && narrow.ignoreCase)) return false;
  // A prefix in whole segments also stands for itself without what follows its last slash.
  return narrow.value.startsWith(wide.value);
}

function takesEveryPath(match: TextMatch): boolean {
  if (match.kind === "present") return true;
  if (match.kind === "regex") return match.value === ".*" || match.value === "/.*";
  return (match.kind === "prefix" || match.kind === "segments") && ["", "/"].includes(match.value);
}

import type { PathRewrite, RouteMatch } from "../../../core/traffic.ts";
import { wireText } from "../text/wire-text.ts";
import { RegexSubstitution } from "./regex-substitution.ts";
import { wirePath } from "./wire-path.ts";

interface Compiled {
  /** As it stands in a target. */
  readonly value: string;
  /** Null: there is none, or it cannot be understood. */
  readonly substitution: RegexSubstitution | null;
}

/** Kept for as long as the rules that they belong to. */
const compiledRewrites = new WeakMap<PathRewrite, Compiled>();

/**
 * The path that goes on, with the query of the request, for a rule that held by `match`. It always begins with a slash;
 * a target that is no path (`*`) stays. A rewrite that cannot be understood changes nothing; see `rewriteProblem`.
 *
 * A prefix is replaced as text (Istio, Envoy's `prefix_rewrite`), where the rule asks for no path that of `/`; after a
 * match by whole elements Gateway API's table for `ReplacePrefixMatch` holds. A `full` value may bring a query of its
 * own, which then replaces that of the request (Envoy's `path_redirect`).
 *
 * The result may need normalising again: `/a../b` without its prefix `/a` is a path upwards.
 */
export function rewritePath(
  pathWithQuery: string,
  rewrite: PathRewrite,
  match: RouteMatch | null,
): string {
  if (!pathWithQuery.startsWith("/")) return pathWithQuery;
  const mark = pathWithQuery.indexOf("?");
  const path = mark === -1 ? pathWithQuery : pathWithQuery.slice(0, mark);
  const query = mark === -1 ? "" : pathWithQuery.slice(mark);
  const rewritten = rooted(rewrittenOf(path, rewrite, match));
  return rewrite.kind === "full" && rewritten.includes("?") ? rewritten : rewritten + query;
}

/** What is wrong with a rewrite, or null. */
export function rewriteProblem(rewrite: PathRewrite): string | null {
  if (rewrite.kind !== "regex") return null;
  try {
    new RegexSubstitution(rewrite.pattern, rewrite.substitution);
    return null;
  } catch (reason) {
    if (reason instanceof RangeError) return reason.message;
    throw reason;
  }
}

function rooted(path: string): string {
  return path.startsWith("/") ? path : `/${path}`;
}

function rewrittenOf(path: string, rewrite: PathRewrite, match: RouteMatch | null): string {
  const { value, substitution } = compiledOf(rewrite);
  if (rewrite.kind === "regex") return substitution?.apply(path) ?? path;
  return rewrite.kind === "full" ? value : withPrefix(path, value, match);
}

function withPrefix(path: string, value: string, match: RouteMatch | null): string {
  const by = match?.path;
  if (by === undefined) return value + path.slice(1);
  if (by.kind === "segments") {
    const prefix = withoutSlash(wireText(by.value));
    return withoutSlash(value) + path.slice(prefix.length);
  }
  return by.kind === "prefix" ? value + path.slice(wireText(by.value).length) : value;
}

function withoutSlash(text: string): string {
  return text.endsWith("/") ? text.slice(0, -1) : text;
}

function compiledOf(rewrite: PathRewrite): Compiled {
  const known = compiledRewrites.get(rewrite);
  if (known !== undefined) return known;
  const compiled =
    rewrite.kind === "regex"
      ? { value: "", substitution: substitutionOf(rewrite) }
      : { value: wirePath(rewrite.value), substitution: null };
  compiledRewrites.set(rewrite, compiled);
  return compiled;
}

function substitutionOf(rewrite: PathRewrite & { kind: "regex" }): RegexSubstitution | null {
  if (rewriteProblem(rewrite) !== null) return null;
  return new RegexSubstitution(rewrite.pattern, rewrite.substitution);
}

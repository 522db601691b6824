import * as z from "zod";
import type { RouteMatch } from "../../core/traffic.ts";
import { regexField } from "../regex-field.ts";
import { differently, honoured } from "../support.ts";
import { methodName } from "../value-fields.ts";
import { HAS_FIELD } from "./has-field.ts";

/** How deep conditions nest, and to how many alternatives one may grow when it is written out. */
const MAX_DEPTH = 6;
const MAX_ALTERNATIVES = 64;
/** On the way there: some of them may turn out to hold for nothing. */
const MAX_ON_THE_WAY = 4_096;
/** RFC 9110 section 9 and RFC 5789: what "not this method" stands for. */
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
const LIMIT = `at most ${MAX_DEPTH} deep, and ${MAX_ALTERNATIVES} alternatives when written out`;

/** A condition on requests, as ServiceProfiles have it. */
export interface RequestMatch {
  readonly all?: readonly RequestMatch[] | undefined;
  readonly any?: readonly RequestMatch[] | undefined;
  readonly not?: RequestMatch | undefined;
  readonly pathRegex?: string | undefined;
  readonly method?: string | undefined;
}

/** Not without end: a text may nest deeper than a stack. */
function nestedField(depth: number): z.ZodType<RequestMatch> {
  if (depth > MAX_DEPTH) return z.never({ error: `conditions may be ${MAX_DEPTH} deep` });
  const inner = nestedField(depth + 1);
  const list = z.array(inner).min(1, "must not be empty").max(MAX_ALTERNATIVES).optional();
  return z
    .strictObject({
      ...{ all: list, any: list, not: inner.optional() },
      ...{ pathRegex: regexField.optional(), method: methodName.optional() },
    })
    .refine(HAS_FIELD.holds, HAS_FIELD.message);
}

const nested = nestedField(2);
const nestedList = z.array(nested).min(1, "must not be empty").max(MAX_ALTERNATIVES);

export const requestMatchField = z
  .strictObject({
    all: honoured(nestedList, LIMIT).optional(),
    any: honoured(nestedList, LIMIT).optional(),
    not: differently(
      nested,
      `of methods (then: another of RFC 9110's) and of what is made of them; not of \`pathRegex\`. ${LIMIT}`,
    ).optional(),
    pathRegex: honoured(
      regexField,
      "RE2 syntax, for the whole path; two in one alternative are refused",
    ).optional(),
    method: honoured(methodName).optional(),
  })
  .refine(HAS_FIELD.holds, HAS_FIELD.message);

/** A condition that cannot be written out, with its place. */
export class UnexpandableError extends Error {
  readonly path: readonly PropertyKey[];

  constructor(path: readonly PropertyKey[], message: string) {
    super(message);
    this.name = "UnexpandableError";
    this.path = path;
  }
}

/** One alternative: a path, and methods of which one must be; null: any. */
interface Alternative {
  readonly path: string | null;
  readonly methods: ReadonlySet<string> | null;
}

const ANYTHING: Alternative = { path: null, methods: null };

/**
 * A condition as a list of matches of which one must hold (disjunctive normal form). Throws {@link UnexpandableError} for
 * what the model cannot say: that a path does not match an expression, or matches two.
 */
export function expandRequestMatch(condition: RequestMatch): RouteMatch[] {
  return alternativesOf(condition, false, []).flatMap(({ path, methods }): RouteMatch[] => {
    const atPath: RouteMatch = path === null ? {} : { path: { kind: "regex", value: path } };
    if (methods === null) return [atPath];
    return [...methods].map((value) => ({ ...atPath, method: { kind: "exact", value } }));
  });
}

/** Several fields of one condition must hold together, as Linkerd has it. */
function alternativesOf(
  { all, any, not, pathRegex, method }: RequestMatch,
  inverted: boolean,
  path: readonly PropertyKey[],
): Alternative[] {
  const parts: Alternative[][] = [];
  if (pathRegex !== undefined) parts.push([atPath(pathRegex, inverted, [...path, "pathRegex"])]);
  if (method !== undefined) parts.push([{ path: null, methods: methodsOf(method, inverted) }]);
  if (not !== undefined) parts.push(alternativesOf(not, !inverted, [...path, "not"]));
  const each = (name: "all" | "any", list: readonly RequestMatch[]) =>
    list.map((part, index) => alternativesOf(part, inverted, [...path, name, index]));
  if (all !== undefined) parts.push(joined(each("all", all), !inverted, [...path, "all"]));
  if (any !== undefined) parts.push(joined(each("any", any), inverted, [...path, "any"]));
  return joined(parts, !inverted, path);
}

function atPath(regex: string, inverted: boolean, path: readonly PropertyKey[]): Alternative {
  if (!inverted) return { path: regex, methods: null };
  const reason =
    "the mesh knows no path that does not match: give a route for what matches before this one, since the first that matches counts";
  throw new UnexpandableError(path, reason);
}

function methodsOf(method: string, inverted: boolean): ReadonlySet<string> {
  const own = method.toUpperCase();
  return new Set(inverted ? METHODS.filter((each) => each !== own) : [own]);
}

/** All of them together, or any. */
function joined(
  parts: readonly Alternative[][],
  together: boolean,
  path: readonly PropertyKey[],
): Alternative[] {
  const found = together
    ? parts.reduce((left, right) => product(left, right, path), [ANYTHING])
    : parts.flat();
  const size = found.reduce((sum, { methods }) => sum + (methods?.size ?? 1), 0);
  if (size > MAX_ALTERNATIVES) throw tooMany(path);
  return found;
}

function tooMany(path: readonly PropertyKey[]): UnexpandableError {
  const reason = `grows to more than ${MAX_ALTERNATIVES} alternatives when it is written out: make several routes of it`;
  return new UnexpandableError(path, reason);
}

function product(
  left: readonly Alternative[],
  right: readonly Alternative[],
  path: readonly PropertyKey[],
): Alternative[] {
  if (left.length * right.length > MAX_ON_THE_WAY) throw tooMany(path);
  return left.flatMap((a) => right.flatMap((b) => meet(a, b, path)));
}

function meet(a: Alternative, b: Alternative, path: readonly PropertyKey[]): Alternative[] {
  if (a.path !== null && b.path !== null && a.path !== b.path) {
    const reason = `two expressions for one path (${a.path} and ${b.path}): make one of them`;
    throw new UnexpandableError(path, reason);
  }
  const methods =
    a.methods === null || b.methods === null
      ? (a.methods ?? b.methods)
      : new Set([...a.methods].filter((method) => b.methods?.has(method)));
  // No method is both: this alternative never holds.
  return methods?.size === 0 ? [] : [{ path: a.path ?? b.path, methods }];
}

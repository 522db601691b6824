import { compileRegex } from "../text/compile-regex.ts";
import { requiredLiterals, requiredPrefix } from "../text/regex-prefix.ts";

/** A value that is known before a request comes, and that a matching one must be, begin or end with, or contain. */
export interface ValueKey {
  readonly kind: "exact" | "prefix" | "suffix" | "infix";
  readonly value: string;
  /** Is it all that there is to match? */
  readonly suffices: boolean;
  /** What holds as well whenever this does: a matching value can be found by any of them. */
  readonly others?: readonly ValueKey[];
}

interface Pattern {
  readonly key: ValueKey;
  matches(value: string): boolean;
}

/**
 * A list of values as Istio matches them: exactly, `abc*`, `*abc`, or `*` for any that is present. `""` is an absent
 * value, which matches nothing; of several values of one attribute one has to match.
 */
export class ValueMatcher {
  readonly #exact: ReadonlySet<string>;
  readonly #patterns: readonly Pattern[];
  /** One of these holds for each value that matches. */
  readonly keys: readonly ValueKey[];

  constructor(exact: readonly string[], patterns: readonly Pattern[]) {
    this.#exact = new Set(exact);
    this.#patterns = patterns;
    this.keys = [
      ...exact.map((value) => ({ kind: "exact", value, suffices: true }) as const),
      ...patterns.map(({ key }) => key),
    ];
  }

  matches(value: string | readonly string[]): boolean {
    if (typeof value === "string") return this.#matchesOne(value);
    for (const one of value) if (this.#matchesOne(one)) return true;
    return false;
  }

  #matchesOne(value: string): boolean {
    if (value === "") return false;
    if (this.#exact.has(value)) return true;
    for (const pattern of this.#patterns) if (pattern.matches(value)) return true;
    return false;
  }
}

/** A list of values in which a star is only a star. */
export function exactMatcher(values: readonly string[]): ValueMatcher {
  return new ValueMatcher(values, []);
}

export function matcherOf(values: readonly string[]): ValueMatcher {
  return new ValueMatcher(
    values.filter((value) => !isWild(value)),
    values.filter(isWild).map(wildPattern),
  );
}

/** Like `matcherOf`, and with path templates. Throws a RangeError for a malformed one. */
export function pathMatcher(values: readonly string[]): ValueMatcher {
  const isPlain = (value: string) => !value.includes("{") && !isWild(value);
  return new ValueMatcher(
    values.filter(isPlain),
    values
      .filter((value) => !isPlain(value))
      .map((value) => (value.includes("{") ? templatePattern(value) : wildPattern(value))),
  );
}

/** Expressions in RE2's syntax for the whole value. Throws a RangeError for a malformed one. */
export function regexMatcher(expressions: readonly string[]): ValueMatcher {
  return new ValueMatcher([], expressions.map(regexPattern));
}

function isWild(value: string): boolean {
  return value.startsWith("*") || value.endsWith("*");
}

function wildPattern(value: string): Pattern {
  if (value.startsWith("*")) {
    const suffix = value.slice(1);
    return {
      key: { kind: "suffix", value: suffix, suffices: true },
      matches: (candidate) => candidate.endsWith(suffix),
    };
  }
  const prefix = value.slice(0, -1);
  return {
    key: { kind: "prefix", value: prefix, suffices: true },
    matches: (candidate) => candidate.startsWith(prefix),
  };
}

const TEMPLATE = /^(?:\/(?:\{\*\}|\{\*\*\}|[^/{}*]*))+$/;

/**
 * Istio's path templates: `{*}` is one segment of at least one character, `{**}` any text, also none, and the last
 * operator. Characters are not limited to those of Envoy's `uri_template`, or a path with another one would get round
 * a policy that denies.
 */
function templatePattern(template: string): Pattern {
  const [front = "", back, ...more] = template.split("{**}");
  if (!TEMPLATE.test(template) || more.length > 0 || back?.includes("{*}")) {
    throw new RangeError(`not a path template: ${JSON.stringify(template)}`);
  }
  const literals = front.split("{*}");
  return {
    key: { kind: "prefix", value: literals[0] ?? "", suffices: false },
    matches(path) {
      const end = matchSegments(path, literals);
      if (end === -1) return false;
      if (back === undefined) return end === path.length;
      return path.length - end >= back.length && path.endsWith(back);
    },
  };
}

/** Matches literals with one segment between each two; returns where the last one ends, or -1. */
function matchSegments(path: string, literals: readonly string[]): number {
  let at = 0;
  for (let index = 0; index < literals.length; index++) {
    if (index > 0) {
      const slash = path.indexOf("/", at);
      const end = slash === -1 ? path.length : slash;
      if (end === at) return -1;
      at = end;
    }
    const literal = literals[index]!;
    if (!path.startsWith(literal, at)) return -1;
    at += literal.length;
  }
  return at;
}

function regexPattern(expression: string): Pattern {
  const compiled = compileRegex(expression);
  const literal = requiredPrefix(expression);
  const others = requiredLiterals(expression).map(
    (value) => ({ kind: "infix", value, suffices: false }) as const,
  );
  return {
    key: { kind: "prefix", value: literal, suffices: false, others },
    matches: (candidate) => candidate.startsWith(literal) && compiled.testExact(candidate),
  };
}

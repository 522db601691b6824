import type { TextMatch } from "../../../core/traffic.ts";
import { compileRegex } from "./compile-regex.ts";
import { requiredPrefix } from "./regex-prefix.ts";
import { asciiLower, wireText } from "./wire-text.ts";

/** What is known of every text that matches; `present`: nothing but that there is one. */
export interface TextKey {
  readonly kind: "exact" | "prefix" | "present";
  readonly value: string;
  /** It holds for the text in lower case (of ASCII). */
  readonly lower: boolean;
}

type Test = (text: string) => boolean;

/** A {@link TextMatch}, compiled. The texts that it is asked about are those of a head: one character per byte. */
export class TextMatcher {
  readonly #exact: string | null;
  readonly #test: Test;
  readonly key: TextKey;

  /** Throws a RangeError for a malformed expression. */
  constructor(match: TextMatch) {
    const { key, test } = compile(match);
    this.key = key;
    this.#test = test;
    this.#exact = key.kind === "exact" && !key.lower ? key.value : null;
  }

  matches(text: string): boolean {
    return this.#exact === null ? this.#test(text) : text === this.#exact;
  }
}

interface Compiled {
  readonly key: TextKey;
  readonly test: Test;
}

const PRESENT: TextKey = { kind: "present", value: "", lower: false };
const SLASH = 0x2f;

function compile(match: TextMatch): Compiled {
  switch (match.kind) {
    case "present":
      return { key: PRESENT, test: () => true };
    case "regex":
      return regex(match.value);
    case "segments":
      return segments(wireText(match.value));
    default:
      return literal(match.kind, wireText(match.value), match.ignoreCase === true);
  }
}

function literal(kind: "exact" | "prefix" | "suffix", text: string, lower: boolean): Compiled {
  const value = lower ? asciiLower(text) : text;
  const key = kind === "suffix" ? PRESENT : { kind, value, lower };
  const test = literalTest(kind, value);
  return { key, test: lower ? (candidate) => test(asciiLower(candidate)) : test };
}

function literalTest(kind: "exact" | "prefix" | "suffix", value: string): Test {
  if (kind === "exact") return (text) => text === value;
  if (kind === "prefix") return (text) => text.startsWith(value);
  return (text) => text.endsWith(value);
}

/** Whole path elements; a slash at the end of the prefix makes no difference (Gateway API, PathPrefix). */
function segments(text: string): Compiled {
  const value = text.endsWith("/") ? text.slice(0, -1) : text;
  return {
    key: { kind: "prefix", value, lower: false },
    test: (path) =>
      path.startsWith(value) &&
      (path.length === value.length || path.charCodeAt(value.length) === SLASH),
  };
}

/** For the whole text. An expression beyond ASCII speaks of characters, so the bytes are decoded for it. */
function regex(expression: string): Compiled {
  const compiled = compileRegex(expression);
  const isAscii = wireText(expression) === expression;
  const value = isAscii ? requiredPrefix(expression) : "";
  return {
    key: value === "" ? PRESENT : { kind: "prefix", value, lower: false },
    test: isAscii
      ? (text) => text.startsWith(value) && compiled.testExact(text)
      : (text) => compiled.testExact(Buffer.from(text, "latin1").toString()),
  };
}

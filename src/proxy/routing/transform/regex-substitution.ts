import type { RE2JS } from "re2js";
import { compileRegex } from "../text/compile-regex.ts";
import { wirePath } from "./wire-path.ts";

/** Text, or the number of a group. */
type Piece = string | number;

const PIECE = /\\(?<group>\d)|\\(?<backslash>\\)|(?<text>[^\\]+)|(?<stray>\\)/gs;

/**
 * Replaces every match of an expression, as RE2's `GlobalReplace` does for Envoy's `regex_rewrite`: in the substitution
 * `\0` is the match, `\1` to `\9` are its groups, and `\\` is a backslash.
 */
export class RegexSubstitution {
  readonly #expression: RE2JS;
  readonly #pieces: readonly Piece[];

  /** Throws a RangeError for a malformed expression or substitution, and for a group that there is not. */
  constructor(pattern: string, substitution: string) {
    this.#expression = compileRegex(pattern);
    this.#pieces = piecesOf(substitution);
    const groups = this.#expression.groupCount();
    const most = Math.max(0, ...this.#pieces.filter((piece) => typeof piece === "number"));
    if (most > groups) {
      throw new RangeError(
        `the substitution names group ${most}, and the expression has ${groups}`,
      );
    }
  }

  apply(text: string): string {
    const matcher = this.#expression.matcher(text);
    let replaced = "";
    let at = 0;
    while (matcher.find()) {
      replaced += text.slice(at, matcher.start());
      for (const piece of this.#pieces) {
        replaced += typeof piece === "string" ? piece : (matcher.group(piece) ?? "");
      }
      at = matcher.end();
    }
    return replaced + text.slice(at);
  }
}

function piecesOf(substitution: string): Piece[] {
  return [...substitution.matchAll(PIECE)].map(({ groups = {} }) => {
    const { group, backslash, text } = groups;
    if (group !== undefined) return Number(group);
    if (backslash !== undefined) return wirePath(backslash);
    if (text !== undefined) return wirePath(text);
    throw new RangeError(`a stray backslash in the substitution ${JSON.stringify(substitution)}`);
  });
}

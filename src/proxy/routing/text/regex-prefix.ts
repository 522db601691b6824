/** An escape, a class, the start of a group that only groups, or one character. */
const TOKEN = /\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|\(\?:|./gs;
/** What RE2's syntax takes for itself, in ASCII; more characters than necessary are left out. */
const LITERAL = /^(?:[A-Za-z0-9/_~@:,;=&%!<>#'"` -]|\\[!-/:-@[-`{-~])$/;
/** A quantifier behind one counts for what stands before it. */
const FLAGS = /\(\?[A-Za-z-]*\)/;
const QUANTIFIERS = "*+?{";

type Tokens = readonly string[];

/**
 * Text that whatever an expression of RE2's syntax matches as a whole begins with; `""` where none is known. Groups
 * are looked into, unless they are repeated or have alternatives.
 */
export function requiredPrefix(expression: string): string {
  const tokens: Tokens = expression.match(TOKEN) ?? [];
  if (tokens.includes("\\Q") || FLAGS.test(expression) || !isSequence(tokens, 0)) return "";
  let prefix = "";
  for (const [at, token] of tokens.entries()) {
    if (isTransparent(tokens, at) || (token === "^" && prefix === "")) continue;
    if (!LITERAL.test(token) || isRepeated(tokens, at)) return prefix;
    prefix += token.slice(-1);
  }
  return prefix;
}

/**
 * Texts that whatever an expression of RE2's syntax matches contains, each of them; those that are known, in the order in
 * which they stand. Groups are looked into, unless they are repeated or have alternatives.
 */
export function requiredLiterals(expression: string): readonly string[] {
  const tokens: Tokens = expression.match(TOKEN) ?? [];
  if (tokens.includes("\\Q") || FLAGS.test(expression) || !isSequence(tokens, 0)) return [];
  const found: string[] = [];
  let literal = "";
  const end = () => {
    if (literal !== "") found.push(literal);
    literal = "";
  };
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at] ?? "";
    if (isTransparent(tokens, at)) continue;
    if (LITERAL.test(token) && !isRepeated(tokens, at)) {
      literal += token.slice(-1);
      continue;
    }
    end();
    at = lastOf(tokens, at);
  }
  end();
  return found;
}

/** Escapes that are complete. */
const SINGLE = /^\\[dDwWsSbBAz]$/;

/** Where what begins there, and is no literal, ends: behind everything where that cannot be told. */
function lastOf(tokens: Tokens, at: number): number {
  const token = tokens[at] ?? "";
  // What stands behind other escapes may be a part of them (`\x41`, `\p{L}`).
  if (/^\\[A-Za-z0-9]/.test(token) && !SINGLE.test(token)) return tokens.length;
  if (token === "(" || token === "(?:") return groupEnd(tokens, at);
  if (token !== "{") return at;
  const end = tokens.indexOf("}", at);
  return end === -1 ? tokens.length : end;
}

function groupEnd(tokens: Tokens, start: number): number {
  let depth = 0;
  for (let at = start; at < tokens.length; at++) {
    const token = tokens[at];
    if (token === "(" || token === "(?:") depth += 1;
    else if (token === ")") depth -= 1;
    if (depth === 0) return at;
  }
  return tokens.length;
}

/** Is it the end of a group, or the beginning of one that could as well not be there? Its `?` tells one with flags. */
function isTransparent(tokens: Tokens, at: number): boolean {
  const token = tokens[at];
  if (token === ")") return true;
  const isOpening = token === "(?:" || (token === "(" && tokens[at + 1] !== "?");
  return isOpening && isSequence(tokens, at + 1);
}

function isRepeated(tokens: Tokens, at: number): boolean {
  return QUANTIFIERS.includes(tokens[at + 1] ?? " ");
}

/** Is what begins there, to the end of its group, without alternatives and matched exactly once? */
function isSequence(tokens: Tokens, start: number): boolean {
  let depth = 0;
  for (let at = start; at < tokens.length; at++) {
    const token = tokens[at];
    if (token === "|" && depth === 0) return false;
    if (token === "(" || token === "(?:") depth += 1;
    if (token === ")") depth -= 1;
    if (depth < 0) return !isRepeated(tokens, at);
  }
  return true;
}

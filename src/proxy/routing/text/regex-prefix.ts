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

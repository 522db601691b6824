import { RE2JS } from "re2js";

/** An expression in RE2's syntax, which is matched in linear time. Throws a RangeError for a malformed one. */
export function compileRegex(expression: string): RE2JS {
  try {
    return RE2JS.compile(expression);
  } catch (cause) {
    throw new RangeError(`not an expression of RE2: ${JSON.stringify(expression)}`, { cause });
  }
}

import { RE2JS } from "re2js";
import * as z from "zod";

/** Characters of a regular expression, and size of what it unrolls to: both bound what a match can cost. */
const MAX_LENGTH = 512;
const MAX_SIZE = 500;

/** A counted repetition, an escape, a class, or one character. */
const TOKEN = /\{\d+(?:,\d*)?\}|\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|./gs;
const COUNTED = /^\{(\d+)(?:,(\d*))?\}$/;

/** A regular expression of RE2's syntax, compiled here so that a bad one never reaches a proxy. */
export const regexField = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_LENGTH)
  .superRefine((text, context) => {
    const size = unrolledSize(text);
    if (size > MAX_SIZE) {
      const message = `the expression unrolls to ${size} parts, at most ${MAX_SIZE} are taken`;
      context.addIssue({ code: "custom", message });
      return;
    }
    try {
      RE2JS.compile(text);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const message = `no regular expression of RE2: ${reason.replace("error parsing regexp: ", "")}`;
      context.addIssue({ code: "custom", message });
    }
  });

/** Number of parts when counted repetitions are written out: RE2 compiles `a{1,1000}` to a thousand. */
export function unrolledSize(regex: string): number {
  const open: number[] = [];
  let size = 0;
  let last = 0;
  const take = () => {
    size += last;
    last = 1;
  };
  for (const { 0: token } of regex.matchAll(TOKEN)) {
    const [, least, most] = COUNTED.exec(token) ?? [];
    if (least !== undefined) {
      last *= Math.max(1, Number(least), Number(most ?? 0));
    } else if (token === "(") {
      open.push(size + last);
      size = 0;
      last = 0;
    } else if (token === ")") {
      last += size + 1;
      size = open.pop() ?? 0;
    } else if (!"*+?|".includes(token)) {
      take();
    }
  }
  return size + last;
}

/** The text itself as a regular expression. */
export function quoteRegex(text: string): string {
  return RE2JS.quote(text);
}

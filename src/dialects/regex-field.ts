import { LRUCache } from "lru-cache";
import { RE2JS } from "re2js";
import * as z from "zod";

/** Characters of a regular expression, and size of what it unrolls to: both bound what a match can cost. */
const MAX_LENGTH = 512;
const MAX_SIZE = 500;
/** Of all expressions of one resource: they are compiled while everybody else waits. */
const MAX_SIZE_OF_ALL = 20_000;
/** A class of Unicode (`\pL`) takes as long as so many other parts. */
const CLASS_SIZE = 25;
/** Expressions that were compiled lately: a resource is read several times. */
const MAX_KNOWN = 4_096;
const known = new LRUCache<string, true>({ max: MAX_KNOWN });

/** What is left for the resource that is being read. */
let left = Number.POSITIVE_INFINITY;

/** Reads one resource: its expressions together are bounded too. */
export function withinRegexBudget<T>(read: () => T): T {
  left = MAX_SIZE_OF_ALL;
  try {
    return read();
  } finally {
    left = Number.POSITIVE_INFINITY;
  }
}

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
    left -= size + CLASS_SIZE * (text.match(/\\[pP]/g)?.length ?? 0);
    if (left < 0) {
      const message = `the expressions of the resource unroll to more than ${MAX_SIZE_OF_ALL} parts together`;
      context.addIssue({ code: "custom", message });
      return;
    }
    try {
      if (known.get(text) === undefined) RE2JS.compile(text);
      known.set(text, true);
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

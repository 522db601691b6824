import { isIP } from "node:net";
import * as z from "zod";
import { LONGEST_TIMER_MS, sumOfParts } from "../core/durations.ts";

const MAX_TEXT = 2_048;
const MAX_VALUES = 1_024;

export const textField = z.string().min(1, "must not be empty").max(MAX_TEXT);

/** Istio matches exactly, by prefix `abc*`, by suffix `*abc`, or by presence `*`. */
export const patternField = textField.refine((text) => isPattern(text), {
  message: "* may stand at the beginning or at the end only, and alone",
});

function isPattern(text: string): boolean {
  if (text === "*") return true;
  const star = text.indexOf("*");
  if (star === -1) return true;
  return star === text.lastIndexOf("*") && (star === 0 || star === text.length - 1);
}

/** A path: a pattern, or a template in which whole segments are `{*}` (one segment) or, once and last, `{**}` (any). */
export const pathField = textField.superRefine((text, context) => {
  const refuse = (message: string) => context.addIssue({ code: "custom", message });
  if (!/\{\*{1,2}\}/.test(text)) {
    if (!isPattern(text)) refuse("* may stand at the beginning or at the end only, and alone");
    return;
  }
  const segments = text.split("/");
  const isGood = (part: string) => /^\{\*{1,2}\}$/.test(part) || !/[*{}]/.test(part);
  if (segments[0] !== "" || !segments.every(isGood)) {
    refuse("in a path template {*} and {**} stand for whole segments, and nothing else is special");
  } else if (/\{\*\*\}.*\{\*{1,2}\}/.test(text)) {
    refuse("in a path template {**} stands once, behind every {*}");
  }
});

/** An address or a subnet. */
export const subnetField = z.string().refine(isSubnet, {
  message: "must be an IP address or a subnet such as 10.0.0.0/8",
});

function isSubnet(text: string): boolean {
  const [base = "", bits, ...rest] = text.split("/");
  const family = base.includes("%") ? 0 : isIP(base);
  if (family === 0 || rest.length > 0) return false;
  if (bits === undefined) return true;
  return /^(0|[1-9]\d{0,2})$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
}

export const portField = z.number().int().min(1).max(65_535);

/** A port as text, which Istio's schema wants, or as a number. */
export const portTextField = z
  .union([z.number(), z.string()], { error: "must be a port, 1 to 65535" })
  .transform((port, context) => {
    const parsed = typeof port === "number" || /^[1-9]\d{0,4}$/.test(port) ? Number(port) : 0;
    if (portField.safeParse(parsed).success) return parsed;
    context.addIssue({ code: "custom", message: "must be a port, 1 to 65535" });
    return z.NEVER;
  });

/** A list that says something: Istio takes an empty one for none at all, which is seldom what was meant. */
export function listOf<T extends z.ZodType>(item: T, max = MAX_VALUES) {
  return z.array(item).min(1, "must not be empty: leave the field out").max(max);
}

/** A header field name, RFC 9110 section 5.1. */
export const headerNameField = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/, "must be a header name")
  .transform((name) => name.toLowerCase());

/** A method, RFC 9110 section 9.1. */
export const methodName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,32}$/, "must be an HTTP method");

/** A duration such as `5s`, `1m30s` or `500ms`, in ms; between a millisecond and an hour. */
export const durationField = durationIn(1, 3_600_000);

/** A duration such as `5s`, in ms; `0s` where `leastMs` is 0. */
export function durationIn(leastMs: number, mostMs = LONGEST_TIMER_MS) {
  const range = `${leastMs > 1 ? `at least ${leastMs}ms and ` : ""}at most ${Math.floor(mostMs / 3_600_000)}h`;
  return z
    .string()
    .max(64)
    .transform((text, context) => {
      const sum = text === "" ? null : sumOfParts(text, /(\d+(?:\.\d+)?)(ms|s|m|h)/g);
      const ms = sum === null ? null : Math.round(sum);
      if (ms !== null && ms >= leastMs && ms <= mostMs) return ms;
      context.addIssue({ code: "custom", message: `must be a duration such as 5s, ${range}` });
      return z.NEVER;
    });
}

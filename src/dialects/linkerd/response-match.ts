import * as z from "zod";
import { honoured } from "../support.ts";
import { HAS_FIELD } from "./has-field.ts";

const MAX_PARTS = 32;
const MAX_DEPTH = 6;
const FIRST_STATUS = 100;
const LAST_STATUS = 599;

/** A condition on responses, as ServiceProfiles have it. */
export interface ResponseMatch {
  readonly all?: readonly ResponseMatch[] | undefined;
  readonly any?: readonly ResponseMatch[] | undefined;
  readonly not?: ResponseMatch | undefined;
  readonly status?:
    | { readonly min?: number | undefined; readonly max?: number | undefined }
    | undefined;
}

const status = z.number().int().min(FIRST_STATUS).max(LAST_STATUS);
const statusField = z
  .strictObject({ min: status.optional(), max: status.optional() })
  .refine(({ min, max }) => min !== undefined || max !== undefined, "give min or max")
  .refine(({ min, max }) => (min ?? FIRST_STATUS) <= (max ?? LAST_STATUS), {
    message: "min is above max",
  });

/** Not without end: a text may nest deeper than a stack. */
function nestedField(depth: number): z.ZodType<ResponseMatch> {
  if (depth > MAX_DEPTH) return z.never({ error: `conditions may be ${MAX_DEPTH} deep` });
  const inner = nestedField(depth + 1);
  const parts = z.array(inner).min(1, "must not be empty").max(MAX_PARTS).optional();
  return z
    .strictObject({ all: parts, any: parts, not: inner.optional(), status: statusField.optional() })
    .refine(HAS_FIELD.holds, HAS_FIELD.message);
}

const nested = nestedField(2);
const list = z.array(nested).min(1, "must not be empty").max(MAX_PARTS);

export const responseMatchField = z
  .strictObject({
    all: honoured(list).optional(),
    any: honoured(list).optional(),
    not: honoured(nested).optional(),
    status: honoured(statusField, "100 to 599; `min` or `max` may be left out").optional(),
  })
  .refine(HAS_FIELD.holds, HAS_FIELD.message);

/** Which responses a class is of, and whether they are failures. */
export interface ResponseClass {
  readonly condition: ResponseMatch;
  readonly isFailure?: boolean | undefined;
}

/**
 * The statuses that are failures, as ranges: of the classes the first that matches decides, and where none does a 5xx is
 * one (Linkerd).
 */
export function failureStatuses(classes: readonly ResponseClass[]): [from: number, to: number][] {
  const ranges: [number, number][] = [];
  for (let code = FIRST_STATUS; code <= LAST_STATUS; code++) {
    const found = classes.find(({ condition }) => matches(condition, code));
    const isFailure = found === undefined ? code >= 500 : found.isFailure === true;
    const last = ranges.at(-1);
    if (isFailure && last?.[1] === code - 1) last[1] = code;
    else if (isFailure) ranges.push([code, code]);
  }
  return ranges;
}

/** Several fields of one condition must hold together. */
function matches({ all, any, not, status: range }: ResponseMatch, code: number): boolean {
  if (all !== undefined && !all.every((part) => matches(part, code))) return false;
  if (any !== undefined && !any.some((part) => matches(part, code))) return false;
  if (not !== undefined && matches(not, code)) return false;
  if (range === undefined) return true;
  return code >= (range.min ?? FIRST_STATUS) && code <= (range.max ?? LAST_STATUS);
}

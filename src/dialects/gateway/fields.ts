import * as z from "zod";
import { LONGEST_TIMER_MS, sumOfParts } from "../../core/durations.ts";
import { regexField } from "../regex-field.ts";
import { textField } from "../value-fields.ts";

/** A duration of Gateway API (GEP-2257), in ms. */
export const durationField = z
  .string()
  .regex(/^([0-9]{1,5}(h|m|s|ms)){1,4}$/, "must be a duration such as 10s, 1m30s or 500ms")
  .transform((text) => sumOfParts(text, /(\d+)(ms|h|m|s)/g) ?? Number.NaN)
  .refine((ms) => ms <= LONGEST_TIMER_MS, { message: "must be at most 596h" });

/** Name of an object of Kubernetes. */
export const objectName = z
  .string()
  .regex(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/, "must be the name of an object");

/** A host name without wildcard; no address. */
export const hostField = z
  .string()
  .max(253)
  .regex(
    /^(?![0-9.]+$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    "must be a host name in lower case",
  );

const absolutePath = z
  .string()
  .max(1_024)
  .regex(/^\//, "must begin with /")
  .regex(/^(?!.*(\/\/|\/\.\.?(\/|$)|%2[fF]|#))/, "must not contain //, /./, /../, %2f or #")
  .regex(
    /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$/,
    "must be a path: other characters as %XX, and no query",
  );

/** What becomes a path, or the begin of one. */
export const newPathField = z
  .string()
  .max(1_024)
  .regex(
    /^(\/(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})*)?$/,
    "must begin with / and be a path: other characters as %XX, and no query",
  );

/** Checks a value by what its `type` says of it. */
export function checkPath(
  { type, value }: { readonly type: string; readonly value: string },
  refuse: (reason: string) => void,
): void {
  const schema = type === "RegularExpression" ? regexField : absolutePath;
  const [issue] = schema.safeParse(value).error?.issues ?? [];
  if (issue !== undefined) refuse(issue.message);
}

/** A header's value: nothing that could end its line. */
export const valueField = z
  .string()
  .min(1, "must not be empty")
  .max(4_096)
  .regex(/^[\t -~\u0080-\u00ff]*$/, "must not contain control characters");

/** A header's name as it is sent, RFC 9110 section 5.1. */
export const sentName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$/, "must be a header name");

/** Name of a rule. */
export const sectionName = textField.max(253);

export const METHODS = [
  ...["GET", "HEAD", "POST", "PUT", "DELETE"],
  ...["CONNECT", "OPTIONS", "TRACE", "PATCH"],
] as const;

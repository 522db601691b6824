import * as z from "zod";
import type { FieldMatch, TextMatch } from "../../core/traffic.ts";
import { regexField } from "../regex-field.ts";
import { honoured } from "../support.ts";

const MAX_FIELDS = 64;
const text = z.string().max(2_048);
const one = (match: object) => Object.keys(match).length <= 1;
const ONE = { message: "give one of exact, prefix and regex" };

const shape = {
  exact: honoured(text).optional(),
  prefix: honoured(text).optional(),
};
const regexNote = "RE2 syntax, for the whole value";

/** Istio's StringMatch: exactly one way to match. */
export const stringMatchField = z
  .strictObject({ ...shape, regex: honoured(regexField, regexNote).optional() })
  .refine((match) => Object.keys(match).length === 1, ONE);

/** The same for something that may be absent: `{}` and the regex `*` ask for presence. */
const fieldMatchField = z
  .strictObject({
    ...shape,
    regex: honoured(
      z.union([z.literal("*"), regexField]),
      `${regexNote}; \`*\`: present`,
    ).optional(),
  })
  .refine(one, ONE);

const headerName = z.string().superRefine((name, context) => {
  const refuse = (message: string) => context.addIssue({ code: "custom", message });
  if (name.startsWith("@")) {
    refuse("claims of a token do not choose routes: use an AuthorizationPolicy, or a header");
  } else if (!/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/.test(name)) {
    refuse("must be a header name");
  }
});

const few = <T extends z.ZodRecord>(map: T) =>
  map.refine((fields) => Object.keys(fields).length <= MAX_FIELDS, {
    message: `at most ${MAX_FIELDS} fields are taken`,
  });

export const headersMatchField = few(z.record(headerName, fieldMatchField)).optional();
export const queryMatchField = few(
  z.record(z.string().min(1).max(256), fieldMatchField),
).optional();

export type StringMatch = z.infer<typeof stringMatchField>;
type FieldMatchInput = z.infer<typeof fieldMatchField>;

export function toTextMatch(match: FieldMatchInput, ignoreCase = false): TextMatch {
  const { exact, prefix, regex } = match;
  const folded = ignoreCase ? { ignoreCase: true as const } : {};
  if (exact !== undefined) return { kind: "exact", value: exact, ...folded };
  if (prefix !== undefined) return { kind: "prefix", value: prefix, ...folded };
  if (regex === undefined || regex === "*") return { kind: "present" };
  return { kind: "regex", value: regex };
}

/** Of headers or query parameters; `inverted`: none of them may match. */
export function toFieldMatches(
  fields: Readonly<Record<string, FieldMatchInput>>,
  inverted = false,
): FieldMatch[] {
  return Object.entries(fields).map(([name, match]) => ({
    name,
    match: toTextMatch(match),
    ...(inverted ? { invert: true as const } : {}),
  }));
}

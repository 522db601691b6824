import * as z from "zod";
import type { FieldMatch } from "../../core/traffic.ts";
import { regexField } from "../regex-field.ts";
import { differently, honoured } from "../support.ts";
import type { Work } from "../translator.ts";
import { sentName } from "./fields.ts";

const MAX_FIELDS = 16;
const RE2 = "`Exact` (default), `RegularExpression` (RE2 syntax, for the whole value)";

/** Conditions on headers or query parameters. */
export const fieldMatchesField = z
  .array(
    z
      .strictObject({
        type: differently(z.enum(["Exact", "RegularExpression"]), RE2).default("Exact"),
        name: honoured(sentName, "of several with the same name the first counts"),
        value: honoured(z.string().min(1, "must not be empty").max(4_096)),
      })
      .superRefine(({ type, value }, context) => {
        if (type === "Exact") return;
        const [issue] = regexField.safeParse(value).error?.issues ?? [];
        if (issue === undefined) return;
        context.addIssue({ code: "custom", path: ["value"], message: issue.message });
      }),
  )
  .max(MAX_FIELDS)
  .default([]);

/** Headers have their names in lower case, query parameters as they are given. */
export function fieldMatchesOf(
  work: Work<unknown>,
  fields: z.infer<typeof fieldMatchesField>,
  kind: "headers" | "query",
  at: readonly PropertyKey[],
): FieldMatch[] {
  const seen = new Set<string>();
  return fields.flatMap(({ type, name: given, value }, index): FieldMatch[] => {
    const name = kind === "headers" ? given.toLowerCase() : given;
    if (seen.has(name)) {
      work.warn([...at, index, "name"], `no effect: ${given} was named before, and that counts`);
      return [];
    }
    seen.add(name);
    return [{ name, match: { kind: type === "Exact" ? "exact" : "regex", value } }];
  });
}

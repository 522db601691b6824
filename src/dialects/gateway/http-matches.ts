import * as z from "zod";
import type { RouteMatch, TextMatch } from "../../core/traffic.ts";
import { differently, honoured } from "../support.ts";
import type { Work } from "../translator.ts";
import { fieldMatchesField, fieldMatchesOf } from "./field-matches.ts";
import { checkPath, METHODS } from "./fields.ts";

const MAX_MATCHES = 64;

const pathField = z
  .strictObject({
    type: differently(
      z.enum(["Exact", "PathPrefix", "RegularExpression"]),
      "`PathPrefix` (default), `Exact`, `RegularExpression` (RE2 syntax, for the whole path)",
    ).default("PathPrefix"),
    value: honoured(z.string().max(1_024), "of the normalised path without query").default("/"),
  })
  .superRefine((path, context) =>
    checkPath(path, (message) => context.addIssue({ code: "custom", path: ["value"], message })),
  );

export const httpMatchesField = z
  .array(
    z.strictObject({
      path: pathField.optional(),
      method: honoured(z.enum(METHODS)).optional(),
      headers: fieldMatchesField,
      queryParams: fieldMatchesField,
    }),
  )
  .max(MAX_MATCHES)
  .default([]);

type HttpMatch = z.infer<typeof httpMatchesField>[number];

const KINDS = { Exact: "exact", PathPrefix: "segments", RegularExpression: "regex" } as const;
const EVERYTHING: TextMatch = { kind: "segments", value: "/" };

/** Without any, a rule is for every request. */
export function httpMatchesOf(
  work: Work<unknown>,
  matches: readonly HttpMatch[],
  at: readonly PropertyKey[],
): readonly RouteMatch[] {
  if (matches.length === 0) return [{ path: EVERYTHING }];
  return matches.map(({ path, method, headers, queryParams }, index) => {
    const place = [...at, index];
    const wanted = fieldMatchesOf(work, headers, "headers", [...place, "headers"]);
    const query = fieldMatchesOf(work, queryParams, "query", [...place, "queryParams"]);
    return {
      path: path === undefined ? EVERYTHING : { kind: KINDS[path.type], value: path.value },
      ...(method === undefined ? {} : { method: { kind: "exact" as const, value: method } }),
      ...(wanted.length === 0 ? {} : { headers: wanted }),
      ...(query.length === 0 ? {} : { query }),
    };
  });
}

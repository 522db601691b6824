import * as z from "zod";
import type { CorsRule, TextMatch } from "../../core/traffic.ts";
import { differently, honoured } from "../support.ts";
import { durationIn, headerNameField, methodName, textField } from "../value-fields.ts";
import { type StringMatch, stringMatchField, toTextMatch } from "./string-match.ts";

const anyOr = <T extends z.ZodType>(item: T) => z.array(z.union([z.literal("*"), item])).max(64);

export const corsPolicyField = z.strictObject({
  allowOrigins: z.array(stringMatchField).max(64).optional(),
  allowOrigin: differently(
    z.array(textField).max(64),
    "deprecated: exact origins, or `*`; has no effect beside `allowOrigins`",
  ).optional(),
  allowMethods: honoured(anyOr(methodName)).default([]),
  allowHeaders: honoured(anyOr(headerNameField)).default([]),
  exposeHeaders: honoured(anyOr(headerNameField)).default([]),
  maxAge: honoured(durationIn(0), "in whole seconds").optional(),
  allowCredentials: honoured(z.boolean(), "default: false").default(false),
  unmatchedPreflights: honoured(
    z.enum(["UNSPECIFIED", "FORWARD", "IGNORE"]),
    "default: `FORWARD`",
  ).default("UNSPECIFIED"),
});

export function toCorsRule(cors: z.infer<typeof corsPolicyField>): CorsRule {
  const { allowOrigins, allowOrigin = [], maxAge } = cors;
  const origins = allowOrigins ?? allowOrigin.map((exact): StringMatch => ({ exact }));
  return {
    allowOrigins: origins.map(toOrigin),
    allowMethods: cors.allowMethods,
    allowHeaders: cors.allowHeaders,
    exposeHeaders: cors.exposeHeaders,
    maxAgeSeconds: maxAge === undefined ? -1 : Math.floor(maxAge / 1_000),
    allowCredentials: cors.allowCredentials,
    forwardUnmatched: cors.unmatchedPreflights !== "IGNORE",
  };
}

/** Envoy takes an origin also where the matcher takes `*`. */
function toOrigin(match: StringMatch): TextMatch {
  return match.exact === "*" ? { kind: "present" } : toTextMatch(match);
}

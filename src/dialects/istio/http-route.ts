import * as z from "zod";
import { namespaceName } from "../envelope.ts";
import { differently, honoured } from "../support.ts";
import { durationIn, textField } from "../value-fields.ts";
import { corsPolicyField } from "./cors-policy.ts";
import { destinationField } from "./destination.ts";
import { faultField, percentField } from "./fault.ts";
import { headersField } from "./header-operations.ts";
import { httpMatchField } from "./http-match.ts";
import { redirectField, rewriteField } from "./redirect.ts";
import { retriesField } from "./retries.ts";

const MAX_MATCHES = 128;
const MAX_DESTINATIONS = 64;
const MAX_WEIGHT = 1_000_000;
const MAX_BODY = 65_536;

export const weightField = honoured(
  z.number().int().min(0).max(MAX_WEIGHT),
  "relative; 0 and absent: nothing, unless it is the only one",
).optional();

const directResponseField = z.strictObject({
  status: honoured(z.number().int().min(200).max(599)),
  body: z
    .strictObject({
      string: honoured(z.string().max(MAX_BODY), "at most 64 KiB").optional(),
      bytes: differently(
        z.base64().max(MAX_BODY),
        "base64 of UTF-8 text; other bytes are refused",
      ).optional(),
    })
    .optional(),
});

const oldPercent = honoured(
  z.number().int().min(0).max(100),
  "deprecated; has no effect beside `mirrorPercentage`",
).optional();

/** One of `spec.http` of a VirtualService. */
export const httpRouteField = z.strictObject({
  name: honoured(textField, "for people").optional(),
  match: z.array(httpMatchField).max(MAX_MATCHES).optional(),
  route: z
    .array(
      z.strictObject({
        destination: destinationField,
        weight: weightField,
        headers: headersField.optional(),
      }),
    )
    .max(MAX_DESTINATIONS)
    .optional(),
  redirect: redirectField.optional(),
  directResponse: directResponseField.optional(),
  delegate: z
    .strictObject({
      name: honoured(textField, "a VirtualService without hosts"),
      namespace: honoured(namespaceName, "default: the resource's own").optional(),
    })
    .optional(),
  rewrite: rewriteField.optional(),
  timeout: honoured(durationIn(0), "absent, and `0s`: none").optional(),
  retries: retriesField.optional(),
  fault: faultField.optional(),
  mirror: destinationField.optional(),
  mirrorPercentage: percentField.optional(),
  mirrorPercent: oldPercent,
  mirror_percent: oldPercent,
  mirrors: z
    .array(z.strictObject({ destination: destinationField, percentage: percentField.optional() }))
    .max(16)
    .optional(),
  corsPolicy: corsPolicyField.optional(),
  headers: headersField.optional(),
});

export type HttpRoute = z.infer<typeof httpRouteField>;

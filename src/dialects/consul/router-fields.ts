import * as z from "zod";
import { regexField } from "../regex-field.ts";
import { differently, honoured } from "../support.ts";
import { goDuration, headersField, targetFields } from "./chain-fields.ts";
import { configEntryKind } from "./config-entry.ts";
import {
  comparedText,
  hasOnePath,
  headerConditions,
  methodsField,
  pathText,
  unset,
} from "./http-fields.ts";

const MAX_ROUTES = 256;

const headerField = z
  .strictObject({
    ...headerConditions,
    contains: honoured(comparedText).optional(),
    regex: honoured(z.union([unset, regexField]), "RE2 syntax, for the whole value").optional(),
    invert: honoured(
      z.boolean(),
      "the header must be there and not match (`present`: must not be there)",
    ).optional(),
    ignoreCase: honoured(z.boolean(), "not with `regex` and `present`").optional(),
  })
  .superRefine(({ present, exact, prefix, suffix, contains, regex, ignoreCase }, context) => {
    const given = [present, exact, prefix, suffix, contains, regex].filter(Boolean).length;
    const refuse = (message: string, at: PropertyKey[] = []) =>
      context.addIssue({ code: "custom", message, path: at });
    if (given !== 1) refuse("give one of present, exact, prefix, suffix, contains and regex");
    if (ignoreCase === true && (present === true || regex !== undefined)) {
      refuse("has no meaning here: in a regular expression write (?i)", ["ignoreCase"]);
    }
  });
export type RouteHeader = z.infer<typeof headerField>;

const queryField = z
  .strictObject({
    name: honoured(z.string().min(1).max(256)),
    present: honoured(z.boolean()).optional(),
    exact: honoured(comparedText).optional(),
    regex: honoured(z.union([unset, regexField]), "RE2 syntax, for the whole value").optional(),
  })
  .refine(({ present, exact, regex }) => [present, exact, regex].filter(Boolean).length === 1, {
    message: "give one of present, exact and regex",
  });
export type RouteQuery = z.infer<typeof queryField>;

const httpField = z
  .strictObject({
    pathExact: honoured(z.union([unset, pathText])).optional(),
    pathPrefix: honoured(
      z.union([unset, pathText]),
      "also within a segment, as in Envoy",
    ).optional(),
    pathRegex: honoured(z.union([unset, regexField]), "RE2 syntax, for the whole path").optional(),
    caseInsensitive: honoured(z.boolean(), "of `pathExact` and `pathPrefix`").optional(),
    header: z.array(headerField).max(32).optional(),
    queryParam: z.array(queryField).max(32).optional(),
    methods: methodsField.optional(),
  })
  .refine(hasOnePath.holds, hasOnePath.message);
export type RouteHttp = z.infer<typeof httpField>;

/** Consul's list (isValidRetryCondition), of which the last are gRPC's. */
export const CONSUL_RETRY_ON = [
  "5xx",
  "gateway-error",
  "reset",
  "reset-before-request",
  "connect-failure",
  "refused-stream",
  "retriable-4xx",
  "envoy-ratelimited",
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
] as const;

const destinationField = z.strictObject({
  ...targetFields,
  prefixRewrite: honoured(z.string().max(2_048)).optional(),
  requestTimeout: honoured(goDuration, "default: that of the service's resolver").optional(),
  idleTimeout: honoured(goDuration).optional(),
  numRetries: differently(
    z.number().int().min(0).max(100),
    "default: 1 where one of the fields below asks for retries; alone, it is for failures to connect, where Envoy would retry nothing",
  ).optional(),
  retryOnConnectFailure: honoured(z.boolean()).optional(),
  retryOn: differently(
    z.array(z.literal(CONSUL_RETRY_ON)).max(CONSUL_RETRY_ON.length),
    "a request that is not idempotent only where no application can have seen it, unless `methods` of the match name its method; or by gRPC's conditions; `envoy-ratelimited` has no effect, and a warning says so",
  ).optional(),
  retryOnStatusCodes: honoured(z.array(z.number().int().min(100).max(599)).max(64)).optional(),
  requestHeaders: headersField.optional(),
  responseHeaders: headersField.optional(),
});
export type RouteDestination = z.infer<typeof destinationField>;

const routeField = z
  .strictObject({
    match: z.strictObject({ http: httpField.optional() }).optional(),
    destination: destinationField.optional(),
  })
  .superRefine(({ match, destination }, context) => {
    if (!destination?.prefixRewrite || match?.http?.pathRegex === undefined) return;
    const path = ["destination", "prefixRewrite"];
    const message = "needs pathPrefix or pathExact: a regular expression matches no prefix";
    context.addIssue({ code: "custom", path, message });
  });
export type RouterRoute = z.infer<typeof routeField>;

/** Consul's service-router: where requests go by what is in them. */
export const serviceRouterKind = configEntryKind({
  kind: "service-router",
  resourceKind: "ServiceRouter",
  fields: { routes: z.array(routeField).max(MAX_ROUTES).default([]) },
});

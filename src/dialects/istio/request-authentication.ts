import * as z from "zod";
import type { JwtRule } from "../../core/policy.ts";
import { resourceSchema } from "../envelope.ts";
import { differently, honoured, refused } from "../support.ts";
import { defineTranslator, type Work } from "../translator.ts";
import { durationField, headerNameField, listOf, textField } from "../value-fields.ts";
import { scopeFields, scopesOf } from "./scope.ts";

/** Istio's default time limit of fetching a JWKS. */
const FETCH_MS = 5_000;
const MAX_RULES = 64;

/** Public keys only: a symmetric key would let whoever reads the policy sign tokens. */
const jwksField = z
  .string()
  .max(131_072)
  .superRefine((text, context) => {
    const reason = badJwks(text);
    if (reason !== null) context.addIssue({ code: "custom", message: reason });
  });

const keySet = z.object({
  keys: z
    .array(
      z
        .looseObject({ kty: z.enum(["RSA", "EC", "OKP"]) })
        .refine((key) => !("d" in key), { message: "a private key" }),
    )
    .min(1)
    .max(64),
});

function badJwks(text: string): string | null {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return "is no JSON";
  }
  const { error } = keySet.safeParse(document);
  if (error === undefined) return null;
  const [issue] = error.issues;
  return `is no set of public RSA, EC or OKP keys (JWKS): ${issue?.path.join(".")} ${issue?.message}`;
}

const urlField = z
  .string()
  .max(2_048)
  .refine(
    (text) => {
      const url = URL.parse(text);
      return url !== null && /^https?:$/.test(url.protocol) && url.username + url.password === "";
    },
    { message: "must be an http or https URL without credentials" },
  );

const ruleField = z
  .strictObject({
    issuer: differently(textField, "must be given: a rule for any issuer is refused"),
    audiences: honoured(listOf(textField, 64)).optional(),
    jwksUri: honoured(urlField, "fetched again in the background").optional(),
    jwks_uri: refused("it is spelt jwksUri"),
    jwks: differently(
      jwksField,
      "public RSA, EC and OKP keys; symmetric and private ones are refused",
    ).optional(),
    fromHeaders: z
      .array(
        z.strictObject({
          name: honoured(headerNameField),
          prefix: honoured(z.string().max(128)).default(""),
        }),
      )
      .max(16)
      .default([]),
    fromParams: honoured(z.array(textField).max(16)).default([]),
    fromCookies: honoured(z.array(textField).max(16)).default([]),
    outputPayloadToHeader: honoured(headerNameField).optional(),
    outputClaimToHeaders: z
      .array(z.strictObject({ header: honoured(headerNameField), claim: honoured(textField) }))
      .max(32)
      .default([]),
    forwardOriginalToken: honoured(z.boolean()).default(false),
    timeout: honoured(durationField, "at most 1h; default 5s").default(FETCH_MS),
    spaceDelimitedClaims: refused(
      "not supported: which claims are split at spaces cannot be chosen",
    ),
  })
  .superRefine(({ jwks, jwksUri }, context) => {
    if (jwks === undefined && jwksUri === undefined) {
      const message = "jwksUri or jwks must be given: keys are not discovered through the issuer";
      context.addIssue({ code: "custom", path: ["jwksUri"], message });
    }
  });

const specField = z.strictObject({
  ...scopeFields,
  jwtRules: z.array(ruleField).max(MAX_RULES).default([]),
});

const schema = resourceSchema(specField.optional());

/** Istio's RequestAuthentication. */
export const requestAuthentication = defineTranslator<z.infer<typeof schema>>({
  dialect: "Istio",
  group: "security.istio.io",
  kind: "RequestAuthentication",
  notes: [
    "A request without a token passes, one with an invalid token gets 401; to require a token takes an AuthorizationPolicy.",
    "Without `fromHeaders`, `fromParams` and `fromCookies` a token is looked for in `Authorization: Bearer` and in the parameter `access_token`.",
  ],
  forms: [{ versions: ["v1", "v1beta1"], schema }],
  policies(work) {
    const { spec } = work.resource;
    const rules = (spec?.jwtRules ?? []).map((rule, index) => toRule(rule, index, work));
    if (rules.length === 0) work.warn(["spec", "jwtRules"], "without rules it has no effect");
    return scopesOf(work, spec).map((scope) => ({
      kind: "request-authentication",
      source: work.source,
      createdMs: work.context.createdMs,
      scope,
      rules,
    }));
  },
});

function toRule(rule: z.infer<typeof ruleField>, index: number, work: Work<unknown>): JwtRule {
  const { fromHeaders, fromParams, fromCookies, jwks, jwksUri } = rule;
  if (jwks !== undefined && jwksUri !== undefined) {
    work.warn(["spec", "jwtRules", index, "jwksUri"], "no effect beside jwks");
  }
  const named = fromHeaders.length + fromParams.length + fromCookies.length > 0;
  return {
    issuer: rule.issuer,
    audiences: rule.audiences ?? [],
    jwks: jwks ?? null,
    jwksUri: jwks === undefined ? (jwksUri ?? "") : "",
    timeoutMs: rule.timeout,
    places: {
      headers: named ? fromHeaders : [{ name: "authorization", prefix: "Bearer " }],
      params: named ? fromParams : ["access_token"],
      cookies: fromCookies,
    },
    forwardOriginalToken: rule.forwardOriginalToken,
    outputPayloadToHeader: rule.outputPayloadToHeader ?? "",
    outputClaimToHeaders: rule.outputClaimToHeaders,
  };
}

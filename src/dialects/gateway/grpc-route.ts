import * as z from "zod";
import type { Backend, RouteMatch, RouteRule, TextMatch } from "../../core/traffic.ts";
import { resourceSchema } from "../envelope.ts";
import { quoteRegex, regexField } from "../regex-field.ts";
import { differently, honoured, ineffective, refused } from "../support.ts";
import { defineTranslator, type Work } from "../translator.ts";
import { annotatedBy, withAnnotated } from "./annotated.ts";
import { forwardTo, MAX_BACKENDS, referenceFields, targetOf, weightField } from "./backends.ts";
import { fieldMatchesField, fieldMatchesOf } from "./field-matches.ts";
import { sectionName } from "./fields.ts";
import { filteredBy, filtersField } from "./filters.ts";
import { parentsField, tablesOf } from "./parents.ts";

const MAX_RULES = 16;
const MAX_MATCHES = 64;
const MAX_ALL_MATCHES = 128;
/** gRPC takes it for UNAVAILABLE, which the specification wants of what leads nowhere. */
const MISSING_STATUS = 503;

/** Names that gRPC's paths are made of. */
const SERVICE = /^\.?[A-Za-z_][A-Za-z_0-9]*(\.[A-Za-z_][A-Za-z_0-9]*)*$/;
const METHOD = /^[A-Za-z_][A-Za-z_0-9]*$/;

const methodField = z
  .strictObject({
    type: differently(
      z.enum(["Exact", "RegularExpression"]),
      "`Exact` (default), `RegularExpression` (RE2 syntax, for the whole name)",
    ).default("Exact"),
    service: honoured(z.string().max(1_024), "default: any").default(""),
    method: honoured(z.string().max(1_024), "default: any").default(""),
  })
  .superRefine(({ type, service, method }, context) => {
    if (service === "" && method === "") {
      context.addIssue({ code: "custom", path: [], message: "give service, method or both" });
    }
    for (const [name, value, pattern] of [
      ["service", service, SERVICE],
      ["method", method, METHOD],
    ] as const) {
      if (value === "") continue;
      const [issue] = type === "Exact" ? [] : (regexField.safeParse(value).error?.issues ?? []);
      const isBad = type === "Exact" && !pattern.test(value);
      const message = isBad ? `must be the name of a gRPC ${name}` : issue?.message;
      if (message !== undefined) context.addIssue({ code: "custom", path: [name], message });
    }
  });

const matchField = z.strictObject({
  method: methodField.optional(),
  headers: fieldMatchesField,
});

const backendField = z.strictObject({
  ...referenceFields,
  weight: weightField,
  filters: filtersField(
    ["RequestHeaderModifier", "ResponseHeaderModifier"],
    "it stands in the filters of the rule",
  ),
});

const ruleField = z.strictObject({
  name: honoured(sectionName).optional(),
  matches: z.array(matchField).max(MAX_MATCHES).default([]),
  filters: filtersField(
    ["RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror"],
    "a GRPCRoute knows no such filter",
  ),
  backendRefs: z.array(backendField).max(MAX_BACKENDS).default([]),
  sessionPersistence: refused(
    "a rule keeps no sessions: sessionPersistence of an XBackendTrafficPolicy does for a Service",
  ),
});
type Rule = z.infer<typeof ruleField>;

const schema = resourceSchema(
  z.strictObject({
    parentRefs: parentsField,
    hostnames: ineffective(
      z.array(z.string().max(253)).max(16),
      "in a mesh the called Service decides (GEP-1294)",
    ),
    useDefaultGateways: ineffective(z.string(), "there are no gateways"),
    rules: z
      .array(ruleField)
      .max(MAX_RULES)
      .refine(
        (rules) => rules.reduce((sum, each) => sum + each.matches.length, 0) <= MAX_ALL_MATCHES,
        {
          message: `at most ${MAX_ALL_MATCHES} matches in all rules together`,
        },
      )
      .default([]),
  }),
);
type Resource = z.infer<typeof schema>;

/** Gateway API's GRPCRoute, bound to Services (GAMMA). */
export const grpcRoute = defineTranslator<Resource>({
  dialect: "Gateway API",
  group: "gateway.networking.k8s.io",
  kind: "GRPCRoute",
  notes: [
    "Bound to Services as an HTTPRoute is; where both are, the GRPCRoute counts and the HTTPRoute does not.",
    "A gRPC method is a POST to `/SERVICE/METHOD`, and is matched so whatever the version of HTTP: calls of gRPC itself (HTTP/2), gRPC-Web, and gateways that translate.",
    "A rule without backendRefs leads to the Service that the route is bound to, as Linkerd has it.",
    "What no rule matches gets UNIMPLEMENTED; the share of a backend that leads nowhere, and that of one without healthy endpoints, UNAVAILABLE. Requests that are no calls of gRPC over HTTP/2 get 404 and 503.",
    "Linkerd's annotations for retries and timeouts hold for every rule; hostmesh's own for rate limits too.",
    "Precedence: a service and method before a service, the longer before the shorter, then by number of headers, age, name, place; expressions come last.",
  ],
  forms: [{ versions: ["v1", "v1alpha2"], schema }],
  records(work) {
    const { parentRefs, rules } = work.resource.spec;
    const annotated = annotatedBy(work);
    return tablesOf(
      work,
      parentRefs,
      "grpcroute",
      rules.map((rule, index) =>
        withAnnotated(toRule(work, rule, ["spec", "rules", index]), annotated),
      ),
    );
  },
});

function toRule(work: Work<Resource>, rule: Rule, at: readonly PropertyKey[]): RouteRule {
  const backends = rule.backendRefs.map(({ filters, weight, ...reference }, index): Backend => {
    const place = [...at, "backendRefs", index];
    const { requestHeaders, responseHeaders } = filteredBy(work, filters, [...place, "filters"]);
    return {
      ...targetOf(work, reference, place),
      weight,
      ...(requestHeaders === undefined ? {} : { requestHeaders }),
      ...(responseHeaders === undefined ? {} : { responseHeaders }),
      missingStatus: MISSING_STATUS,
    };
  });
  return {
    name: rule.name ?? "",
    matches: matchesOf(work, rule.matches, [...at, "matches"]),
    action: forwardTo(work, backends, MISSING_STATUS, at),
    ...filteredBy(work, rule.filters, [...at, "filters"]),
  };
}

const POST: TextMatch = { kind: "exact", value: "POST" };

function matchesOf(
  work: Work<Resource>,
  matches: Rule["matches"],
  at: readonly PropertyKey[],
): readonly RouteMatch[] {
  const all = matches.length > 0 ? matches : [{ headers: [] }];
  return all.map(({ method, headers }: Rule["matches"][number], index) => {
    const wanted = fieldMatchesOf(work, headers, "headers", [...at, index, "headers"]);
    const path = method === undefined ? { kind: "segments" as const, value: "/" } : pathOf(method);
    return { path, method: POST, ...(wanted.length === 0 ? {} : { headers: wanted }) };
  });
}

/** The path of a method is `/SERVICE/METHOD`. */
function pathOf({ type, service, method }: z.infer<typeof methodField>): TextMatch {
  if (type === "Exact" && service !== "" && method !== "") {
    return { kind: "exact", value: `/${service}/${method}` };
  }
  if (type === "Exact" && method === "") return { kind: "segments", value: `/${service}` };
  const regex = (text: string) => {
    if (text === "") return "[^/]+";
    return type === "Exact" ? quoteRegex(text) : `(?:${text})`;
  };
  return { kind: "regex", value: `/${regex(service)}/${regex(method)}` };
}

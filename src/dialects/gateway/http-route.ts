import * as z from "zod";
import type { Backend, RouteAction, RouteRule } from "../../core/traffic.ts";
import { resourceSchema } from "../envelope.ts";
import { honoured, ineffective, refused } from "../support.ts";
import { defineTranslator, type Work } from "../translator.ts";
import { annotatedBy, withAnnotated } from "./annotated.ts";
import { forwardTo, MAX_BACKENDS, referenceFields, targetOf, weightField } from "./backends.ts";
import { sectionName } from "./fields.ts";
import { filteredBy, filtersField, prefixReplacement } from "./filters.ts";
import { httpMatchesField, httpMatchesOf } from "./http-matches.ts";
import { parentsField, tablesOf } from "./parents.ts";
import { retryField, retryOf, timeoutsField, timeoutsOf } from "./retry.ts";

const MAX_RULES = 16;
const MAX_ALL_MATCHES = 128;
/** Of what leads nowhere (HTTPRouteRule.backendRefs). */
const MISSING_STATUS = 500;

const backendField = z.strictObject({
  ...referenceFields,
  weight: weightField,
  filters: filtersField(
    ["RequestHeaderModifier", "ResponseHeaderModifier", "URLRewrite"],
    "it stands in the filters of the rule",
  ),
});

const ruleField = z.strictObject({
  name: honoured(sectionName).optional(),
  matches: httpMatchesField,
  filters: filtersField(
    [
      ...(["RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror"] as const),
      ...(["RequestRedirect", "URLRewrite", "CORS"] as const),
    ],
    "",
  ),
  backendRefs: z.array(backendField).max(MAX_BACKENDS).default([]),
  timeouts: timeoutsField.optional(),
  retry: retryField.optional(),
  sessionPersistence: refused(
    "a rule keeps no sessions: sessionPersistence of an XBackendTrafficPolicy does for a Service",
  ),
});

const rulesField = z
  .array(ruleField)
  .min(1, "must not be empty: leave the field out")
  .max(MAX_RULES)
  .superRefine((rules, context) => {
    const names = new Set<string>();
    let matches = 0;
    for (const [index, rule] of rules.entries()) {
      matches += Math.max(1, rule.matches.length);
      const refuse = (path: readonly PropertyKey[], message: string) =>
        context.addIssue({ code: "custom", path: [index, ...path], message });
      if (rule.name !== undefined) {
        if (names.has(rule.name)) refuse(["name"], "names must be unique");
        names.add(rule.name);
      }
      checkRule(rule, refuse);
    }
    if (matches <= MAX_ALL_MATCHES) return;
    const message = `at most ${MAX_ALL_MATCHES} matches in all rules together`;
    context.addIssue({ code: "custom", path: [], message });
  });
type Rule = z.infer<typeof ruleField>;

/** What the custom resource's own rules (CEL) refuse. */
function checkRule(
  { filters, backendRefs, matches }: Rule,
  refuse: (path: readonly PropertyKey[], reason: string) => void,
): void {
  if (backendRefs.length > 0 && filters.some(({ type }) => type === "RequestRedirect")) {
    refuse(["backendRefs"], "RequestRedirect and backendRefs exclude each other");
  }
  const [match] = matches;
  const isPrefix = matches.length === 1 && match?.path?.type === "PathPrefix";
  const places = [
    { at: ["filters"], path: prefixReplacement(filters) },
    ...backendRefs.map((each, index) => ({
      at: ["backendRefs", index, "filters"],
      path: prefixReplacement(each.filters),
    })),
  ];
  for (const { at, path } of places) {
    if (path === null || isPrefix) continue;
    refuse(
      [...at, ...path],
      "ReplacePrefixMatch needs exactly one match in the rule, a PathPrefix",
    );
  }
}

const schema = resourceSchema(
  z.strictObject({
    parentRefs: parentsField,
    hostnames: ineffective(
      z.array(z.string().max(253)).max(16),
      "in a mesh the called Service decides (GEP-1294); to match Host, give it in rules[].matches[].headers",
    ),
    useDefaultGateways: ineffective(z.string(), "there are no gateways"),
    rules: rulesField.optional(),
  }),
);
type Resource = z.infer<typeof schema>;

/** Gateway API's HTTPRoute, bound to Services (GAMMA). */
export const httpRoute = defineTranslator<Resource>({
  dialect: "Gateway API",
  group: "gateway.networking.k8s.io",
  kind: "HTTPRoute",
  notes: [
    "Bound to Services by `parentRefs` (GEP-1294): for calls of a Service's own addresses and names; calls of the address of a Pod are not routed. What no rule of the routes of a Service matches gets 404.",
    "A route of the Service's own namespace is for all callers; one of another namespace for the callers of that namespace, who then see none of the former.",
    "The rules of all such routes count together, by Gateway API's precedence: exact path, longest prefix, method, number of headers, number of query parameters, age, name, place. Regular expressions come after prefixes of paths.",
    "A rule without backendRefs (and without a redirect) leads to the Service that the route is bound to, as Linkerd has it; Gateway API leaves it to answer 500.",
    "Linkerd's annotations for retries and timeouts hold for every rule, and win over its own fields, as Linkerd has it; hostmesh's own for rate limits hold for every rule too.",
    "The share of a backend that leads nowhere, or whose port is declared to speak TLS, gets 500; that of one without healthy endpoints 503.",
  ],
  forms: [{ versions: ["v1", "v1beta1", "v1alpha2"], schema }],
  records(work) {
    const { parentRefs, rules = [] } = work.resource.spec;
    const all: readonly Rule[] =
      rules.length > 0 ? rules : [{ matches: [], filters: [], backendRefs: [] }];
    const annotated = annotatedBy(work);
    return tablesOf(
      work,
      parentRefs,
      "httproute",
      all.map((rule, index) =>
        withAnnotated(toRule(work, rule, ["spec", "rules", index]), annotated),
      ),
    );
  },
});

function toRule(work: Work<Resource>, rule: Rule, at: readonly PropertyKey[]): RouteRule {
  const matches = httpMatchesOf(work, rule.matches, [...at, "matches"]);
  const { redirect, ...filtered } = filteredBy(work, rule.filters, [...at, "filters"]);
  const timeouts = timeoutsOf(rule.timeouts);
  const retry = retryOf(rule.retry, rule.timeouts, matches);
  const action: RouteAction =
    redirect === undefined
      ? forwardTo(work, backendsOf(work, rule, at), MISSING_STATUS, at)
      : { kind: "redirect", redirect };
  return {
    ...{ name: rule.name ?? "", matches, action },
    ...filtered,
    ...(timeouts === undefined ? {} : { timeouts }),
    ...(retry === undefined ? {} : { retry }),
  };
}

function backendsOf(
  work: Work<Resource>,
  { backendRefs }: Rule,
  at: readonly PropertyKey[],
): readonly Backend[] {
  return backendRefs.map(({ filters, weight, ...reference }, index) => {
    const place = [...at, "backendRefs", index];
    const { requestHeaders, responseHeaders, rewrite } = filteredBy(work, filters, [
      ...place,
      "filters",
    ]);
    return {
      ...targetOf(work, reference, place),
      weight,
      ...(requestHeaders === undefined ? {} : { requestHeaders }),
      ...(responseHeaders === undefined ? {} : { responseHeaders }),
      ...(rewrite === undefined ? {} : { rewrite }),
      missingStatus: MISSING_STATUS,
    };
  });
}

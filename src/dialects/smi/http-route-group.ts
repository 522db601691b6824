import * as z from "zod";
import type { OperationMatch } from "../../core/policy.ts";
import type { RouteMatch, TextMatch } from "../../core/traffic.ts";
import { envelopeFields, resourceSchema } from "../envelope.ts";
import { regexField } from "../regex-field.ts";
import { differently, honoured } from "../support.ts";
import { defineTranslator, type TranslationContext } from "../translator.ts";
import { headerNameField, methodName, textField } from "../value-fields.ts";

const MAX_MATCHES = 128;
const headerMap = z.record(headerNameField, regexField);

const matchField = z.strictObject({
  name: honoured(textField),
  pathRegex: differently(
    regexField,
    "RE2 syntax, anchored at the beginning; of the normalised path without query",
  ).optional(),
  methods: honoured(z.array(z.union([z.literal("*"), methodName])).max(32), "`*`: any").optional(),
  headers: differently(
    z.union([headerMap, z.array(headerMap).max(32)]),
    "a map, as the specification has it, or a list of maps, as the CRD has it; RE2 syntax for the whole value",
  ).optional(),
});

const matchesField = z
  .array(matchField)
  .max(MAX_MATCHES)
  .refine((matches) => new Set(matches.map(({ name }) => name)).size === matches.length, {
    message: "names must be unique",
  });

/** v1alpha1 and v1alpha2 have no `spec`. */
const early = z.strictObject({ ...envelopeFields, matches: matchesField });
const late = resourceSchema(z.strictObject({ matches: matchesField }));
type Resource = z.infer<typeof early> | z.infer<typeof late>;

/** Topic of a group: who translates a TrafficTarget that names it depends on it. */
const groupTopic = (namespace: string, name: string) => `HTTPRouteGroup ${namespace}/${name}`;

/** SMI's HTTPRouteGroup: nothing by itself, but part of the TrafficTargets and TrafficSplits that name it. */
export const httpRouteGroup = defineTranslator<Resource>({
  dialect: "SMI",
  group: "specs.smi-spec.io",
  kind: "HTTPRouteGroup",
  notes: [
    "Has no effect by itself: TrafficTargets and TrafficSplits name it, and follow its changes.",
  ],
  forms: [
    { versions: ["v1alpha1", "v1alpha2"], schema: early },
    { versions: ["v1alpha3", "v1alpha4"], schema: late },
  ],
  provides: ({ metadata }) => [groupTopic(metadata.namespace, metadata.name)],
});

type Match = z.infer<typeof matchField>;

/** The matches of a group by name; null where there is no such group. */
export function matchesOfGroup(
  context: TranslationContext,
  namespace: string,
  name: string,
): ReadonlyMap<string, OperationMatch> | null {
  const matches = groupOf(context, namespace, name);
  return matches === null ? null : new Map(matches.map((each) => [each.name, toOperation(each)]));
}

/** The requests that a group describes, one match or more for each of its own; null where there is no such group. */
export function routeMatchesOfGroup(
  context: TranslationContext,
  namespace: string,
  name: string,
): readonly RouteMatch[] | null {
  return groupOf(context, namespace, name)?.flatMap(toRouteMatches) ?? null;
}

function groupOf(
  context: TranslationContext,
  namespace: string,
  name: string,
): readonly Match[] | null {
  const [found] = context.about(groupTopic(namespace, name));
  if (found === undefined) return null;
  return z.union([late.transform(({ spec }) => spec), early]).parse(found.content).matches;
}

/** The model's expressions are for the whole path, SMI's for its begin. */
const wholePath = (regex: string) => `(?:${regex})(?s:.*)`;

/** None in the list is any, as `*` is. */
function methodsOf({ methods = [] }: Match): readonly string[] {
  return methods.includes("*") ? [] : methods;
}

function headersOf({ headers = {} }: Match): Readonly<Record<string, string>> {
  return Object.assign({}, ...(Array.isArray(headers) ? headers : [headers]));
}

function toOperation(match: Match): OperationMatch {
  const { pathRegex } = match;
  const methods = methodsOf(match);
  const headerRegexes = headersOf(match);
  return {
    ...(methods.length === 0 ? {} : { methods }),
    ...(pathRegex === undefined ? {} : { pathRegexes: [wholePath(pathRegex)] }),
    ...(Object.keys(headerRegexes).length === 0 ? {} : { headerRegexes }),
  };
}

function toRouteMatches(match: Match): readonly RouteMatch[] {
  const { pathRegex } = match;
  const headers = Object.entries(headersOf(match)).map(([name, value]) => ({
    name,
    match: { kind: "regex" as const, value },
  }));
  const rest: RouteMatch = {
    ...(pathRegex === undefined ? {} : { path: { kind: "regex", value: wholePath(pathRegex) } }),
    ...(headers.length === 0 ? {} : { headers }),
  };
  const methods = methodsOf(match);
  if (methods.length === 0) return [rest];
  return methods.map((value): RouteMatch => {
    const method: TextMatch = { kind: "exact", value };
    return { ...rest, method };
  });
}

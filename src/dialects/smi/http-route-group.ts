import * as z from "zod";
import type { OperationMatch } from "../../core/policy.ts";
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

/** SMI's HTTPRouteGroup: no policy by itself, but part of the TrafficTargets that name it. */
export const httpRouteGroup = defineTranslator<Resource>({
  dialect: "SMI",
  group: "specs.smi-spec.io",
  kind: "HTTPRouteGroup",
  notes: ["Has no effect by itself: TrafficTargets name it, and follow its changes."],
  forms: [
    { versions: ["v1alpha1", "v1alpha2"], schema: early },
    { versions: ["v1alpha3", "v1alpha4"], schema: late },
  ],
  provides: ({ metadata }) => [groupTopic(metadata.namespace, metadata.name)],
});

/** The matches of a group by name; null where there is no such group. */
export function matchesOfGroup(
  context: TranslationContext,
  namespace: string,
  name: string,
): ReadonlyMap<string, OperationMatch> | null {
  const [found] = context.about(groupTopic(namespace, name));
  if (found === undefined) return null;
  const { matches } = z.union([late.transform(({ spec }) => spec), early]).parse(found.content);
  return new Map(matches.map((match) => [match.name, toOperation(match)]));
}

function toOperation({ pathRegex, methods = ["*"], headers = {} }: z.infer<typeof matchField>) {
  const maps = Array.isArray(headers) ? headers : [headers];
  const regexes = Object.assign({}, ...maps) as Record<string, string>;
  const operation: OperationMatch = {
    ...(methods.includes("*") || methods.length === 0 ? {} : { methods }),
    // The model's expressions are for the whole path.
    ...(pathRegex === undefined ? {} : { pathRegexes: [`(?:${pathRegex})(?s:.*)`] }),
    ...(Object.keys(regexes).length === 0 ? {} : { headerRegexes: regexes }),
  };
  return operation;
}

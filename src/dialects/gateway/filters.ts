import * as z from "zod";
import type { CorsRule, HeaderEdits, MirrorRule, Redirect, Rewrite } from "../../core/traffic.ts";
import { differently, refused } from "../support.ts";
import type { Work } from "../translator.ts";
import { mirrorField, mirrorOf } from "./backends.ts";
import { corsField, corsOf } from "./cors.ts";
import { headerEditsOf, headerModifierField } from "./header-modifier.ts";
import {
  redirectField,
  redirectOf,
  replacesPrefix,
  rewriteOf,
  urlRewriteField,
} from "./path-modifier.ts";

const MAX_FILTERS = 16;
/** The one reason for which Gateway API has a word of its own. */
export const INCOMPATIBLE_FILTERS = "RequestRedirect and URLRewrite exclude each other";
const NO_EXTENSION = "there are no filters of other groups";
const NO_AUTHORIZER =
  "hostmesh asks no external authorizer: use an AuthorizationPolicy or RequestAuthentication";

/** The field of each type. */
const FIELDS = {
  RequestHeaderModifier: "requestHeaderModifier",
  ResponseHeaderModifier: "responseHeaderModifier",
  RequestMirror: "requestMirror",
  RequestRedirect: "requestRedirect",
  URLRewrite: "urlRewrite",
  CORS: "cors",
} as const;
type FilterType = keyof typeof FIELDS;

const fields = {
  requestHeaderModifier: headerModifierField.optional(),
  responseHeaderModifier: headerModifierField.optional(),
  requestMirror: mirrorField.optional(),
  requestRedirect: redirectField.optional(),
  urlRewrite: urlRewriteField.optional(),
  cors: corsField.optional(),
};

/** Filters of a route may be these; a filter that is not understood must not be skipped, so it is refused. */
export function filtersField<T extends FilterType>(types: readonly T[], elsewhere: string) {
  const known = new Set<string>(types);
  const notHere = Object.entries(FIELDS)
    .filter(([type]) => !known.has(type))
    .map(([type, field]) => [field, refused(`${type} is refused: ${elsewhere}`)]);
  const reason = (input: unknown): string => {
    if (input === "ExternalAuth") return NO_AUTHORIZER;
    if (input === "ExtensionRef") return NO_EXTENSION;
    const isFilter = typeof input === "string" && Object.hasOwn(FIELDS, input);
    return isFilter ? `${input} is refused: ${elsewhere}` : `must be one of ${types.join(", ")}`;
  };
  const filter = z.strictObject({
    type: differently(
      z.enum(types, { error: ({ input }) => reason(input) }),
      `${types.map((type) => `\`${type}\``).join(", ")}; others are refused`,
    ),
    ...fields,
    ...(Object.fromEntries(notHere) as Partial<Record<string, never>>),
    externalAuth: refused(NO_AUTHORIZER),
    extensionRef: refused(NO_EXTENSION),
  });
  return z
    .array(
      filter.superRefine((given, context) => {
        for (const [type, field] of Object.entries(FIELDS)) {
          const isGiven = given[field] !== undefined;
          if (isGiven === (given.type === type)) continue;
          const message = isGiven
            ? `is for the type ${type}`
            : `missing: the type ${type} needs it`;
          context.addIssue({ code: "custom", path: [field], message });
        }
      }),
    )
    .max(MAX_FILTERS)
    .superRefine((filters, context) => {
      const seen = new Set<string>();
      for (const [index, { type }] of filters.entries()) {
        const path = [index, "type"];
        const repeats = seen.has(type) && type !== "RequestMirror";
        if (repeats)
          context.addIssue({ code: "custom", path, message: `${type} cannot be repeated` });
        seen.add(type);
        if (!known.has("RequestRedirect") || !seen.has("RequestRedirect")) continue;
        const message = INCOMPATIBLE_FILTERS;
        if (seen.has("URLRewrite")) context.addIssue({ code: "custom", path, message });
      }
    })
    .default([]);
}

type Filters = z.infer<ReturnType<typeof filtersField>>;

/** What the filters of a rule or a backend ask for. */
export interface Filtered {
  readonly requestHeaders?: HeaderEdits;
  readonly responseHeaders?: HeaderEdits;
  readonly rewrite?: Rewrite;
  readonly redirect?: Redirect;
  readonly cors?: CorsRule;
  readonly mirrors?: readonly MirrorRule[];
}

export function filteredBy(
  work: Work<unknown>,
  filters: Filters,
  at: readonly PropertyKey[],
): Filtered {
  const mirrors = filters.flatMap(({ requestMirror }, index) => {
    if (requestMirror === undefined) return [];
    return mirrorOf(work, requestMirror, [...at, index, "requestMirror"]) ?? [];
  });
  // Of every other type there is one at most.
  const effects = filters.map((filter, index) => effectOf(work, filter, [...at, index]));
  return Object.assign({}, ...effects, mirrors.length === 0 ? {} : { mirrors });
}

function effectOf(
  work: Work<unknown>,
  filter: Filters[number],
  at: readonly PropertyKey[],
): Filtered {
  const { requestHeaderModifier: request, responseHeaderModifier: response, cors } = filter;
  const { urlRewrite, requestRedirect } = filter;
  if (request !== undefined) {
    return { requestHeaders: headerEditsOf(work, request, [...at, "requestHeaderModifier"]) };
  }
  if (response !== undefined) {
    return { responseHeaders: headerEditsOf(work, response, [...at, "responseHeaderModifier"]) };
  }
  if (cors !== undefined) return { cors: corsOf(work, cors, [...at, "cors"]) };
  if (urlRewrite !== undefined) return { rewrite: rewriteOf(urlRewrite) };
  return requestRedirect === undefined ? {} : { redirect: redirectOf(requestRedirect) };
}

/** The first path that replaces a prefix, which only some rules can do; null: none does. */
export function prefixReplacement(filters: Filters): readonly PropertyKey[] | null {
  for (const [index, { urlRewrite, requestRedirect }] of filters.entries()) {
    if (replacesPrefix(urlRewrite?.path)) return [index, "urlRewrite", "path"];
    if (replacesPrefix(requestRedirect?.path)) return [index, "requestRedirect", "path"];
  }
  return null;
}

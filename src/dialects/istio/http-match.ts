import * as z from "zod";
import type { RouteMatch, TextMatch } from "../../core/traffic.ts";
import { namespaceName } from "../envelope.ts";
import { differently, honoured, ineffective } from "../support.ts";
import type { Work } from "../translator.ts";
import { portField, textField } from "../value-fields.ts";
import { present } from "./present.ts";
import {
  headersMatchField,
  queryMatchField,
  type StringMatch,
  stringMatchField,
  toFieldMatches,
  toTextMatch,
} from "./string-match.ts";

const labelsField = z.record(z.string().min(1).max(317), z.string().max(63));

/** The fields that say which callers a match is for; the same for HTTP and TCP. */
export const callerFields = {
  port: honoured(portField, "of the called service").optional(),
  sourceLabels: honoured(labelsField, "of the calling workload, all of them").optional(),
  sourceNamespace: honoured(namespaceName).optional(),
  gateways: differently(
    z.array(textField).max(64),
    "only `mesh`: a match for other gateways is left out, with a warning",
  ).optional(),
};

export const httpMatchField = z.strictObject({
  name: ineffective(textField, "no metric carries it"),
  statPrefix: ineffective(textField, "no metric carries it"),
  uri: stringMatchField.optional(),
  ignoreUriCase: honoured(z.boolean(), "for `exact` and `prefix`, as in Istio").optional(),
  scheme: stringMatchField.optional(),
  method: stringMatchField.optional(),
  authority: stringMatchField.optional(),
  headers: headersMatchField,
  withoutHeaders: headersMatchField,
  queryParams: queryMatchField,
  ...callerFields,
});

export type HttpMatch = z.infer<typeof httpMatchField>;

/** Is this for calls inside the mesh? Warns where it is not, and of gateways besides. */
export function isForMesh(
  gateways: readonly string[] | undefined,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): boolean {
  if (gateways === undefined || gateways.length === 0) return true;
  for (const [index, gateway] of gateways.entries()) {
    if (gateway === "mesh") continue;
    work.warn([...path, index], `no effect for ${gateway}: there are no gateways, only mesh`);
  }
  return gateways.includes("mesh");
}

/** Null: matches were given, and none is for the mesh. */
export function toRouteMatches(
  matches: readonly HttpMatch[] | undefined,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): RouteMatch[] | null {
  if (matches === undefined || matches.length === 0) return [];
  const found = matches.flatMap((match, index) => {
    const place = [...path, "match", index];
    return isForMesh(match.gateways, work, [...place, "gateways"])
      ? [toRouteMatch(match, work, place)]
      : [];
  });
  return found.length === 0 ? null : found;
}

function toRouteMatch(
  match: HttpMatch,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): RouteMatch {
  const { uri, scheme, method, authority, headers, withoutHeaders, queryParams } = match;
  if (match.ignoreUriCase && uri?.regex !== undefined) {
    work.warn([...path, "ignoreUriCase"], "no effect on a regex: begin that with (?i)");
  }
  warnOfPath(uri, work, [...path, "uri"]);
  const fields = [...toFieldMatches(headers ?? {}), ...toFieldMatches(withoutHeaders ?? {}, true)];
  const query = toFieldMatches(queryParams ?? {});
  return present({
    path: uri && toTextMatch(uri, match.ignoreUriCase),
    method: method && toTextMatch(method),
    scheme: scheme && toTextMatch(scheme),
    authority: authority && toAuthority(authority, work, [...path, "authority"]),
    headers: fields.length > 0 ? lowerNames(fields) : undefined,
    query: query.length > 0 ? query : undefined,
    port: match.port,
    sourceLabels: match.sourceLabels,
    sourceNamespace: match.sourceNamespace,
  });
}

function lowerNames<T extends { readonly name: string }>(fields: readonly T[]): T[] {
  return fields.map((field) => ({ ...field, name: field.name.toLowerCase() }));
}

function warnOfPath(
  uri: StringMatch | undefined,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): void {
  const text = uri?.exact ?? uri?.prefix ?? "/";
  if (text.includes("?")) work.warn(path, "paths are matched without their query: use queryParams");
  if (uri?.exact !== undefined && !/^[/*]/.test(text)) work.warn(path, "no path begins so");
}

/** Hosts are compared in lower case and without their port. */
function toAuthority(
  match: StringMatch,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): TextMatch {
  const found = toTextMatch(match);
  if (found.kind !== "exact" && found.kind !== "prefix") return found;
  const value = found.value.toLowerCase();
  const bare = found.kind === "exact" ? value.replace(/(?<=[^:]|\]):\d{1,5}$/, "") : value;
  if (bare !== value) work.warn(path, "the port counts for nothing here: use `port` of the match");
  return { ...found, value: bare };
}

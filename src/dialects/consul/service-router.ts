import {
  type FieldMatch,
  RETRY_CONDITIONS,
  type RetryCondition,
  type RetryRule,
  type RouteMatch,
  type RouteRule,
  type TextMatch,
} from "../../core/traffic.ts";
import { quoteRegex } from "../regex-field.ts";
import type { Work } from "../translator.ts";
import { toHeaderEdits } from "./chain-fields.ts";
import { CHAIN_NOTE, inChain, isPlain, ruleForAll, tableOf, targetOf } from "./chain-table.ts";
import { type ConfigEntry, configEntryTranslators } from "./config-entry.ts";
import {
  type RouteDestination,
  type RouteHeader,
  type RouteHttp,
  type RouteQuery,
  type RouterRoute,
  serviceRouterKind,
} from "./router-fields.ts";

/** Envoy's, which Consul leaves as they are. */
const BACKOFF = { baseMs: 25, maxMs: 250 };
const TO_CONNECT: readonly RetryCondition[] = ["connect-failure"];

/** Consul's service-router, in both forms. */
export const serviceRouters = configEntryTranslators(serviceRouterKind, {
  notes: [
    "The first route that matches counts; what none matches goes to the service itself, through its splitter and resolver.",
    "A destination without `serviceSubset` goes through the splitter of its service, one with it does not. The router of another service is not asked.",
    "For HTTP; connections of other protocols go where the resolver says.",
    CHAIN_NOTE,
  ],
  records(work, entry) {
    const { fields, at } = entry;
    const target = targetOf(entry);
    const rules = fields.routes.map((route, index) =>
      ruleOf(work, entry, route, [...at, "routes", index]),
    );
    const rest = inChain(work, [...at, "routes"], (chain) => chain.backends(target));
    if (!isPlain(rest, target)) rules.push(ruleForAll(rest));
    return [{ kind: "route", value: tableOf(entry, "http", rules) }];
  },
});

function ruleOf(
  work: Work<unknown>,
  entry: ConfigEntry<unknown>,
  { match, destination = {} }: RouterRoute,
  path: readonly PropertyKey[],
): RouteRule {
  const { service = entry.name, namespace = entry.namespace, serviceSubset = "" } = destination;
  const target = { service, namespace, subset: serviceSubset };
  const backends = inChain(work, [...path, "destination"], (chain) => chain.backends(target));
  const { prefixRewrite, requestTimeout, idleTimeout } = destination;
  const http = match?.http ?? {};
  const requestHeaders = toHeaderEdits(destination.requestHeaders);
  const responseHeaders = toHeaderEdits(destination.responseHeaders);
  const retry = retryOf(work, destination, http, [...path, "destination"]);
  const timeouts = {
    ...(requestTimeout === undefined ? {} : { requestMs: requestTimeout }),
    ...(idleTimeout === undefined ? {} : { idleMs: idleTimeout }),
  };
  return {
    name: "",
    matches: matchesOf(http, prefixRewrite),
    action: { kind: "forward", backends },
    ...(prefixRewrite ? { rewrite: { path: { kind: "prefix", value: prefixRewrite } } } : {}),
    ...(requestHeaders === undefined ? {} : { requestHeaders }),
    ...(responseHeaders === undefined ? {} : { responseHeaders }),
    ...(Object.keys(timeouts).length === 0 ? {} : { timeouts }),
    ...(retry === undefined ? {} : { retry }),
  };
}

/** One for each path and method. */
function matchesOf(http: RouteHttp, prefixRewrite: string | undefined): RouteMatch[] {
  const headers = (http.header ?? []).flatMap(headerMatches);
  const query = (http.queryParam ?? []).map(queryMatch);
  const rest: RouteMatch = {
    ...(headers.length === 0 ? {} : { headers }),
    ...(query.length === 0 ? {} : { query }),
  };
  const paths = pathMatches(http, prefixRewrite).map((path) => ({ path }));
  const methods = (http.methods ?? []).map((value) => ({
    method: { kind: "exact", value } as const,
  }));
  const matches = (paths.length === 0 ? [{}] : paths).flatMap((path) =>
    (methods.length === 0 ? [{}] : methods).map((method) => ({ ...path, ...method, ...rest })),
  );
  return matches.some((match) => Object.keys(match).length === 0) ? [] : matches;
}

/** `/a` becoming `/` must not make `//b` of `/a/b`, so that the prefix with a slash comes first (Consul does so). */
function pathMatches(http: RouteHttp, prefixRewrite: string | undefined): TextMatch[] {
  const { pathExact, pathPrefix, pathRegex, caseInsensitive } = http;
  const ignoring = caseInsensitive === true ? ({ ignoreCase: true } as const) : {};
  if (pathRegex !== undefined) return [{ kind: "regex", value: pathRegex }];
  if (pathExact !== undefined) return [{ kind: "exact", value: pathExact, ...ignoring }];
  if (pathPrefix === undefined) return [];
  const isSlashed = prefixRewrite?.endsWith("/") === true && !pathPrefix.endsWith("/");
  const prefixes = isSlashed ? [`${pathPrefix}/`, pathPrefix] : [pathPrefix];
  return prefixes.map((value) => ({ kind: "prefix", value, ...ignoring }));
}

/** Envoy takes an absent header for one that does not match, also where the match is inverted. */
function headerMatches(header: RouteHeader): FieldMatch[] {
  const { name, present, invert } = header;
  const own: FieldMatch = { name, match: headerText(header) };
  if (invert !== true) return [own];
  const inverted: FieldMatch = { ...own, invert: true };
  return present === true ? [inverted] : [{ name, match: { kind: "present" } }, inverted];
}

function headerText(header: RouteHeader): TextMatch {
  const { exact, prefix, suffix, contains, regex, ignoreCase } = header;
  const ignoring = ignoreCase === true ? ({ ignoreCase: true } as const) : {};
  if (regex !== undefined) return { kind: "regex", value: regex };
  if (exact) return { kind: "exact", value: exact, ...ignoring };
  if (prefix) return { kind: "prefix", value: prefix, ...ignoring };
  if (suffix) return { kind: "suffix", value: suffix, ...ignoring };
  if (!contains) return { kind: "present" };
  const flags = ignoreCase === true ? "(?si)" : "(?s)";
  return { kind: "regex", value: `${flags}.*${quoteRegex(contains)}.*` };
}

function queryMatch({ name, exact, regex }: RouteQuery): FieldMatch {
  if (regex !== undefined) return { name, match: { kind: "regex", value: regex } };
  return { name, match: exact ? { kind: "exact", value: exact } : { kind: "present" } };
}

function retryOf(
  work: Work<unknown>,
  { numRetries, retryOn = [], retryOnConnectFailure, retryOnStatusCodes = [] }: RouteDestination,
  { methods = [] }: RouteHttp,
  path: readonly PropertyKey[],
): RetryRule | undefined {
  const on = new Set<RetryCondition>(retryOnConnectFailure === true ? TO_CONNECT : []);
  for (const [index, condition] of retryOn.entries()) {
    const known = RETRY_CONDITIONS.find((each) => each === condition);
    if (known !== undefined) on.add(known);
    else work.warn([...path, "retryOn", index], `no effect: nothing here is ${condition}`);
  }
  const isAsked = on.size > 0 || retryOnStatusCodes.length > 0;
  if (!isAsked && !numRetries) return undefined;
  return {
    attempts: numRetries || 1,
    on: isAsked ? [...on] : TO_CONNECT,
    statuses: retryOnStatusCodes.map((status) => [status, status] as const),
    backoff: BACKOFF,
    // Who names the methods has thought of what they do.
    unsafe: methods.length > 0,
    avoidTried: true,
  };
}

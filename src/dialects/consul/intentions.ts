import type {
  AuthorizationRule,
  Condition,
  IntentionsPolicy,
  OperationMatch,
  SourceMatch,
} from "../../core/policy.ts";
import { quoteRegex } from "../regex-field.ts";
import type { HeaderMatch, HttpMatch, SourceIntention } from "./intention-fields.ts";

type Effect = "allow" | "deny";
export type IntentionRule = IntentionsPolicy["rules"][number];

/**
 * The rules of one destination, the most exact source first (Consul's precedence of intentions): of a pair of
 * services only one intention decides, so that where none of its permissions matches, `otherwise` does.
 */
export function rulesOf(
  sources: readonly SourceIntention[],
  namespace: string,
  otherwise: Effect,
): IntentionRule[] {
  return [...sources]
    .sort((a, b) => exactness(b) - exactness(a))
    .flatMap((source): IntentionRule[] => {
      const { action, permissions = [] } = source;
      const all = (effect: Effect): IntentionRule => ({
        ...{ from: callers(source, namespace, effect), to: [], when: [] },
        effect,
      });
      if (action !== undefined) return [all(action)];
      const some = permissions.map(({ action: effect, http = {} }) => ({
        from: callers(source, namespace, effect),
        ...requests(http),
        effect,
      }));
      return [...some, all(otherwise)];
    });
}

function exactness({ name, namespace }: SourceIntention): number {
  if (name !== "*") return 2;
  return namespace === "*" ? 0 : 1;
}

/**
 * Consul knows no caller without an identity, here there may be some: what is denied to all is denied to them
 * too, and what is allowed to all is not allowed to them.
 */
function callers(
  { name, namespace }: SourceIntention,
  ofDestination: string,
  effect: Effect,
): readonly SourceMatch[] {
  if (name !== "*") return [{ principals: [`*/ns/${namespace ?? ofDestination}/sa/${name}`] }];
  if (effect === "deny" && (namespace === undefined || namespace === "*")) return [];
  return namespace === "*"
    ? [{ principals: ["*"] }]
    : [{ namespaces: [namespace ?? ofDestination] }];
}

function requests(http: HttpMatch): Pick<AuthorizationRule, "to" | "when"> {
  const { header = [] } = http;
  const regexes = new Map<string, string>();
  const when: Condition[] = [];
  for (const match of header) {
    const regex = headerRegex(match);
    if (regex === null) when.push(headerCondition(match));
    else regexes.set(match.name, regex);
  }
  const operation: OperationMatch = {
    ...pathOf(http),
    ...(http.methods === undefined || http.methods.length === 0 ? {} : { methods: http.methods }),
    ...(regexes.size === 0 ? {} : { headerRegexes: Object.fromEntries(regexes) }),
  };
  return { to: Object.keys(operation).length === 0 ? [] : [operation], when };
}

function pathOf({ pathExact, pathPrefix, pathRegex }: HttpMatch): OperationMatch {
  if (pathRegex !== undefined) return { pathRegexes: [pathRegex] };
  const text = pathExact ?? pathPrefix;
  if (text === undefined) return {};
  if (!isPlain(text)) {
    return { pathRegexes: [quoteRegex(text) + (pathPrefix === undefined ? "" : ANYTHING)] };
  }
  return { paths: [pathPrefix === undefined ? text : `${text}*`] };
}

const ANYTHING = "(?s:.*)";

/** Can it stand in a pattern? There `*` and templates have a meaning, here they have none. */
function isPlain(text: string): boolean {
  return !/[*{]/.test(text);
}

/** The expression for a match that no pattern can express; null where one can. */
function headerRegex({ exact, prefix, suffix, regex }: HeaderMatch): string | null {
  if (regex) return regex;
  const text = exact || prefix || suffix || "";
  if (isPlain(text)) return null;
  return (suffix ? ANYTHING : "") + quoteRegex(text) + (prefix ? ANYTHING : "");
}

/** Envoy takes an absent header for one that does not match, also where the match is inverted. */
function headerCondition({ name, present, exact, prefix, suffix, invert }: HeaderMatch): Condition {
  const key = `request.headers[${name}]`;
  const value = exact || (prefix && `${prefix}*`) || (suffix && `*${suffix}`) || "*";
  if (!invert) return { key, values: [value], notValues: [] };
  return { key, values: present ? [] : ["*"], notValues: [value] };
}

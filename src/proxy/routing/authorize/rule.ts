import type {
  AuthorizationRule,
  Condition,
  OperationMatch,
  SourceMatch,
} from "../../../core/policy.ts";
import {
  ADDRESSES,
  ATTRIBUTES,
  claimAttribute,
  headerAttribute,
  type TextAttribute,
} from "./attributes.ts";
import type { Facts } from "./facts.ts";
import { blockField, type Field, notField, requestPrincipalField, textField } from "./field.ts";
import {
  exactMatcher,
  matcherOf,
  pathMatcher,
  regexMatcher,
  type ValueMatcher,
} from "./value-matcher.ts";

/** All of them must match. */
type Clause = readonly Field[];

/** A compiled rule. Of `from` and of `to` one clause must match, where there is one at all. */
export interface Rule {
  readonly from: readonly Clause[];
  readonly to: readonly Clause[];
  readonly when: Clause;
}

type Values = readonly string[] | undefined;
type MakeField = (values: readonly string[]) => Field;

/** `cluster.local` in a policy is the mesh's own trust domain, whatever its name. */
const OWN_TRUST_DOMAIN = /^cluster\.local(?=\/)/;

/** Makes rules of one mesh. All methods throw a RangeError for what cannot be understood. */
export class RuleCompiler {
  readonly #trustDomain: string;

  constructor(trustDomain: string) {
    this.#trustDomain = trustDomain;
  }

  compile({ from, to, when }: AuthorizationRule): Rule {
    return {
      from: from.map((source) => this.#source(source)),
      to: to.map(operation),
      when: when.flatMap((condition) => this.#condition(condition)),
    };
  }

  #source(match: SourceMatch): Clause {
    return [
      ...pair((values) => this.#principal(values), match.principals, match.notPrincipals),
      ...pair(text("source.namespace"), match.namespaces, match.notNamespaces),
      ...pair(exactly("source.serviceAccount"), match.serviceAccounts, match.notServiceAccounts),
      ...pair(text("source.trustDomain"), match.trustDomains, match.notTrustDomains),
      ...pair(blocks("source.ip"), match.ipBlocks, match.notIpBlocks),
      ...pair(blocks("remote.ip"), match.remoteIpBlocks, match.notRemoteIpBlocks),
      ...pair(requestPrincipalField, match.requestPrincipals, match.notRequestPrincipals),
    ];
  }

  #principal(values: readonly string[]): Field {
    const own = values.map((value) => value.replace(OWN_TRUST_DOMAIN, this.#trustDomain));
    return textField(ATTRIBUTES["source.principal"], matcherOf(own));
  }

  #condition({ key, values, notValues }: Condition): Clause {
    return pair(this.#makerOf(key), values, notValues);
  }

  #makerOf(key: string): MakeField {
    switch (key) {
      case "source.principal":
        return (values) => this.#principal(values);
      case "request.auth.principal":
        return requestPrincipalField;
      case "source.ip":
      case "remote.ip":
      case "destination.ip":
        return blocks(key);
      case "source.serviceAccount":
        return exactly(key);
      case "destination.port":
        return (values) => ports(values.map(Number));
      case "source.namespace":
      case "source.trustDomain":
      case "connection.sni":
      case "request.auth.audiences":
      case "request.auth.presenter":
        return text(key);
      default:
        return bracketed(key);
    }
  }
}

/** Does the rule hold? */
export function ruleMatches({ from, to, when }: Rule, facts: Facts): boolean {
  return all(when, facts) && any(from, facts) && any(to, facts);
}

/**
 * The rule for opaque TCP, which has no HTTP attributes. A rule that allows by them allows nothing there: null. Of one
 * that denies or audits the rest counts, so that it matches more and not less.
 */
export function ruleOfTcp(rule: Rule, effect: "allow" | "deny"): Rule | null {
  const clauses = [...rule.from, ...rule.to, rule.when];
  if (!clauses.flat().some(({ attribute }) => attribute.http)) return rule;
  if (effect === "allow") return null;
  const rest = (clause: Clause) => clause.filter(({ attribute }) => !attribute.http);
  return { from: rule.from.map(rest), to: rule.to.map(rest), when: rest(rule.when) };
}

/** Does the outcome depend on what differs between requests of one connection? */
export function ruleVaries({ from, to, when }: Rule): boolean {
  return [...from, ...to, when].flat().some(({ attribute }) => attribute.varies);
}

function all(clause: Clause, facts: Facts): boolean {
  for (const field of clause) if (!field.matches(facts)) return false;
  return true;
}

function any(clauses: readonly Clause[], facts: Facts): boolean {
  for (const clause of clauses) if (all(clause, facts)) return true;
  return clauses.length === 0;
}

/** The positive form and the not-form of one field; an empty list says nothing. */
function pair(make: MakeField, values: Values, notValues: Values): Field[] {
  return [
    ...(values === undefined || values.length === 0 ? [] : [make(values)]),
    ...(notValues === undefined || notValues.length === 0 ? [] : [notField(make(notValues))]),
  ];
}

function operation(match: OperationMatch): Clause {
  return [
    ...pair(hosts, match.hosts, match.notHosts),
    ...pair((values) => ports(values.map(Number)), texts(match.ports), texts(match.notPorts)),
    ...pair(text("methods"), match.methods, match.notMethods),
    ...pair(paths(pathMatcher), match.paths, match.notPaths),
    ...pair(paths(regexMatcher), match.pathRegexes, undefined),
    ...Object.entries(match.headerRegexes ?? {}).map(([name, expression]) =>
      textField(headerAttribute(name.toLowerCase()), regexMatcher([expression])),
    ),
  ];
}

function texts(numbers: readonly number[] | undefined): Values {
  return numbers?.map(String);
}

function text(name: keyof typeof ATTRIBUTES): MakeField {
  return (values) => textField(ATTRIBUTES[name], matcherOf(values));
}

/** Without wildcards. */
function exactly(name: keyof typeof ATTRIBUTES): MakeField {
  return (values) => textField(ATTRIBUTES[name], exactMatcher(values));
}

function blocks(name: keyof typeof ADDRESSES): MakeField {
  return (values) => blockField(ADDRESSES[name], values);
}

function paths(matcher: (values: readonly string[]) => ValueMatcher): MakeField {
  return (values) => textField(ATTRIBUTES.paths, matcher(values));
}

function hosts(values: readonly string[]): Field {
  return textField(ATTRIBUTES.hosts, matcherOf(values.map((value) => value.toLowerCase())));
}

function ports(values: readonly number[]): Field {
  const bad = values.find((value) => !Number.isInteger(value) || value < 0 || value > 65_535);
  if (bad !== undefined) throw new RangeError(`not a port: ${bad}`);
  return textField(ATTRIBUTES["destination.port"], exactMatcher(values.map(String)));
}

const HEADER = /^request\.headers\[([^[\]\s]+)\]$/;
const CLAIM = /^request\.auth\.claims((?:\[[^[\]]+\])+)$/;

function bracketed(key: string): MakeField {
  const attribute = bracketedAttribute(key);
  return (values) => textField(attribute, matcherOf(values));
}

function bracketedAttribute(key: string): TextAttribute {
  const header = HEADER.exec(key)?.[1];
  if (header !== undefined) return headerAttribute(header.toLowerCase());
  const claim = CLAIM.exec(key)?.[1];
  if (claim !== undefined) return claimAttribute(claim.slice(1, -1).split("]["));
  throw new RangeError(`not an attribute of Istio's: ${JSON.stringify(key)}`);
}

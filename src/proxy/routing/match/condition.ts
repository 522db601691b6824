import { BlockList, isIP } from "node:net";
import type { FieldMatch, RouteMatch, TextMatch } from "../../../core/traffic.ts";
import { type TextKey, TextMatcher } from "../text/text-matcher.ts";
import { wireText } from "../text/wire-text.ts";
import { PSEUDO_HEADERS, type RequestFacts } from "./request-facts.ts";

/** What a key is a key of. */
export type KeyPlace =
  | "path"
  | "lower-path"
  | "method"
  | "host"
  | "port"
  | "namespace"
  | "header"
  | "param";

/** What holds for every request that matches, so that a rule can be found by it. */
export interface ConditionKey {
  readonly place: KeyPlace;
  /** Of a header or parameter, else `""`. */
  readonly name: string;
  readonly kind: TextKey["kind"];
  readonly value: string;
}

type Test = (facts: RequestFacts) => boolean;

/** A {@link RouteMatch}, compiled: all of its tests must hold. */
export class Condition {
  readonly #tests: readonly Test[];
  readonly keys: readonly ConditionKey[];
  /** Names of the query parameters that it asks for. */
  readonly params: readonly string[];

  /** Throws a RangeError where something in it cannot be understood: then it must never match. */
  constructor(match: RouteMatch, protocol: "http" | "tcp") {
    refuseStrangers(match, protocol);
    const parts = [
      ...originParts(match),
      ...texts(match),
      ...fields("header", match.headers),
      ...fields("param", match.query),
    ];
    this.#tests = parts.map(({ test }) => test);
    this.keys = parts.flatMap(({ key }) => key ?? []);
    this.params = (match.query ?? []).map(({ name }) => wireText(name));
  }

  matches(facts: RequestFacts): boolean {
    const tests = this.#tests;
    for (let at = 0; at < tests.length; at++) if (!tests[at]!(facts)) return false;
    return true;
  }
}

interface Part {
  readonly test: Test;
  readonly key: ConditionKey | null;
}

/** A condition on something that does not exist there would be a condition ignored. */
function refuseStrangers(match: RouteMatch, protocol: "http" | "tcp"): void {
  const { path, method, scheme, authority, headers, query, destinationSubnets } = match;
  if (protocol === "http") {
    if (destinationSubnets !== undefined) throw new RangeError("destinationSubnets are for TCP");
    return;
  }
  const http = { path, method, scheme, authority, headers, query };
  const [name] = Object.entries(http).find(([, value]) => value !== undefined) ?? [];
  if (name !== undefined) throw new RangeError(`${name} cannot be known of a TCP connection`);
}

/** The port, the caller, the dialled address. */
function originParts(match: RouteMatch): Part[] {
  const { port, sourceNamespace, sourceLabels, destinationSubnets } = match;
  const parts: Part[] = [];
  if (port !== undefined) {
    parts.push({ test: (facts) => facts.port === port, key: exactKey("port", String(port)) });
  }
  if (sourceNamespace !== undefined) {
    const test: Test = (facts) => facts.source.namespace === sourceNamespace;
    parts.push({ test, key: exactKey("namespace", sourceNamespace) });
  }
  for (const [label, value] of Object.entries(sourceLabels ?? {})) {
    parts.push({ test: (facts) => facts.source.labels[label] === value, key: null });
  }
  if (destinationSubnets !== undefined) {
    parts.push({ test: subnetTest(destinationSubnets), key: null });
  }
  return parts;
}

function exactKey(place: KeyPlace, value: string): ConditionKey {
  return { place, name: "", kind: "exact", value };
}

function texts({ path, method, scheme, authority }: RouteMatch): Part[] {
  const parts: Part[] = [];
  if (path !== undefined) {
    const matcher = new TextMatcher(path);
    const place = matcher.key.lower ? "lower-path" : "path";
    parts.push({
      test: (facts) => matcher.matches(facts.path),
      key: keyOf(place, "", matcher.key),
    });
  }
  if (method !== undefined) {
    const matcher = new TextMatcher(method);
    const key = matcher.key.lower ? null : keyOf("method", "", matcher.key);
    parts.push({ test: (facts) => matcher.matches(facts.method), key });
  }
  if (authority !== undefined) {
    const matcher = new TextMatcher(lowerCased(authority));
    parts.push({
      test: (facts) => matcher.matches(facts.host),
      key: keyOf("host", "", matcher.key),
    });
  }
  if (scheme !== undefined) {
    const matcher = new TextMatcher(scheme);
    parts.push({ test: (facts) => matcher.matches(facts.scheme), key: null });
  }
  return parts;
}

/** Nothing is gained by a key that holds for every request. */
function keyOf(place: KeyPlace, name: string, { kind, value }: TextKey): ConditionKey | null {
  return kind === "present" || (kind === "prefix" && value === "")
    ? null
    : { place, name, kind, value };
}

/** Host names have no case, and come in lower case. */
function lowerCased(match: TextMatch): TextMatch {
  if (match.kind === "present" || match.kind === "regex" || match.kind === "segments") return match;
  return { kind: match.kind, value: match.value.toLowerCase() };
}

function fields(place: "header" | "param", matches: readonly FieldMatch[] | undefined): Part[] {
  return (matches ?? []).map((field) => {
    const name = place === "header" ? field.name.toLowerCase() : wireText(field.name);
    const matcher = new TextMatcher(field.match);
    const inverted = field.invert === true;
    const read: (facts: RequestFacts) => string | null =
      place === "header" ? (facts) => facts.header(name) : (facts) => facts.param(name);
    return {
      test(facts) {
        const value = read(facts);
        return (value !== null && matcher.matches(value)) !== inverted;
      },
      key: inverted || PSEUDO_HEADERS.has(name) ? null : fieldKey(place, name, matcher.key),
    };
  });
}

/** That a field is there at all tells something too. */
function fieldKey(place: "header" | "param", name: string, key: TextKey): ConditionKey {
  const { kind, value, lower } = key;
  return lower ? { place, name, kind: "present", value: "" } : { place, name, kind, value };
}

function subnetTest(subnets: readonly string[]): Test {
  const blocks = new BlockList();
  for (const subnet of subnets) addSubnet(blocks, subnet);
  return ({ address }) => {
    const zone = address.indexOf("%");
    const bare = zone === -1 ? address : address.slice(0, zone);
    const family = isIP(bare);
    return family !== 0 && blocks.check(bare, family === 6 ? "ipv6" : "ipv4");
  };
}

function addSubnet(blocks: BlockList, subnet: string): void {
  const [address = "", bits, ...rest] = subnet.split("/");
  const family = isIP(address);
  const most = family === 6 ? 128 : 32;
  const length = bits === undefined ? most : Number(bits);
  const isLength = bits === undefined || /^\d{1,3}$/.test(bits);
  if (family === 0 || rest.length > 0 || !isLength || length > most) {
    throw new RangeError(`not an address or subnet: ${JSON.stringify(subnet)}`);
  }
  blocks.addSubnet(address, length, family === 6 ? "ipv6" : "ipv4");
}

import { type AddressBlock, isInBlock, parseBlock } from "./address-block.ts";
import {
  type AddressAttribute,
  ATTRIBUTES,
  type Attribute,
  type TextAttribute,
} from "./attributes.ts";
import type { Facts } from "./facts.ts";
import { matcherOf, type ValueKey, type ValueMatcher } from "./value-matcher.ts";

/** What has to be so wherever a field matches; rules are found by it. */
export type FieldKey =
  | {
      readonly attribute: TextAttribute;
      readonly key: ValueKey;
      /** What holds as well whenever it does. */
      readonly others?: readonly FieldKey[];
    }
  | { readonly attribute: AddressAttribute; readonly block: AddressBlock };

/** One condition on one attribute. */
export interface Field {
  readonly attribute: Attribute;
  /** One of these holds whenever the field matches; empty: nothing is known beforehand. */
  readonly keys: readonly FieldKey[];
  /** The field does not match where one of these holds. */
  readonly excluding: readonly FieldKey[];
  matches(facts: Facts): boolean;
}

/** The attribute is one of the values. */
export function textField(attribute: TextAttribute, matcher: ValueMatcher): Field {
  return {
    attribute,
    keys: matcher.keys.map((key) => fieldKey(attribute, key)),
    excluding: [],
    matches: (facts) => matcher.matches(attribute.read(facts)),
  };
}

function fieldKey(attribute: TextAttribute, key: ValueKey): FieldKey {
  const { others = [] } = key;
  return { attribute, key, others: others.map((other) => ({ attribute, key: other })) };
}

/** The address is in one of the blocks. Throws a RangeError for what is no block. */
export function blockField(attribute: AddressAttribute, texts: readonly string[]): Field {
  const blocks = texts.map(parseBlock);
  return {
    attribute,
    keys: blocks.map((block) => ({ attribute, block })),
    excluding: [],
    matches(facts) {
      const address = attribute.readAddress(facts);
      for (const block of blocks) if (isInBlock(address, block)) return true;
      return false;
    },
  };
}

/** Matches where the other does not, also where the attribute is absent. */
export function notField({ attribute, keys, matches }: Field): Field {
  const excluding = keys.filter((key) => "block" in key || key.key.suffices);
  return { attribute, keys: [], excluding, matches: (facts) => !matches(facts) };
}

/**
 * `issuer/subject` of the token, each part by itself as Istio's generator does: an issuer must not be able to speak
 * for another one whose name begins like its own by means of a subject with a slash.
 */
export function requestPrincipalField(values: readonly string[]): Field {
  const attribute = ATTRIBUTES["request.auth.principal"];
  const tests = values.map(requestPrincipalTest);
  return {
    attribute,
    keys: matcherOf(values).keys.map((key) => ({ attribute, key: { ...key, suffices: false } })),
    excluding: [],
    matches({ token: { issuer, subject } }) {
      if (issuer === "" || subject === "") return false;
      return tests.some((test) => test(issuer, subject));
    },
  };
}

function requestPrincipalTest(value: string): (issuer: string, subject: string) => boolean {
  const slash = value.lastIndexOf("/");
  if (slash === -1) return bareTest(value);
  const iss = value.slice(0, slash);
  const sub = value.slice(slash + 1);
  // A star counts at one end only, and at the front first.
  const atFront = iss.startsWith("*");
  const issuers = atFront ? iss.slice(1) : iss;
  const subjects = !atFront && sub.endsWith("*") ? sub.slice(0, -1) : sub;
  const isPrefix = subjects !== sub;
  return (issuer, subject) =>
    (atFront ? issuer.endsWith(issuers) : issuer === issuers) &&
    (isPrefix ? subject.startsWith(subjects) : subject === subjects);
}

function bareTest(value: string): (issuer: string, subject: string) => boolean {
  if (value.startsWith("*")) return (_issuer, subject) => subject.endsWith(value.slice(1));
  if (value.endsWith("*")) return (issuer) => issuer.startsWith(value.slice(0, -1));
  return () => false;
}

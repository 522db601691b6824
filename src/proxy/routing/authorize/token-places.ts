import type { JwtRule, TokenPlaces } from "../../../core/policy.ts";
import type { RequestHead } from "../../../http/message.ts";
import type { TokenPlace } from "./token-result.ts";

/** Istio's, where a rule names none. */
const DEFAULT_PLACES: TokenPlaces = {
  headers: [{ name: "authorization", prefix: "Bearer " }],
  params: ["access_token"],
  cookies: [],
};

/** A place, and by index the rules that take tokens from there. */
export interface Place extends TokenPlace {
  /** Of headers: what stands before the token. */
  readonly prefix: string;
  readonly rules: ReadonlySet<number>;
}

interface FoundToken {
  readonly text: string;
  readonly place: Place;
}

/** Finds the tokens of requests in the places that any of the rules names. */
export class TokenFinder {
  readonly #headers: readonly Place[];
  readonly #params: readonly Place[];
  readonly #cookies: readonly Place[];

  constructor(rules: readonly JwtRule[]) {
    const places = mergedPlaces(rules);
    const ofKind = (kind: Place["kind"]) => places.filter((place) => place.kind === kind);
    // Of two prefixes that both fit a value the longer one counts.
    this.#headers = ofKind("header").toSorted((a, b) => b.prefix.length - a.prefix.length);
    this.#params = ofKind("param");
    this.#cookies = ofKind("cookie");
  }

  /** All tokens, also several in one place: each has to be valid. Null: there is none. */
  find(head: RequestHead): FoundToken[] | null {
    let found: FoundToken[] | null = null;
    const { fields } = head;
    for (let at = 0; at < fields.length; at += 2) {
      const token = this.#inField(fields[at]!, fields[at + 1]!);
      if (token !== null) found = [...(found ?? []), ...token];
    }
    if (this.#params.length === 0) return found;
    const query = head.path.indexOf("?");
    if (query === -1) return found;
    const inQuery = inPairs(this.#params, head.path.slice(query + 1).split("&"), formDecoded);
    return inQuery.length === 0 ? found : [...(found ?? []), ...inQuery];
  }

  #inField(name: string, value: string): FoundToken[] | null {
    for (const place of this.#headers) {
      const isSame = place.name.length === name.length && place.name === name.toLowerCase();
      if (!isSame || !startsWithScheme(value, place.prefix)) continue;
      const text = value.slice(place.prefix.length).trim();
      return text === "" ? null : [{ text, place }];
    }
    if (this.#cookies.length === 0 || name.length !== 6 || name.toLowerCase() !== "cookie") {
      return null;
    }
    const tokens = inPairs(this.#cookies, value.split(";"), (text) => text.trim());
    return tokens.length === 0 ? null : tokens;
  }
}

/** Authentication schemes have no case (RFC 9110 section 11.1). */
function startsWithScheme(value: string, prefix: string): boolean {
  return (
    value.startsWith(prefix) || value.slice(0, prefix.length).toLowerCase() === prefix.toLowerCase()
  );
}

function inPairs(
  places: readonly Place[],
  pairs: readonly string[],
  decode: (text: string) => string,
): FoundToken[] {
  return pairs.flatMap((pair) => {
    const equals = pair.indexOf("=");
    if (equals === -1) return [];
    const name = decode(pair.slice(0, equals));
    const place = places.find((candidate) => candidate.name === name);
    if (place === undefined) return [];
    const text = decode(pair.slice(equals + 1));
    return text === "" ? [] : [{ text, place }];
  });
}

/** As it is where it is malformed: then it is no token. */
export function formDecoded(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}

function mergedPlaces(rules: readonly JwtRule[]): readonly Place[] {
  const merged = new Map<string, Place & { readonly rules: Set<number> }>();
  for (const [index, { places }] of rules.entries()) {
    for (const place of listed(places)) {
      const key = JSON.stringify([place.kind, place.name, place.prefix]);
      const known = merged.get(key);
      if (known === undefined) merged.set(key, { ...place, rules: new Set([index]) });
      else known.rules.add(index);
    }
  }
  return [...merged.values()];
}

function listed(places: TokenPlaces): readonly Omit<Place, "rules">[] {
  const { headers, params, cookies } = places;
  if (headers.length + params.length + cookies.length === 0) return listed(DEFAULT_PLACES);
  return [
    ...headers.map(({ name, prefix }) => ({ kind: "header", name, prefix }) as const),
    ...params.map((name) => ({ kind: "param", name, prefix: "" }) as const),
    ...cookies.map((name) => ({ kind: "cookie", name, prefix: "" }) as const),
  ];
}

import { formatPath } from "../../core/schema-issue.ts";
import { type Respelled, TranslationError } from "../translator.ts";

/** Their keys are the user's own. */
const FREE = new Set(["meta", "legacyMeta", "add", "set", "config"]);

/**
 * Config entries may be spelt `PathExact` (Consul's JSON), `path_exact` (its other names) and `pathExact`. Brings
 * them to the last. Throws where one field is given in two spellings.
 */
export function respellEntry(content: unknown): Respelled {
  const originals = new Map<string, string>();
  const walk = (value: unknown, path: PropertyKey[], original: PropertyKey[]): unknown => {
    originals.set(formatPath(path), formatPath(original));
    if (Array.isArray(value)) {
      return value.map((each, index) => walk(each, [...path, index], [...original, index]));
    }
    if (typeof value !== "object" || value === null) return value;
    const spelt = new Map<string, unknown>();
    for (const [key, each] of Object.entries(value)) {
      const name = toCamelCase(key);
      const place = [...original, key];
      if (spelt.has(name)) {
        throw new TranslationError([{ path: formatPath(place), reason: "given in two spellings" }]);
      }
      originals.set(formatPath([...path, name]), formatPath(place));
      spelt.set(name, FREE.has(name) ? each : walk(each, [...path, name], place));
    }
    return Object.fromEntries(spelt);
  };
  const spelt = walk(content, [], []);
  return { content: spelt, original: (path) => originals.get(path) ?? nearest(path, originals) };
}

/** A field that is missing has no spelling of its own: the place where it would stand. */
function nearest(path: string, originals: ReadonlyMap<string, string>): string {
  const cut = Math.max(path.lastIndexOf("."), path.lastIndexOf("["));
  if (cut <= 0) return path;
  const above = path.slice(0, cut);
  return (originals.get(above) ?? nearest(above, originals)) + path.slice(cut);
}

/** Words that Kubernetes' form writes in capitals behind others. */
const CAPITALS = /(?:Ip|Sni)$|Json$|Tls(?=Mode$)/;

function toCamelCase(key: string): string {
  const joined = key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  // `JWT` and `HTTP` are words, `Name` is one too.
  const camel = joined.replace(/^[A-Z]+(?![a-z])|^[A-Z]/, (start) => start.toLowerCase());
  return camel.replace(CAPITALS, (word) => word.toUpperCase());
}

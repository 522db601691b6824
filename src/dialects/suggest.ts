import type * as z from "zod";
import { editDistance } from "../core/edit-distance.ts";
import { parsePath } from "../core/schema-issue.ts";
import { fieldsOf } from "./support.ts";

/** Names beyond which a list of what is known helps nobody. */
const MAX_KNOWN = 12;
/** A longer name is no misspelt field; comparing it with all others would cost the product of their lengths. */
const MAX_NAME = 64;

/** Names of the fields at each place of a schema; the same few schemas are asked for every bad field of many resources. */
const namesOfSchemas = new WeakMap<z.ZodType, ReadonlyMap<string, ReadonlySet<string>>>();

/** What may be meant by an unknown field: the name nearest to it, or those that there are at its place; "" for none. */
export function suggestField(schema: z.ZodType, path: string): string {
  const parts = parsePath(path);
  const wrong = String(parts.pop() ?? "");
  const place = parts.map((part) => (typeof part === "number" ? "[]" : `.${part}`)).join("");
  const names = namesOf(schema).get(place) ?? new Set();
  const nearest = nearestOf(wrong, names);
  if (nearest !== null) return `did you mean ${nearest}?`;
  return names.size === 0 || names.size > MAX_KNOWN ? "" : `known here: ${[...names].join(", ")}`;
}

/** By place, written `.spec.rules[]`. */
function namesOf(schema: z.ZodType): ReadonlyMap<string, ReadonlySet<string>> {
  const before = namesOfSchemas.get(schema);
  if (before !== undefined) return before;
  const names = new Map<string, Set<string>>();
  for (const { path, how } of fieldsOf(schema)) {
    if (how === "refused") continue;
    let place = "";
    for (const [part] of path.matchAll(/\[\]|[^.[]+/g)) {
      if (part !== "[]" && part !== "*") {
        const there = names.get(place) ?? new Set();
        names.set(place, there.add(part));
      }
      place += part === "[]" ? part : `.${part}`;
    }
  }
  namesOfSchemas.set(schema, names);
  return names;
}

/** The name with the fewest changes, where these are few for its length. */
function nearestOf(wrong: string, names: Iterable<string>): string | null {
  if (wrong.length > MAX_NAME) return null;
  let [best, least] = [null as string | null, Math.max(1, Math.floor(wrong.length / 3)) + 1];
  for (const name of names) {
    const changes = editDistance(wrong.toLowerCase(), name.toLowerCase());
    if (changes < least) [best, least] = [name, changes];
  }
  return best;
}

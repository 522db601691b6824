import type * as z from "zod";
import { fieldsOf } from "./support.ts";

/** Names beyond which a list of what is known helps nobody. */
const MAX_KNOWN = 12;

/** What may be meant by an unknown field: the name nearest to it, or those that there are at its place; "" for none. */
export function suggestField(schema: z.ZodType, path: string): string {
  const place = path.replace(/\[\d+\]/g, "[]");
  const cut = place.lastIndexOf(".");
  const [parent, wrong] = cut === -1 ? ["", place] : [place.slice(0, cut), place.slice(cut + 1)];
  const above = parent === "" ? "" : `${parent}.`;
  const names = new Set(
    fieldsOf(schema)
      .filter((field) => field.path.startsWith(above) && field.how !== "refused")
      .map((field) => /^[^.[]+/.exec(field.path.slice(above.length))?.[0] ?? "")
      .filter((name) => name !== "" && name !== "*"),
  );
  const nearest = nearestOf(wrong, names);
  if (nearest !== null) return `did you mean ${nearest}?`;
  return names.size === 0 || names.size > MAX_KNOWN ? "" : `known here: ${[...names].join(", ")}`;
}

/** The name with the fewest changes, where these are few for its length. */
export function nearestOf(wrong: string, names: Iterable<string>): string | null {
  let [best, least] = [null as string | null, Math.max(1, Math.floor(wrong.length / 3)) + 1];
  for (const name of names) {
    const changes = distance(wrong.toLowerCase(), name.toLowerCase());
    if (changes < least) [best, least] = [name, changes];
  }
  return best;
}

/** Levenshtein's distance; names are short. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let at = 1; at <= from.length; at++) {
    const next = [at];
    for (let other = 1; other <= to.length; other++) {
      const replace = (row[other - 1] ?? 0) + (from[at - 1] === to[other - 1] ? 0 : 1);
      next.push(Math.min(replace, (row[other] ?? 0) + 1, (next[other - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

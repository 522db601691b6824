import { issuesOf, parsePath, UNKNOWN_FIELD } from "../core/schema-issue.ts";
import { withinRegexBudget } from "./regex-field.ts";
import type { IdentifiedResource } from "./translate.ts";

/** Unknown fields within alternatives show one level at a time. */
const MAX_ROUNDS = 16;

/** A resource without the fields that its schema does not know. */
export interface KnownPart {
  readonly content: Readonly<Record<string, unknown>>;
  /** Paths of what was left out. */
  readonly unknown: readonly string[];
}

/**
 * What is understood of a resource that somebody else has taken already: an API server may be newer than this program, and
 * leaves out itself what its own definitions do not know. Values that are not understood stay, and are for the translator
 * to refuse.
 */
export function knownPart({ content, translator, version }: IdentifiedResource): KnownPart {
  const form = translator.forms.find(({ versions }) => versions.includes(version));
  const unknown: string[] = [];
  if (form === undefined) return { content, unknown };
  let known = content;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const parsed = withinRegexBudget(() => form.schema.safeParse(known));
    if (parsed.success) break;
    const paths = issuesOf(parsed.error)
      .filter(({ reason }) => reason === UNKNOWN_FIELD)
      .map(({ path }) => path);
    if (paths.length === 0) break;
    if (known === content) known = structuredClone(content);
    for (const path of paths) remove(known, parsePath(path));
    unknown.push(...paths);
  }
  return { content: known, unknown };
}

function remove(within: unknown, path: readonly (string | number)[]): void {
  const parent = path.slice(0, -1).reduce((at: unknown, part) => fieldOf(at, part), within);
  const last = path.at(-1);
  if (typeof parent === "object" && parent !== null && last !== undefined) {
    Reflect.deleteProperty(parent, last);
  }
}

function fieldOf(value: unknown, name: string | number): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

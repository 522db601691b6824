import { createHash } from "node:crypto";
import { stringify } from "yaml";
import {
  type Condition,
  type Expression,
  isExpression,
  type Manifest,
  type Template,
  type TemplateMap,
} from "./template.ts";

/** An object as the API server takes it. */
export interface InstallObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly [field: string]: unknown;
}

/** What a template is filled with: the values, with `namespace` beside them. */
export type Filling = Readonly<Record<string, unknown>>;

/** Left out: the entry or the item is not there. */
const ABSENT = Symbol("absent");

/** The objects that these values lead to, in the order of the manifests. */
export function resolveManifests(
  manifests: readonly Manifest[],
  filling: Filling,
): InstallObject[] {
  return manifests
    .filter(({ when }) => when === undefined || holds(when, filling))
    .map(({ object }) => resolveMap(object, filling) as unknown as InstallObject);
}

const YAML = { lineWidth: 0, aliasDuplicateObjects: false } as const;

/** A YAML document whose names are sorted, as the charts' `toYaml` sorts them. */
export function sortedYaml(structure: unknown): string {
  return stringify(structure, { ...YAML, sortMapEntries: true, indentSeq: false });
}

/** A YAML document for people, or for kubectl. */
export function plainYaml(structure: unknown): string {
  return stringify(structure, YAML);
}

/** The YAML documents of a stream for kubectl. */
export function objectStream(objects: readonly object[]): string {
  return objects.map((object) => `---\n${plainYaml(object)}`).join("");
}

/** The part of the values at a path with dots. */
export function valueAt(filling: Filling, path: string): unknown {
  let at: unknown = filling;
  for (const key of path.split(".")) {
    at =
      typeof at === "object" && at !== null
        ? Object.entries(at).find(([k]) => k === key)?.[1]
        : undefined;
  }
  if (at === undefined)
    throw new Error(`a manifest asks for the value ${path}, which does not exist`);
  return at;
}

function holds(condition: Condition, filling: Filling): boolean {
  if ("target" in condition) return condition.target === "objects";
  const found = valueAt(filling, condition.path);
  if (condition.is === "set") return !isEmpty(found);
  return (found === condition.to) === (condition.is === "equal");
}

/** As a chart's `if` and `with` see it. */
function isEmpty(found: unknown): boolean {
  if (typeof found === "object" && found !== null) return Object.keys(found).length === 0;
  return found === false || found === "" || found === 0 || found === null;
}

function resolve(template: Template, filling: Filling): unknown {
  if (isExpression(template)) return resolveExpression(template, filling);
  if (isList(template)) {
    return template.flatMap((item) => {
      if (isExpression(item) && item.op === "all") return valueAt(filling, item.path) as unknown[];
      const resolved = resolve(item, filling);
      return resolved === ABSENT ? [] : [resolved];
    });
  }
  return typeof template === "object" ? resolveMap(template, filling) : template;
}

function resolveMap(template: TemplateMap, filling: Filling): Record<string, unknown> {
  const entries: [string, unknown][] = [];
  for (const [key, entry] of Object.entries(template)) {
    if (isExpression(entry) && entry.op === "all") {
      entries.push(...Object.entries(valueAt(filling, entry.path) as object));
      continue;
    }
    const resolved = resolve(entry, filling);
    if (resolved !== ABSENT) entries.push([key, resolved]);
  }
  const names = entries.map(([key]) => key);
  const twice = names.find((key, index) => names.indexOf(key) !== index);
  if (twice !== undefined) throw new RangeError(`${twice} is hostmesh's own: it cannot be given`);
  return Object.fromEntries(entries);
}

function resolveExpression(expression: Expression, filling: Filling): unknown {
  switch (expression.op) {
    case "value":
    case "all":
      return valueAt(filling, expression.path);
    case "optional": {
      const found = valueAt(filling, expression.path);
      return isEmpty(found) ? ABSENT : found;
    }
    case "text":
      return expression.parts
        .map((part) => (typeof part === "string" ? part : String(resolveExpression(part, filling))))
        .join("");
    case "yaml":
      return sortedYaml(valueAt(filling, expression.path));
    case "digest":
      return createHash("sha256")
        .update(sortedYaml(valueAt(filling, expression.path)))
        .digest("hex");
    case "choice": {
      const { condition, yes, no } = expression;
      if (holds(condition, filling)) return resolve(yes, filling);
      return no === undefined ? ABSENT : resolve(no, filling);
    }
  }
}

export function isList(template: Template): template is readonly Template[] {
  return Array.isArray(template);
}

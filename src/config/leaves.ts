import * as z from "zod";
import { configSchema } from "./schema.ts";

/** One setting: a leaf of the schema. */
export interface Leaf {
  /** `ports.explicit`. */
  readonly name: string;
  readonly path: readonly string[];
  /** `HOSTMESH_PORTS_EXPLICIT`. */
  readonly env: string;
  readonly kind: LeafKind;
  /** In words: `whole number from 0 to 65535`, `number from 0 to 1`. */
  readonly expected: string;
  readonly text: string;
  /** As it would be written; null where `text` says what it is, because it depends on the machine. */
  readonly fallback: string | null;
}

/** How text from the environment or a flag becomes a value. */
export type LeafKind = "number" | "text" | "numbers" | "texts";

/** A group of settings, or the settings that belong to none (`name` is empty). */
export interface LeafGroup {
  readonly name: string;
  readonly text: string;
  readonly leaves: readonly Leaf[];
}

/** The part of a JSON Schema that the settings use. */
const nodeSchema = z.looseObject({
  type: z.string().optional(),
  description: z.string().default(""),
  default: z.unknown().optional(),
  enum: z.array(z.string()).optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  minLength: z.number().optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  items: z.unknown().optional(),
  /** The default depends on the machine: the description says how. */
  machineDefault: z.boolean().default(false),
});
type Node = z.infer<typeof nodeSchema>;

/** Every setting, grouped as in the schema. */
export function configLeaves(): LeafGroup[] {
  const root = nodeSchema.parse(z.toJSONSchema(configSchema, { io: "input" }));
  const general: Leaf[] = [];
  const groups: LeafGroup[] = [];
  for (const [key, value] of Object.entries(root.properties ?? {})) {
    const node = nodeSchema.parse(value);
    if (node.properties === undefined) general.push(leaf([key], node));
    else groups.push({ name: key, text: node.description, leaves: leavesOf(key, node) });
  }
  return [{ name: "", text: "", leaves: general }, ...groups];
}

/** `ports.metricsBind` is `HOSTMESH_PORTS_METRICS_BIND` in the environment. */
export function envName(path: readonly string[]): string {
  const words = path.map((part) => part.replace(/(?<=[a-z0-9])[A-Z]/g, (letter) => `_${letter}`));
  return ["HOSTMESH", ...words].join("_").toUpperCase();
}

function leavesOf(group: string, node: Node): Leaf[] {
  return leavesBelow([group], node);
}

/** Groups may hold groups. */
function leavesBelow(path: readonly string[], node: Node): Leaf[] {
  return Object.entries(node.properties ?? {}).flatMap(([key, value]) => {
    const inner = nodeSchema.parse(value);
    const place = [...path, key];
    return inner.properties === undefined ? [leaf(place, inner)] : leavesBelow(place, inner);
  });
}

function leaf(path: readonly string[], node: Node): Leaf {
  return {
    name: path.join("."),
    path,
    env: envName(path),
    kind: kindOf(node),
    expected: expectedOf(node),
    text: node.description,
    fallback: node.machineDefault ? null : JSON.stringify(node.default),
  };
}

function kindOf(node: Node): LeafKind {
  if (node.type === "array") {
    return nodeSchema.parse(node.items).type === "integer" ? "numbers" : "texts";
  }
  if (node.type === "integer" || node.type === "number") return "number";
  if (node.type === "string") return "text";
  throw new TypeError(`a setting of type ${String(node.type)} cannot be read from the environment`);
}

function expectedOf(node: Node): string {
  if (node.enum !== undefined) return `one of ${node.enum.join(", ")}`;
  if (node.type === "array") return `list of: ${expectedOf(nodeSchema.parse(node.items))}`;
  if (node.type === "string") return (node.minLength ?? 0) > 0 ? "text, not empty" : "text";
  const { minimum, maximum = Number.MAX_SAFE_INTEGER } = node;
  const from = minimum === undefined ? "" : ` from ${minimum}`;
  return `${node.type === "integer" ? "whole number" : "number"}${from}${maximum < Number.MAX_SAFE_INTEGER ? ` to ${maximum}` : ""}`;
}

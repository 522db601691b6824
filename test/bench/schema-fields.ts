import * as z from "zod";

interface Json {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Json[];
  readonly items?: Json;
  readonly properties?: Readonly<Record<string, Json>>;
  readonly additionalProperties?: Json | boolean;
}

/** Every field of a schema with its type in a few words: `results[].latencyMs.p50` -> `figure`. */
export function schemaFields(schema: z.ZodType): Map<string, string> {
  const fields = new Map<string, string>();
  const json = z.toJSONSchema(schema, { reused: "inline" }) as Json;
  walk(json, "", fields);
  return fields;
}

function walk(json: Json, path: string, fields: Map<string, string>): void {
  const { inner, isNullable } = withoutNull(json);
  if (path !== "") fields.set(path, `${nameOf(inner)}${isNullable ? " or null" : ""}`);
  if (isFigure(inner)) return;
  for (const [key, value] of Object.entries(inner.properties ?? {})) {
    walk(value, path === "" ? key : `${path}.${key}`, fields);
  }
  const { items } = inner;
  if (items === undefined) return;
  for (const [key, value] of Object.entries(items.properties ?? {})) {
    walk(value, `${path}[].${key}`, fields);
  }
}

function withoutNull(json: Json): { inner: Json; isNullable: boolean } {
  const others = (json.anyOf ?? []).filter(({ type }) => type !== "null");
  const [inner] = others;
  if (inner === undefined || others.length !== 1) return { inner: json, isNullable: false };
  return { inner, isNullable: true };
}

function isFigure({ properties = {} }: Json): boolean {
  return Object.keys(properties).join() === "median,min,max";
}

function nameOf(json: Json): string {
  if (json.const !== undefined) return JSON.stringify(json.const);
  if (json.enum !== undefined) return json.enum.map((one) => `\`${one}\``).join(", ");
  if (isFigure(json)) return "figure";
  if (json.type === "array") {
    const { items = {} } = json;
    return items.properties === undefined ? `list of ${nameOf(items)}` : "list";
  }
  if (json.type === "object") {
    const { additionalProperties } = json;
    if (typeof additionalProperties === "object" && json.properties === undefined) {
      return `${nameOf(additionalProperties)} by name`;
    }
    return "object";
  }
  return json.type ?? "unknown";
}

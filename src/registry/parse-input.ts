import type * as z from "zod";
import { formatPath, issuesOf } from "../core/schema-issue.ts";
import { RegistryError } from "./registry-error.ts";

/** Levels of nesting that any valid input stays below. */
const MAX_DEPTH = 12;

/** Checks untrusted input against a schema. Throws 400 that names the first bad field, `endpoints[0].port`. */
export function parseInput<T>(schema: z.ZodType<T>, input: unknown): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const { path, reason } = issuesOf(result.error)[0] ?? { path: "", reason: "refused" };
  throw new RegistryError(400, path === "" ? reason : `${path}: ${reason}`, path);
}

/**
 * Reads JSON from bytes. Throws 400 for bytes that are not UTF-8, text that is not JSON, nesting beyond
 * reason, and the keys through which a careless merge anywhere behind us would reach a prototype.
 */
export function parseJson(bytes: Uint8Array): unknown {
  if (bytes.length === 0) throw new RegistryError(400, "the request has no body; JSON is expected");
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    const reason = cause instanceof SyntaxError ? cause.message : "it is not UTF-8";
    throw new RegistryError(400, `the body is not JSON: ${reason}`, undefined, cause);
  }
  refuseHostile(value, []);
  return value;
}

function refuseHostile(value: unknown, path: readonly PropertyKey[]): void {
  if (typeof value !== "object" || value === null) return;
  if (path.length > MAX_DEPTH) throw new RegistryError(400, "nested too deeply", formatPath(path));
  if (Array.isArray(value)) {
    for (const [index, each] of value.entries()) refuseHostile(each, [...path, index]);
    return;
  }
  for (const [key, each] of Object.entries(value)) {
    if (key === "__proto__" || key === "constructor" || key === "prototype") {
      const where = formatPath([...path, key]);
      throw new RegistryError(400, `${where}: this key is not allowed`, where);
    }
    refuseHostile(each, [...path, key]);
  }
}

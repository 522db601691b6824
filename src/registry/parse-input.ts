import type * as z from "zod";
import { RegistryError } from "./registry-error.ts";

/** Levels of nesting that any valid input stays below. */
const MAX_DEPTH = 12;

/** Checks untrusted input against a schema. Throws 400 that names the first bad field, `endpoints[0].port`. */
export function parseInput<T>(schema: z.ZodType<T>, input: unknown): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const issue = deepest(result.error.issues);
  const unknown = issue.code === "unrecognized_keys" ? issue.keys[0] : undefined;
  const path = formatPath(unknown === undefined ? issue.path : [...issue.path, unknown]);
  const reason = unknown === undefined ? plainReason(issue.message) : "unknown field";
  throw new RegistryError(400, path === "" ? reason : `${path}: ${reason}`, path);
}

/** The schema library's words for a field that is not there speak of JavaScript; ours do not. */
function plainReason(message: string): string {
  if (/^Invalid input: expected .*, received undefined$/.test(message)) return "missing";
  return message.replace(/^Invalid input: expected/, "expected");
}

/** The first issue; of a union, the issue that got furthest in any of its forms. */
function deepest(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue {
  const first = issues[0];
  if (first === undefined) throw new TypeError("a failed parse has an issue");
  if (first.code !== "invalid_union") return first;
  let best: z.core.$ZodIssue | undefined;
  for (const form of first.errors) {
    const inner = form.length === 0 ? undefined : deepest(form);
    if (inner === undefined || (best !== undefined && inner.path.length <= best.path.length))
      continue;
    best = inner;
  }
  return best === undefined ? first : { ...best, path: [...first.path, ...best.path] };
}

/** `["endpoints", 0, "port"]` as `endpoints[0].port`. */
function formatPath(path: readonly PropertyKey[]): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += text === "" ? String(part) : `.${String(part)}`;
  }
  return text;
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

import type * as z from "zod";
import { hostilePart } from "../core/hostile-part.ts";
import { issuesOf } from "../core/schema-issue.ts";
import { RegistryError } from "./registry-error.ts";

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
  const hostile = hostilePart(value);
  if (hostile === null) return value;
  const { path, reason } = hostile;
  throw new RegistryError(400, path === "" ? reason : `${path}: ${reason}`, path);
}

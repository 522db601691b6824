import { open } from "node:fs/promises";
import type * as z from "zod";
import { BenchError } from "../lib/bench-error.ts";
import type { BenchResult } from "./result.ts";
import { resultSchema } from "./result-schema.ts";

/** A result of hundreds of rows with all its samples takes some megabytes. */
const MAX_BYTES = 64 * 1_048_576;
/** Problems that are named; the rest is counted. */
const SHOWN = 5;

/** Reads and checks a result.json. Throws a BenchError that names the file, and the path of each bad field. */
export async function readResult(path: string): Promise<BenchResult> {
  const text = await readText(path);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new BenchError(`${path} is not JSON: ${messageOf(error)}`);
  }
  const schema = typeof json === "object" && json !== null ? Reflect.get(json, "schema") : null;
  if (typeof schema === "number" && schema !== 1) {
    throw new BenchError(`${path} has schema ${schema}; this version reads schema 1`);
  }
  const { data, error } = resultSchema.safeParse(json);
  if (data === undefined) {
    throw new BenchError(`${path} is not a result of hostmesh bench:\n${describe(error.issues)}`);
  }
  return data;
}

async function readText(path: string): Promise<string> {
  try {
    await using file = await open(path, "r");
    const stat = await file.stat();
    // A pipe or device has no size, and might never end.
    if (!stat.isFile()) throw new BenchError(`${path} is not a file`);
    if (stat.size > MAX_BYTES) {
      throw new BenchError(`${path} has ${stat.size} bytes; a result has at most ${MAX_BYTES}`);
    }
    return await file.readFile("utf8");
  } catch (error) {
    if (error instanceof BenchError) throw error;
    throw new BenchError(`cannot read ${path}: ${messageOf(error)}`);
  }
}

function describe(issues: readonly z.core.$ZodIssue[]): string {
  const lines = issues.slice(0, SHOWN).map(({ path, message }) => `  ${pathOf(path)}: ${message}`);
  const more = issues.length - lines.length;
  return [...lines, ...(more > 0 ? [`  and ${more} more`] : [])].join("\n");
}

/** `results[3].latencyMs.p50`. */
function pathOf(path: readonly PropertyKey[]): string {
  if (path.length === 0) return "the whole";
  return path
    .map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`))
    .join("")
    .replace(/^\./, "");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

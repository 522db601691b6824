import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import {
  DocumentError,
  type ResourceText,
  readResources,
  type TextPlace,
} from "../dialects/resource-documents.ts";
import { CliError, EXIT } from "./cli-error.ts";

/** A larger file is none that a person wrote. */
const MAX_FILE_BYTES = 16_777_216;

export interface ResourceInFile extends ResourceText {
  /** `-` is standard input. */
  readonly file: string;
}

/** A file that is no YAML. */
export class UnreadableText extends CliError {
  readonly place: TextPlace;
  readonly reason: string;

  constructor(file: string, { line, column, message }: DocumentError) {
    super(`${file}:${line}:${column}: ${message}`, { exitCode: EXIT.usage });
    this.name = "UnreadableText";
    this.place = { line, column };
    this.reason = message;
  }
}

/** The resources of files, of the YAML and JSON files of folders, and of standard input (`-`). */
export async function resourcesInFiles(names: readonly string[]): Promise<ResourceInFile[]> {
  const lists: ResourceInFile[] = [];
  for (const name of names) {
    for (const file of await filesOf(name)) lists.push(...(await resourcesInFile(file)));
  }
  if (lists.length > 0) return lists;
  throw new CliError(`${names.join(", ")}: no resource`, { exitCode: EXIT.usage });
}

/** Throws {@link UnreadableText}. */
export async function resourcesInFile(file: string): Promise<ResourceInFile[]> {
  return parse(file, await read(file));
}

/** The file itself, or of a folder those that may hold resources, by name. */
export async function filesOf(name: string): Promise<string[]> {
  if (name === "-") return [name];
  const found = await attempt(name, () => stat(name));
  if (!found.isDirectory()) return [name];
  const inside = await attempt(name, () => readdir(name));
  return inside
    .filter((each) => /\.(ya?ml|json)$/.test(each))
    .sort()
    .map((each) => join(name, each));
}

async function read(file: string): Promise<string> {
  if (file === "-") return text(process.stdin);
  const { size } = await attempt(file, () => stat(file));
  if (size > MAX_FILE_BYTES) {
    throw new CliError(`${file}: larger than ${MAX_FILE_BYTES} bytes`, { exitCode: EXIT.usage });
  }
  return attempt(file, () => readFile(file, "utf8"));
}

async function attempt<T>(file: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    const why = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new CliError(`cannot read ${file}: ${why}`, { exitCode: EXIT.usage, cause });
  }
}

function parse(file: string, content: string): ResourceInFile[] {
  try {
    return readResources(content).map((each) => ({ ...each, file }));
  } catch (cause) {
    if (!(cause instanceof DocumentError)) throw cause;
    throw new UnreadableText(file, cause);
  }
}

/**
 * The resource with the namespace of `-n` where it names none. Throws where it names another: then one of the two is
 * a mistake.
 */
export function inNamespace(each: ResourceInFile, namespace: string | undefined): unknown {
  const { resource, file, line } = each;
  if (namespace === undefined || typeof resource !== "object" || resource === null) return resource;
  const isEntry = !("apiVersion" in resource);
  const holder = isEntry ? resource : "metadata" in resource ? resource.metadata : undefined;
  if (typeof holder !== "object" || holder === null) return resource;
  const field = isEntry && "Name" in resource ? "Namespace" : "namespace";
  const present = new Map<string, unknown>(Object.entries(holder)).get(field);
  if (present === undefined) {
    const filled = { ...holder, [field]: namespace };
    return isEntry ? filled : { ...resource, metadata: filled };
  }
  if (present === namespace) return resource;
  throw new CliError(`${file}:${line}: it is in namespace ${String(present)}, not ${namespace}`, {
    exitCode: EXIT.usage,
  });
}

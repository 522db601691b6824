import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import {
  type DocumentError,
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

/** What is no YAML. */
export class UnreadableText extends CliError {
  readonly file: string;
  readonly place: TextPlace;
  readonly reason: string;

  constructor(file: string, { line, column, message }: DocumentError) {
    super(`${file}:${line}:${column}: ${message}`, { exitCode: EXIT.usage });
    this.name = "UnreadableText";
    this.file = file;
    this.place = { line, column };
    this.reason = message;
  }
}

export interface ResourcesInFiles {
  readonly resources: readonly ResourceInFile[];
  /** Documents that are left out, of which the others know nothing. */
  readonly unreadable: readonly UnreadableText[];
}

/** The resources of files, of the YAML and JSON files of folders, and of standard input (`-`). */
export async function readFiles(names: readonly string[]): Promise<ResourcesInFiles> {
  const resources: ResourceInFile[] = [];
  const unreadable: UnreadableText[] = [];
  for (const name of names) {
    for (const file of await filesOf(name)) {
      const found = await resourcesInFile(file);
      for (const each of found.resources) resources.push(each);
      unreadable.push(...found.unreadable);
    }
  }
  if (resources.length > 0 || unreadable.length > 0) return { resources, unreadable };
  throw new CliError(`${names.join(", ")}: no resource`, { exitCode: EXIT.usage });
}

/** As {@link readFiles}, and throws {@link UnreadableText} where a document is no YAML. */
export async function resourcesInFiles(
  names: readonly string[],
): Promise<readonly ResourceInFile[]> {
  const { resources, unreadable } = await readFiles(names);
  const [first] = unreadable;
  if (first !== undefined) throw first;
  return resources;
}

export async function resourcesInFile(file: string): Promise<ResourcesInFiles> {
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

function parse(file: string, content: string): ResourcesInFiles {
  const { resources, problems } = readResources(content);
  return {
    resources: resources.map((each) => ({ ...each, file })),
    unreadable: problems.map((problem) => new UnreadableText(file, problem)),
  };
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

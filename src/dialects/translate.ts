import * as z from "zod";
import { DEFAULT_NAMESPACE } from "../core/model.ts";
import { formatPath, issuesOf } from "../core/schema-issue.ts";
import { ENTRY_GROUP } from "./consul/service-intentions.ts";
import { groupVersionOf, namespaceName, resourceHead } from "./envelope.ts";
import {
  keyOfResource,
  type ResourceName,
  type Translation,
  type TranslationContext,
  TranslationError,
  type Translator,
} from "./translator.ts";
import { translators } from "./translators.ts";

/** Text of one resource as JSON. */
export const MAX_CHARACTERS = 524_288;
const MAX_DEPTH = 64;

/** A resource whose kind is known. */
export interface IdentifiedResource {
  readonly name: ResourceName;
  readonly key: string;
  readonly version: string;
  readonly content: Readonly<Record<string, unknown>>;
  /** When it says that it was made, ms since the epoch; null: it does not say. */
  readonly createdMs: number | null;
  readonly translator: Translator;
}

/** Names in Consul's config entries, in all of their spellings. */
const entryHead = z.looseObject({
  name: z.string().min(1).max(128),
  namespace: namespaceName.or(z.literal("")).default(DEFAULT_NAMESPACE),
});

/** Does it look like a resource, good or bad, and not like a service or a list of them? */
export function isResource(content: unknown): boolean {
  if (typeof content !== "object" || content === null) return false;
  return "apiVersion" in content || "kind" in content || "Kind" in content;
}

/** Finds out what a resource is. Throws {@link TranslationError} for what is none, or is of an unknown kind. */
export function identify(resource: unknown): IdentifiedResource {
  const content = contentOf(resource);
  const entry = "apiVersion" in content ? undefined : entryTranslator(content);
  if (entry !== undefined) return identifyEntry(content, entry);
  const head = parse(resourceHead, content);
  const { kind, metadata } = head;
  const { group, version } = groupVersionOf(head.apiVersion);
  const translator = translators.find((each) => each.group === group && each.kind === kind);
  if (translator === undefined) {
    const known = translators.filter((each) => each.group === group).map((each) => each.kind);
    const reason =
      known.length === 0
        ? `unknown group ${group}`
        : `unknown kind ${kind} of ${group}; known: ${known.join(", ")}`;
    throw new TranslationError([{ path: known.length === 0 ? "apiVersion" : "kind", reason }]);
  }
  const { creationTimestamp, namespace } = metadata;
  const name = { group, kind, namespace, name: metadata.name };
  const createdMs = typeof creationTimestamp === "string" ? Date.parse(creationTimestamp) : null;
  return { name, key: keyOfResource(name), version, content, createdMs, translator };
}

/** Consul's config entries have no apiVersion, and `Kind` or a kind in small letters. */
function entryTranslator(content: Readonly<Record<string, unknown>>): Translator | undefined {
  const kind = content["Kind"] ?? content["kind"];
  const entries = translators.filter((each) => each.group === ENTRY_GROUP);
  const found = entries.find((each) => each.kind === kind);
  const isEntry = "Kind" in content || (typeof kind === "string" && /^[a-z-]+$/.test(kind));
  if (found !== undefined || !isEntry) return found;
  const known = entries.map((each) => each.kind).join(", ");
  const reason = `unknown kind ${String(kind)} of Consul's config entries; known: ${known}`;
  throw new TranslationError([{ path: "Kind" in content ? "Kind" : "kind", reason }]);
}

function identifyEntry(
  content: Readonly<Record<string, unknown>>,
  translator: Translator,
): IdentifiedResource {
  const { name, namespace } = parse(entryHead, {
    name: content["Name"] ?? content["name"],
    namespace: content["Namespace"] ?? content["namespace"],
  });
  const named = {
    ...{ group: ENTRY_GROUP, kind: translator.kind, name },
    namespace: namespace === "" ? DEFAULT_NAMESPACE : namespace,
  };
  return {
    ...{ name: named, key: keyOfResource(named), version: "v1", content },
    ...{ createdMs: null, translator },
  };
}

/** Translates a resource to policies. Throws {@link TranslationError} with the path of every bad field. */
export function translate(resource: unknown, context: TranslationContext): Translation {
  const { translator, content, version, name } = identify(resource);
  return translator.translate(content, version, name, context);
}

/** Resources out of one document: a resource, a list of them, or Kubernetes' `kind: List`. */
export function flatten(document: unknown): readonly unknown[] {
  if (Array.isArray(document)) return document;
  if (typeof document !== "object" || document === null) return [document];
  const { kind, items } = document as Record<string, unknown>;
  return typeof kind === "string" && kind.endsWith("List") && Array.isArray(items)
    ? items
    : [document];
}

function contentOf(resource: unknown): Readonly<Record<string, unknown>> {
  refusePrototypes(resource, []);
  const content = parse(z.record(z.string(), z.unknown()), resource);
  if (JSON.stringify(content).length <= MAX_CHARACTERS) return content;
  const reason = `a resource of more than ${MAX_CHARACTERS} characters`;
  throw new TranslationError([{ path: "", reason }]);
}

/** Refuses the one name that schemas leave out without a word: what is said there would have no effect. */
function refusePrototypes(value: unknown, path: readonly PropertyKey[]): void {
  if (typeof value !== "object" || value === null) return;
  if (path.length > MAX_DEPTH) {
    throw new TranslationError([{ path: "", reason: `is nested deeper than ${MAX_DEPTH}` }]);
  }
  for (const [key, each] of Object.entries(value)) {
    const place = [...path, Array.isArray(value) ? Number(key) : key];
    if (key === "__proto__") {
      throw new TranslationError([{ path: formatPath(place), reason: "is no name for a field" }]);
    }
    refusePrototypes(each, place);
  }
}

function parse<T>(schema: z.ZodType<T>, input: unknown): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new TranslationError(issuesOf(parsed.error), parsed.error);
}

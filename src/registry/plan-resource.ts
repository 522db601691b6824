import { isDeepStrictEqual } from "node:util";
import { type IdentifiedResource, identify } from "../dialects/translate.ts";
import { type KnownResource, type Translation, TranslationError } from "../dialects/translator.ts";
import { bucketNames } from "./buckets.ts";
import type { Draft } from "./draft.ts";
import type { ResourceWarning, StoredResource } from "./records.ts";

/** What translating needs beside the resources. */
export interface ResourceSettings {
  readonly rootNamespaces: readonly string[];
  readonly trustDomain: string;
  readonly defaultIntention: "allow" | "deny";
}

export interface AppliedResource {
  readonly result: "created" | "changed" | "unchanged";
  readonly warnings: readonly ResourceWarning[];
  /** Topics of which it spoke before, or speaks now: what depends on them must be translated anew. */
  readonly topics: readonly string[];
}

/**
 * Creates or replaces a resource and what it is translated to. `nowMs` is its age where it is new and does not say one.
 * Throws {@link TranslationError} where it cannot be taken; the draft is then to be dropped.
 */
export function applyResource(
  draft: Draft,
  resource: IdentifiedResource,
  settings: ResourceSettings,
  nowMs: number,
): AppliedResource {
  const { key, name, content, translator, version } = resource;
  const present = draft.get("resource", key);
  const isSame = present !== undefined && isDeepStrictEqual(present.content, content);
  const generation = (present?.generation ?? 0) + (isSame ? 0 : 1);
  const stored: StoredResource = {
    ...name,
    content,
    createdMs: resource.createdMs ?? present?.createdMs ?? nowMs,
    generation,
    warnings: [],
    policies: present?.policies ?? [],
    provides: translator.provides(content, version),
    needs: [],
  };
  // First as it is: it may ask for its own topic, to see whether it is the oldest.
  draft.put("resource", key, stored);
  const { warnings } = translateInto(draft, key, stored, resource, settings);
  const result = present === undefined ? "created" : isSame ? "unchanged" : "changed";
  const topics = new Set([...(present?.provides ?? []), ...stored.provides]);
  return { result, warnings, topics: [...topics] };
}

/** Removes a resource with its policies. The topics that it spoke of; null: it was not there. */
export function removeResource(draft: Draft, key: string): readonly string[] | null {
  const present = draft.get("resource", key);
  if (present === undefined) return null;
  for (const policy of present.policies) draft.remove("policy", policy);
  draft.remove("resource", key);
  return present.provides;
}

/** Translates anew what depends on these topics. */
export function refreshDependants(
  draft: Draft,
  topics: Iterable<string>,
  settings: ResourceSettings,
): void {
  const keys = new Set<string>();
  for (const topic of topics) {
    for (const key of draft.members(bucketNames.resourcesNeeding(topic))) keys.add(key);
  }
  for (const key of keys) {
    const present = draft.get("resource", key);
    if (present === undefined) continue;
    try {
      translateInto(draft, key, present, identify(present.content), settings);
    } catch (error) {
      if (!(error instanceof TranslationError)) throw error;
      // Taken by an earlier version that knew other fields: what it was translated to stays in force.
      const warning = { path: "", message: `not translated anew: ${error.message}` };
      draft.put("resource", key, { ...present, warnings: [warning] });
    }
  }
}

function translateInto(
  draft: Draft,
  key: string,
  stored: StoredResource,
  { translator, content, version, name }: IdentifiedResource,
  settings: ResourceSettings,
): Translation {
  const needs = new Set<string>();
  const translation = translator.translate(content, version, name, {
    ...settings,
    createdMs: stored.createdMs,
    about(topic) {
      needs.add(topic);
      return resourcesAbout(draft, topic);
    },
  });
  const policies = translation.records.map((each) => each.key);
  for (const gone of stored.policies) if (!policies.includes(gone)) draft.remove("policy", gone);
  for (const { kind, key: own, value } of translation.records) {
    if (kind === "policy") draft.put("policy", own, value);
  }
  const { warnings } = translation;
  draft.put("resource", key, { ...stored, warnings, policies, needs: [...needs] });
  return translation;
}

function resourcesAbout(draft: Draft, topic: string): KnownResource[] {
  return [...draft.members(bucketNames.resourcesOn(topic))]
    .flatMap((key) => {
      const found = draft.get("resource", key);
      return found === undefined
        ? []
        : [{ key, content: found.content, createdMs: found.createdMs }];
    })
    .sort((a, b) => a.createdMs - b.createdMs || (a.key < b.key ? -1 : 1));
}

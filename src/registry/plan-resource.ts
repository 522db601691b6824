import { isDeepStrictEqual } from "node:util";
import { type IdentifiedResource, identify } from "../dialects/translate.ts";
import {
  type ClusterRules,
  type KnownResource,
  type Translation,
  TranslationError,
} from "../dialects/translator.ts";
import { bucketNames } from "./buckets.ts";
import { Draft } from "./draft.ts";
import type { PlanSettings } from "./inputs.ts";
import { removeRecords, replaceRecords } from "./plan-records.ts";
import type { ResourceWarning, StoredResource } from "./records.ts";
import { RegistryError } from "./registry-error.ts";
import { keepRevision, nextGeneration, type ResourceChange } from "./resource-history.ts";

/** What translating needs beside the resources. */
export interface ResourceSettings {
  readonly rootNamespaces: readonly string[];
  readonly trustDomain: string;
  readonly defaultIntention: "allow" | "deny";
  /** Revisions that are kept of each resource, the newest included; 0: none. */
  readonly historyPerResource: number;
  /** The resources are those of a Kubernetes cluster; absent: they are applied. */
  readonly cluster?: ClusterRules;
}

/** And what putting their services into the registry needs besides. */
export type ResourcePlanSettings = ResourceSettings & PlanSettings;

/** A resource that is worse off by the change of another. */
export interface AffectedResource {
  readonly key: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Those that it did not have before. */
  readonly warnings: readonly ResourceWarning[];
}

/** Fields by which resources name the services and endpoints that they bring; elsewhere it is their own name. */
const PLACE_OF_SERVICES: ReadonlyMap<string, string> = new Map([
  ["ServiceEntry", "spec.hosts"],
  ["EndpointSlice", "endpoints"],
]);

/** And by which they name virtual addresses. */
const PLACE_OF_ADDRESSES: ReadonlyMap<string, string> = new Map([
  ["ServiceEntry", "spec.addresses"],
  ["Service", "spec.clusterIP"],
]);

export interface AppliedResource {
  readonly result: "created" | "changed" | "unchanged";
  readonly warnings: readonly ResourceWarning[];
  /** Topics of which it spoke before, or speaks now: what depends on them must be translated anew. */
  readonly topics: readonly string[];
}

/**
 * Creates or replaces a resource and what it is translated to; it is as old as the change where it is new and does not
 * say its age. Throws {@link TranslationError} where it cannot be taken; the draft is then to be dropped.
 */
export function applyResource(
  draft: Draft,
  resource: IdentifiedResource,
  settings: ResourcePlanSettings,
  change: ResourceChange,
  cause: "applied" | "rolled back" = "applied",
): AppliedResource {
  const { key, name, content, translator, version } = resource;
  const present = draft.get("resource", key);
  const isSame = present !== undefined && isDeepStrictEqual(present.content, content);
  const generation = isSame ? present.generation : nextGeneration(draft, key);
  const createdMs = resource.createdMs ?? present?.createdMs ?? change.atMs;
  const stored: StoredResource = {
    ...name,
    content,
    createdMs,
    generation,
    warnings: [],
    records: present?.records ?? [],
    provides: translator.provides(content, version),
    needs: [],
  };
  if (!isSame) {
    const revision = { generation, content, createdMs, ...change, cause };
    keepRevision(draft, key, name, present, revision, settings.historyPerResource);
  }
  // First as it is: it may ask for its own topic, to see whether it is the oldest.
  draft.put("resource", key, stored);
  const { warnings } = translateInto(draft, key, stored, resource, settings);
  const result = present === undefined ? "created" : isSame ? "unchanged" : "changed";
  // Many share a topic, as the slices of a large Service do, of which something changes all the time.
  if (present !== undefined && translator.isTheSameToOthers(present.content, content)) {
    return { result, warnings, topics: [] };
  }
  const topics = new Set([...(present?.provides ?? []), ...stored.provides]);
  return { result, warnings, topics: [...topics] };
}

/** Removes a resource with all that it brought. The topics that it spoke of; null: it was not there. */
export function removeResource(
  draft: Draft,
  key: string,
  settings: ResourcePlanSettings,
  change: ResourceChange,
): readonly string[] | null {
  const present = draft.get("resource", key);
  if (present === undefined) return null;
  const { createdMs } = present;
  const generation = nextGeneration(draft, key);
  const revision = { generation, content: null, createdMs, ...change, cause: "removed" as const };
  keepRevision(draft, key, present, present, revision, settings.historyPerResource);
  removeRecords(draft, key, present.records, settings);
  draft.remove("resource", key);
  return present.provides;
}

/** Translates anew what depends on these topics; see {@link refreshResources}. */
export function refreshDependants(
  draft: Draft,
  topics: Iterable<string>,
  settings: ResourcePlanSettings,
): AffectedResource[] {
  return refreshResources(draft, dependantsOn(draft, topics), settings);
}

/** Keys of the resources whose translation depends on these topics. */
export function dependantsOn(draft: Draft, topics: Iterable<string>): ReadonlySet<string> {
  const keys = new Set<string>();
  for (const topic of topics) {
    for (const key of draft.members(bucketNames.resourcesNeeding(topic))) keys.add(key);
  }
  return keys;
}

/**
 * Translates resources anew. The warnings that this brought; with "not translated anew" the resource's former translation
 * stays in force.
 */
export function refreshResources(
  draft: Draft,
  keys: Iterable<string>,
  settings: ResourcePlanSettings,
): AffectedResource[] {
  return [...keys].flatMap((key) => {
    const present = draft.get("resource", key);
    if (present === undefined) return [];
    refresh(draft, key, present, settings);
    const known = new Set(present.warnings.map(({ path, message }) => `${path} ${message}`));
    const warnings = (draft.get("resource", key)?.warnings ?? []).filter(
      ({ path, message }) => !known.has(`${path} ${message}`),
    );
    const { kind, namespace, name } = present;
    return warnings.length === 0 ? [] : [{ key, kind, namespace, name, warnings }];
  });
}

function refresh(
  draft: Draft,
  key: string,
  present: StoredResource,
  settings: ResourcePlanSettings,
): void {
  const own = new Draft(draft);
  try {
    translateInto(own, key, present, identify(present.content), settings);
    draft.absorb(own);
  } catch (error) {
    if (!(error instanceof TranslationError)) throw error;
    // Such as one that an earlier version took: what it was translated to stays in force.
    const warning = { path: "", message: `not translated anew: ${error.message}` };
    draft.put("resource", key, { ...present, warnings: [warning] });
  }
}

function translateInto(
  draft: Draft,
  key: string,
  stored: StoredResource,
  { translator, content, version, name }: IdentifiedResource,
  settings: ResourcePlanSettings,
): Translation {
  const { rootNamespaces, trustDomain, defaultIntention, balancer, cluster } = settings;
  const needs = new Set<string>();
  const translation = translator.translate(content, version, name, {
    ...{ rootNamespaces, trustDomain, defaultIntention, balancer },
    ...(cluster === undefined ? {} : { cluster }),
    createdMs: stored.createdMs,
    about(topic) {
      needs.add(topic);
      return resourcesAbout(draft, topic);
    },
  });
  try {
    replaceRecords(draft, key, stored.records, translation.records, settings);
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    const isAddress = error.path?.startsWith("addresses") === true;
    const places = isAddress ? PLACE_OF_ADDRESSES : PLACE_OF_SERVICES;
    const path = places.get(name.kind) ?? "metadata.name";
    throw new TranslationError([{ path, reason: error.message }], error);
  }
  const { warnings } = translation;
  const records = translation.records.map(({ kind, key: own }) => ({ kind, key: own }));
  draft.put("resource", key, { ...stored, warnings, records, needs: [...needs] });
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

import type { Issue } from "../../core/schema-issue.ts";
import type { IdentifiedResource } from "../../dialects/translate.ts";
import { TranslationError } from "../../dialects/translator.ts";
import { Draft } from "../../registry/draft.ts";
import {
  applyResource,
  dependantsOn,
  type ResourcePlanSettings,
  refreshResources,
  removeResource,
} from "../../registry/plan-resource.ts";
import { problemOf } from "../../registry/record-schema.ts";
import type { RecordValues } from "../../registry/records.ts";
import { RegistryError } from "../../registry/registry-error.ts";
import type { ResourceChange } from "../../registry/resource-history.ts";
import type { WantedHost } from "./host-table.ts";
import type { WantedWorkload } from "./pod-table.ts";

/** Resources that are translated anew together, at most: it is done in one turn of the event loop. */
const MAX_REFRESHED = 250;

/** What has changed in a cluster, to be written together. */
export interface ClusterChanges {
  /** Keys of resources that are still to be translated anew, because of what was written before. */
  readonly stale: readonly string[];
  /** Keys of resources. */
  readonly removed: readonly string[];
  readonly resources: readonly IdentifiedResource[];
  readonly workloads: readonly WantedWorkload[];
  readonly hosts: readonly WantedHost[];
}

export interface Refusal {
  readonly key: string;
  readonly issues: readonly Issue[];
  /** By something that another resource has: it may be taken when that goes. */
  readonly isConflict: boolean;
}

/** What became of the changes. */
export interface Applied {
  readonly refusals: readonly Refusal[];
  /** What depends on them, and is still to be translated anew. */
  readonly stale: readonly string[];
  /** Workloads and hosts that no record can be made of, with the reason. They have none. */
  readonly unusable: readonly string[];
}

/**
 * Plans the changes, each resource by itself: a bad one is refused and holds up nothing. What depends on them is translated
 * anew at the end, as far as it was not translated after what it depends on, and the rest with the next changes.
 */
export function applyChanges(
  draft: Draft,
  { removed, resources, stale, ...records }: ClusterChanges,
  settings: ResourcePlanSettings,
  change: ResourceChange,
): Applied {
  const unusable = putRecords(draft, records);
  // Steps at which a topic was last spoken of, and a resource translated.
  const changedAt = new Map<string, number>();
  const translatedAt = new Map<string, number>();
  for (const key of removed) {
    for (const topic of removeResource(draft, key, settings, change) ?? []) changedAt.set(topic, 0);
  }
  const refusals: Refusal[] = [];
  for (const [index, resource] of resources.entries()) {
    const own = new Draft(draft);
    try {
      const { topics } = applyResource(own, resource, settings, change);
      draft.absorb(own);
      translatedAt.set(resource.key, index + 1);
      for (const topic of topics) changedAt.set(topic, index + 1);
    } catch (error) {
      refusals.push(refusalOf(resource.key, error));
    }
  }
  const left = stale.filter((key) => !translatedAt.has(key));
  const all = [...new Set([...left, ...outdated(draft, changedAt, translatedAt)])];
  refreshResources(draft, all.slice(0, MAX_REFRESHED), settings);
  return { refusals, stale: all.slice(MAX_REFRESHED), unusable };
}

/** What depends on topics that have changed since it was translated. */
function* outdated(
  draft: Draft,
  changedAt: ReadonlyMap<string, number>,
  translatedAt: ReadonlyMap<string, number>,
): Iterable<string> {
  for (const [topic, step] of changedAt) {
    for (const key of dependantsOn(draft, [topic])) {
      if ((translatedAt.get(key) ?? -1) < step) yield key;
    }
  }
}

function putRecords(
  draft: Draft,
  { workloads, hosts }: Pick<ClusterChanges, "workloads" | "hosts">,
): string[] {
  return [
    ...workloads.flatMap(({ key, value }) => putRecord(draft, "workload", key, value)),
    ...hosts.flatMap(({ key, value }) => putRecord(draft, "host", key, value)),
  ];
}

/** One that could not be written would hold up all others; and what it was before does not hold any more. */
function putRecord<K extends "workload" | "host">(
  draft: Draft,
  kind: K,
  key: string,
  value: RecordValues[K] | null,
): string[] {
  const problem = value === null ? null : problemOf(kind, value);
  if (value === null || problem !== null) draft.remove(kind, key);
  else draft.put(kind, key, value);
  return problem === null ? [] : [`${kind} ${key}: ${problem}`];
}

/** Throws what is no refusal. */
export function refusalOf(key: string, error: unknown): Refusal {
  if (!(error instanceof TranslationError)) throw error;
  return { key, issues: error.issues, isConflict: error.cause instanceof RegistryError };
}

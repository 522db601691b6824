import type { Issue } from "../../core/schema-issue.ts";
import type { IdentifiedResource } from "../../dialects/translate.ts";
import { TranslationError } from "../../dialects/translator.ts";
import { Draft } from "../../registry/draft.ts";
import {
  applyResource,
  type ResourcePlanSettings,
  refreshDependants,
  removeResource,
} from "../../registry/plan-resource.ts";
import { RegistryError } from "../../registry/registry-error.ts";
import type { ResourceChange } from "../../registry/resource-history.ts";
import type { WantedHost } from "./host-table.ts";
import type { WantedWorkload } from "./pod-table.ts";

/** What has changed in a cluster, to be written together. */
export interface ClusterChanges {
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

/**
 * Plans the changes, each resource by itself: a bad one is refused and holds up nothing. What depends on them is translated
 * anew once, at the end, and only where it was not translated after what it depends on.
 */
export function applyChanges(
  draft: Draft,
  { removed, resources, ...records }: ClusterChanges,
  settings: ResourcePlanSettings,
  change: ResourceChange,
): readonly Refusal[] {
  putRecords(draft, records);
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
  refreshDependants(draft, changedAt.keys(), settings, (key, topic) => {
    return (translatedAt.get(key) ?? -1) >= (changedAt.get(topic) ?? 0);
  });
  return refusals;
}

function putRecords(
  draft: Draft,
  { workloads, hosts }: Pick<ClusterChanges, "workloads" | "hosts">,
): void {
  for (const { key, value } of workloads) {
    if (value === null) draft.remove("workload", key);
    else draft.put("workload", key, value);
  }
  for (const { key, value } of hosts) {
    if (value === null) draft.remove("host", key);
    else draft.put("host", key, value);
  }
}

/** Throws what is no refusal. */
export function refusalOf(key: string, error: unknown): Refusal {
  if (!(error instanceof TranslationError)) throw error;
  return { key, issues: error.issues, isConflict: error.cause instanceof RegistryError };
}

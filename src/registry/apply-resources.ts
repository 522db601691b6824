import type { Issue } from "../core/schema-issue.ts";
import { type ForeignResource, foreignResource } from "../dialects/foreign-kinds.ts";
import { type IdentifiedResource, identify } from "../dialects/translate.ts";
import { type ResourceName, TranslationError } from "../dialects/translator.ts";
import { Draft } from "./draft.ts";
import {
  type AffectedResource,
  applyResource,
  type ResourcePlanSettings,
  refreshDependants,
} from "./plan-resource.ts";
import type { ResourceWarning } from "./records.ts";
import type { ResourceChange } from "./resource-history.ts";

/** What became of one resource of a request. */
export interface ResourceOutcome extends Partial<ResourceName> {
  /** Absent where it is not known what the resource is. */
  readonly key?: string;
  /** `skipped`: of a kind that there is nothing to do for, such as a Deployment or a Gateway. */
  readonly result: "created" | "changed" | "unchanged" | "refused" | "skipped";
  /** Why it is skipped. */
  readonly reason?: string;
  readonly errors: readonly Issue[];
  readonly warnings: readonly ResourceWarning[];
}

export interface AppliedResources {
  readonly results: readonly ResourceOutcome[];
  /** Others that depend on them, and are worse off. */
  readonly affected: readonly AffectedResource[];
}

/** One resource, or what is wrong with its head. */
type Candidate = { readonly resource: IdentifiedResource } | { readonly outcome: ResourceOutcome };

/** Finds out what each resource is, once, before anything is planned. */
export function candidatesOf(resources: readonly unknown[]): Candidate[] {
  return resources.map((each) => {
    const foreign = foreignResource(each);
    if (foreign !== null) return { outcome: skipped(foreign) };
    try {
      return { resource: identify(each) };
    } catch (error) {
      return { outcome: refusal(error, {}) };
    }
  });
}

/** Applies resources, each by itself: a bad one is refused and does not hold up the others. */
export function applyResources(
  draft: Draft,
  candidates: readonly Candidate[],
  settings: ResourcePlanSettings,
  change: ResourceChange,
): AppliedResources {
  const topics = new Set<string>();
  const outcomes = candidates.map((candidate): ResourceOutcome => {
    if ("outcome" in candidate) return candidate.outcome;
    const { name, key } = candidate.resource;
    const own = new Draft(draft);
    try {
      const applied = applyResource(own, candidate.resource, settings, change);
      draft.absorb(own);
      for (const topic of applied.topics) topics.add(topic);
      return { ...name, key, result: applied.result, errors: [], warnings: applied.warnings };
    } catch (error) {
      return refusal(error, { ...name, key });
    }
  });
  const affected = refreshDependants(draft, topics, settings);
  const taken = new Set<string>();
  // A resource may stand before another that it names: what is told of it is what holds in the end.
  const results = outcomes.map((outcome) => {
    const stored = outcome.key === undefined ? undefined : draft.get("resource", outcome.key);
    if (outcome.result === "refused" || stored === undefined) return outcome;
    taken.add(outcome.key ?? "");
    return { ...outcome, warnings: stored.warnings };
  });
  return { results, affected: affected.filter(({ key }) => !taken.has(key)) };
}

function skipped(foreign: ForeignResource): ResourceOutcome {
  return { ...foreign, result: "skipped", errors: [], warnings: [] };
}

function refusal(error: unknown, name: Partial<ResourceName & { key: string }>): ResourceOutcome {
  if (!(error instanceof TranslationError)) throw error;
  return { ...name, result: "refused", errors: error.issues, warnings: [] };
}

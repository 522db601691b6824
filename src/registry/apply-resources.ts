import type { Issue } from "../core/schema-issue.ts";
import { type IdentifiedResource, identify } from "../dialects/translate.ts";
import { type ResourceName, TranslationError } from "../dialects/translator.ts";
import { Draft } from "./draft.ts";
import { applyResource, type ResourceSettings, refreshDependants } from "./plan-resource.ts";
import type { ResourceWarning } from "./records.ts";

/** What became of one resource of a request. */
export interface ResourceOutcome extends Partial<ResourceName> {
  /** Absent where it is not known what the resource is. */
  readonly key?: string;
  readonly result: "created" | "changed" | "unchanged" | "refused";
  readonly errors: readonly Issue[];
  readonly warnings: readonly ResourceWarning[];
}

/** One resource, or what is wrong with its head. */
type Candidate = { readonly resource: IdentifiedResource } | { readonly outcome: ResourceOutcome };

/** Finds out what each resource is, once, before anything is planned. */
export function candidatesOf(resources: readonly unknown[]): Candidate[] {
  return resources.map((each) => {
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
  settings: ResourceSettings,
  nowMs: number,
): ResourceOutcome[] {
  const topics = new Set<string>();
  const outcomes = candidates.map((candidate): ResourceOutcome => {
    if ("outcome" in candidate) return candidate.outcome;
    const { name, key } = candidate.resource;
    const own = new Draft(draft);
    try {
      const applied = applyResource(own, candidate.resource, settings, nowMs);
      draft.absorb(own);
      for (const topic of applied.topics) topics.add(topic);
      return { ...name, key, result: applied.result, errors: [], warnings: applied.warnings };
    } catch (error) {
      return refusal(error, { ...name, key });
    }
  });
  refreshDependants(draft, topics, settings);
  // A resource may stand before another that it names: what is told of it is what holds in the end.
  return outcomes.map((outcome) => {
    const stored = outcome.key === undefined ? undefined : draft.get("resource", outcome.key);
    const isTaken = outcome.result !== "refused" && stored !== undefined;
    return isTaken ? { ...outcome, warnings: stored.warnings } : outcome;
  });
}

function refusal(error: unknown, name: Partial<ResourceName & { key: string }>): ResourceOutcome {
  if (!(error instanceof TranslationError)) throw error;
  return { ...name, result: "refused", errors: error.issues, warnings: [] };
}

import { isDeepStrictEqual } from "node:util";
import { identify } from "../dialects/translate.ts";
import type { Draft } from "./draft.ts";
import {
  type AffectedResource,
  applyResource,
  type ResourcePlanSettings,
  refreshDependants,
} from "./plan-resource.ts";
import type { ResourceRevision, ResourceWarning } from "./records.ts";
import { RegistryError } from "./registry-error.ts";
import type { ResourceChange } from "./resource-history.ts";

export interface RolledBack {
  readonly result: "created" | "changed" | "unchanged";
  /** The revision whose content holds again. */
  readonly from: number;
  readonly generation: number;
  readonly warnings: readonly ResourceWarning[];
  /** Others that depend on it, and are worse off. */
  readonly affected: readonly AffectedResource[];
}

/**
 * Makes an earlier content of a resource the present one, as a new revision; also of one that was removed. Without
 * `generation`: the newest content that is another than the present one. Throws 404 where that is not kept, 400 where it is
 * a removal, and TranslationError where the content is not accepted any more.
 */
export function rollBack(
  draft: Draft,
  key: string,
  generation: number | undefined,
  settings: ResourcePlanSettings,
  change: ResourceChange,
): RolledBack {
  const revisions = draft.get("history", key)?.revisions ?? [];
  if (revisions.length === 0) {
    throw new RegistryError(404, `no earlier revision of ${key} is kept`);
  }
  const target =
    generation === undefined ? before(draft, key, revisions) : find(revisions, generation);
  if (target === undefined) {
    const known = revisions.map((each) => each.generation).join(", ");
    const missing = generation === undefined ? "no other content" : `no generation ${generation}`;
    throw new RegistryError(404, `${missing} of ${key} is kept; there are: ${known}`);
  }
  const { content, createdMs } = target;
  if (content === null) {
    const reason = `generation ${target.generation} of ${key} is its removal: delete it instead`;
    throw new RegistryError(400, reason, "generation");
  }
  // What comes back is as old as it was.
  const identified = identify(content);
  const aged = { ...identified, createdMs: identified.createdMs ?? createdMs };
  const applied = applyResource(draft, aged, settings, change, "rolled back");
  const affected = refreshDependants(draft, applied.topics, settings);
  const now = draft.get("resource", key);
  return {
    ...{ result: applied.result, from: target.generation, generation: now?.generation ?? 0 },
    ...{ warnings: now?.warnings ?? [], affected: affected.filter((each) => each.key !== key) },
  };
}

function before(
  draft: Draft,
  key: string,
  revisions: readonly ResourceRevision[],
): ResourceRevision | undefined {
  const present = draft.get("resource", key)?.content;
  return revisions.findLast(
    ({ content }) => content !== null && !isDeepStrictEqual(content, present),
  );
}

function find(
  revisions: readonly ResourceRevision[],
  generation: number,
): ResourceRevision | undefined {
  return revisions.find((each) => each.generation === generation);
}

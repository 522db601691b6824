import type { ResourceName } from "../dialects/translator.ts";
import { bucketNames } from "./buckets.ts";
import type { Draft } from "./draft.ts";
import type { ResourceRevision, StoredResource } from "./records.ts";

/** Text of all contents in one history, as JSON; the newest is kept whatever its size. */
const MAX_CHARACTERS = 1_048_576;
/** Histories of resources that are gone. Beyond it the one that went first is forgotten. */
const MAX_REMOVED = 1_000;

/** Who changes a resource, and when. */
export interface ResourceChange {
  /** ms since the epoch. */
  readonly atMs: number;
  /** For people: `operator at 10.0.0.1`. */
  readonly by: string;
}

/** Number of the next revision: it goes on where a removed resource of the same name stopped. */
export function nextGeneration(draft: Draft, key: string): number {
  const present = draft.get("resource", key)?.generation ?? 0;
  const kept = draft.get("history", key)?.revisions.at(-1)?.generation ?? 0;
  return Math.max(present, kept) + 1;
}

/**
 * Keeps a revision that is about to replace what is there (`before`; undefined: nothing is). At most `limit` are kept, the
 * newest included; 0: none.
 */
export function keepRevision(
  draft: Draft,
  key: string,
  name: ResourceName,
  before: StoredResource | undefined,
  revision: ResourceRevision,
  limit: number,
): void {
  if (limit === 0) {
    draft.remove("history", key);
    return;
  }
  const kept = draft.get("history", key)?.revisions ?? (before === undefined ? [] : [seed(before)]);
  const revisions = bounded([...kept, revision].slice(-limit));
  const { group, kind, namespace, name: own } = name;
  draft.put("history", key, { group, kind, namespace, name: own, revisions });
  if (revision.content === null) forgetOldest(draft);
}

/** What a version without histories has stored. */
function seed({ generation, content, createdMs }: StoredResource): ResourceRevision {
  return { generation, content, createdMs, atMs: null, by: "", cause: "applied" };
}

function bounded(revisions: readonly ResourceRevision[]): ResourceRevision[] {
  let characters = 0;
  const kept: ResourceRevision[] = [];
  for (const revision of revisions.toReversed()) {
    characters += JSON.stringify(revision.content).length;
    if (kept.length > 0 && characters > MAX_CHARACTERS) break;
    kept.unshift(revision);
  }
  return kept;
}

function forgetOldest(draft: Draft): void {
  const removed = [...draft.members(bucketNames.removedResources)];
  if (removed.length <= MAX_REMOVED) return;
  const age = (key: string) => draft.get("history", key)?.revisions.at(-1)?.atMs ?? 0;
  const [oldest] = removed.sort((a, b) => age(a) - age(b));
  if (oldest !== undefined) draft.remove("history", oldest);
}

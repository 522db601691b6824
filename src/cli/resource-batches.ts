import type { Config } from "../config/schema.ts";
import { hostilePart } from "../core/hostile-part.ts";
import type { Issue } from "../core/schema-issue.ts";
import { MAX_CHARACTERS } from "../dialects/translate.ts";
import { callRegistry } from "./registry.ts";

/** Resources in one request, and characters: the registry takes 1,000 and 8 MiB, and plans them in one go. */
const MAX_RESOURCES = 250;
const BATCH_CHARACTERS = 4_194_304;
/** Planning a batch of the largest resources takes a while on a busy machine. */
const TIMEOUT_MS = 60_000;

/** Why the registry would refuse a whole request that holds this resource; null: it takes the request. */
export function unsendable(content: unknown): Issue | null {
  // The request is a list.
  const hostile = hostilePart(content, 1);
  if (hostile !== null) return hostile;
  if (JSON.stringify(content ?? null).length <= MAX_CHARACTERS) return null;
  return { path: "", reason: `a resource of more than ${MAX_CHARACTERS} characters` };
}

/**
 * Posts resources, as many at a time as the registry takes, and yields each answer with the resources it is about. None of
 * them may be {@link unsendable}.
 */
export async function* postResources<T>(
  config: Config,
  path: string,
  resources: readonly T[],
  contentOf: (resource: T) => unknown,
): AsyncGenerator<{ readonly answer: unknown; readonly batch: readonly T[] }> {
  for (const batch of batchesOf(resources, contentOf)) {
    const body = batch.map(contentOf);
    const call = { method: "POST", path, body, alsoOk: [400], timeoutMs: TIMEOUT_MS } as const;
    yield { answer: await callRegistry(config, call), batch };
  }
}

function* batchesOf<T>(
  resources: readonly T[],
  contentOf: (resource: T) => unknown,
): Generator<readonly T[]> {
  let batch: T[] = [];
  let characters = 0;
  for (const each of resources) {
    const own = JSON.stringify(contentOf(each) ?? null).length;
    const isFull = batch.length >= MAX_RESOURCES || characters + own > BATCH_CHARACTERS;
    if (isFull && batch.length > 0) {
      yield batch;
      [batch, characters] = [[], 0];
    }
    batch.push(each);
    characters += own;
  }
  if (batch.length > 0) yield batch;
}

import { setTimeout as delay } from "node:timers/promises";

/**
 * Waits for a piece of work, but once `force` has fired for `graceMs` at most: a second signal must end the
 * process whatever hangs. Rejects then; the work itself goes on unheeded.
 */
export async function abandonAtForce<T>(
  work: Promise<T>,
  force: AbortSignal | undefined,
  graceMs: number,
): Promise<T> {
  if (force === undefined) return work;
  const over = new AbortController();
  const abandoned = forced(force, over.signal).then(async () => {
    await delay(graceMs, undefined, { signal: over.signal });
    throw new Error("stopped at once, before it was done");
  });
  // Whichever comes second has nobody left to listen to it.
  abandoned.catch(() => undefined);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, abandoned]);
  } finally {
    over.abort();
  }
}

function forced(force: AbortSignal, over: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (force.aborted) resolve();
    force.addEventListener("abort", () => resolve(), { once: true, signal: over });
    over.addEventListener("abort", () => reject(new Error("over")), { once: true });
  });
}

import type { Clock } from "../src/core/clock.ts";

export interface Readiness {
  readonly ready: boolean;
  /** Why not; empty when ready. */
  readonly reasons: readonly string[];
}

export interface ReadinessDeps {
  /** Has a snapshot of the registry, or the last good one from disk, been applied? */
  readonly hasSnapshot: () => boolean;
  /** Is the daemon about to stop? */
  readonly draining: () => boolean;
  /** One answer per worker; null where there was none in time. */
  readonly ping: (timeoutMs: number) => Promise<readonly unknown[]>;
  /** A real request through the data path; rejects with the reason. */
  readonly probe: (timeoutMs: number) => Promise<void>;
  readonly clock: Clock;
}

const TIMEOUT_MS = 1_000;
const CACHE_MS = 1_000;

/**
 * Whether the data path serves, proven by use. The answer is kept for a second, so that many callers cost
 * one check. Returns the function that checks; it never rejects.
 */
export function readinessCheck(deps: ReadinessDeps): () => Promise<Readiness> {
  let takenMs = Number.NEGATIVE_INFINITY;
  let last: Promise<Readiness> | null = null;
  return () => {
    const now = deps.clock.now();
    if (last === null || now - takenMs >= CACHE_MS) {
      takenMs = now;
      last = check(deps);
    }
    return last;
  };
}

async function check(deps: ReadinessDeps): Promise<Readiness> {
  const reasons: string[] = [];
  if (deps.draining()) reasons.push("draining");
  if (!deps.hasSnapshot()) reasons.push("no snapshot from the registry or from disk yet");
  const [answers, probe] = await Promise.allSettled([
    deps.ping(TIMEOUT_MS),
    deps.probe(TIMEOUT_MS),
  ]);
  if (answers.status === "rejected") reasons.push(`workers: ${reasonOf(answers.reason)}`);
  else {
    for (const [index, answer] of answers.value.entries()) {
      if (answer === null) reasons.push(`worker ${index} gives no answer`);
    }
  }
  if (probe.status === "rejected") reasons.push(`data path: ${reasonOf(probe.reason)}`);
  return { ready: reasons.length === 0, reasons };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

import type { Timers } from "../timers.ts";
import type { PrivateStore } from "./private-store.ts";

/** What could not be read is tried again after so long. */
const RETRY_MS = 1_000;

export interface FollowOptions {
  readonly store: PrivateStore;
  readonly timers: Timers;
  /** Which entries are of interest. */
  isWanted(name: string): boolean;
  /** Reads the entry anew. Rejects where that fails; it is then called again. */
  look(name: string): Promise<void>;
  /** Told of the first failure of a row. */
  failed(name: string, error: unknown): void;
}

/** Has entries read anew when they change; one look at an entry at a time. The result ends it. */
export function followStore(options: FollowOptions): () => void {
  const { store, timers, isWanted, look, failed } = options;
  /** Entries that are being read, and whether they changed again meanwhile. */
  const busy = new Map<string, { again: boolean }>();
  const retries = new Map<string, () => void>();
  let ended = false;
  const visit = async (name: string, isRetry: boolean): Promise<void> => {
    const state = { again: false };
    busy.set(name, state);
    retries.get(name)?.();
    retries.delete(name);
    try {
      await look(name);
    } catch (error) {
      if (ended) return;
      if (!isRetry) failed(name, error);
      const again = timers.after(RETRY_MS, () => void visit(name, true));
      retries.set(name, again);
    } finally {
      busy.delete(name);
    }
    if (state.again && !ended) await visit(name, false);
  };
  const end = store.watch?.((name) => {
    if (ended || !isWanted(name)) return;
    const state = busy.get(name);
    if (state === undefined) void visit(name, false);
    else state.again = true;
  });
  return () => {
    ended = true;
    end?.();
    for (const cancel of retries.values()) cancel();
  };
}

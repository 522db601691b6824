import type { Random } from "../../src/core/random.ts";
import type { Timers } from "../../src/registry/timers.ts";
import type { Log } from "../../src/telemetry/log.ts";
import type { JwksSource } from "../policy-book.ts";
import { backoffMs } from "./backoff.ts";
import type { JwksFetch } from "./fetch-jwks.ts";

/** Istio's PILOT_JWT_PUB_KEY_REFRESH_INTERVAL. */
const REFRESH_MS = 1_200_000;
/** Refreshes come up to so much earlier, so that documents fetched together do not stay together. */
const REFRESH_JITTER = 0.1;
/** For a rule without a time limit; Istio's default. */
const DEFAULT_TIMEOUT_MS = 5_000;

export interface JwksKeeperDeps {
  /** See `fetchJwks`. */
  readonly fetch: (fetch: JwksFetch) => Promise<string>;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  /** Documents by URI, all of them; null: never fetched so far, and tokens of that issuer are refused. */
  readonly onChange: (documents: Readonly<Record<string, string | null>>) => void;
}

export interface JwksStats {
  /** Documents that are the newest there is, of which a refresh failed, and that were never fetched. */
  readonly current: number;
  readonly stale: number;
  readonly missing: number;
  /** Fetches since the start, by result. */
  readonly fetched: number;
  readonly failed: number;
}

interface Kept {
  timeoutMs: number;
  document: string | null;
  failures: number;
  cancelTimer: () => void;
  /** Ends the fetch that is under way. */
  abort: AbortController | null;
}

/**
 * Keeps the JWKS documents of all issuers at hand, so that no request waits for one. What was fetched stays in force
 * until a newer document replaces it, however long its issuer cannot be reached: Istio does the same.
 */
export class JwksKeeper {
  readonly #deps: JwksKeeperDeps;
  readonly #kept = new Map<string, Kept>();
  #fetched = 0;
  #failed = 0;

  constructor(deps: JwksKeeperDeps) {
    this.#deps = deps;
  }

  /** What policies need from now on; the rest is forgotten. */
  setWanted(sources: readonly JwksSource[]): void {
    const wanted = new Set(sources.map(({ uri }) => uri));
    let changed = false;
    for (const [uri, kept] of this.#kept) {
      if (wanted.has(uri)) continue;
      end(kept);
      this.#kept.delete(uri);
      changed = true;
    }
    for (const { uri, timeoutMs } of sources) {
      const known = this.#kept.get(uri);
      if (known !== undefined) {
        known.timeoutMs = timeoutMs;
        continue;
      }
      const none = () => undefined;
      const kept = { timeoutMs, document: null, failures: 0, cancelTimer: none, abort: null };
      this.#kept.set(uri, kept);
      changed = true;
      void this.#refresh(uri, kept);
    }
    if (changed) this.#tell();
  }

  stats(): JwksStats {
    const all = [...this.#kept.values()];
    const fetchedOnce = all.filter(({ document }) => document !== null);
    const stale = fetchedOnce.filter(({ failures }) => failures > 0).length;
    return {
      current: fetchedOnce.length - stale,
      stale,
      missing: all.length - fetchedOnce.length,
      fetched: this.#fetched,
      failed: this.#failed,
    };
  }

  close(): void {
    for (const kept of this.#kept.values()) end(kept);
    this.#kept.clear();
  }

  async #refresh(uri: string, kept: Kept): Promise<void> {
    const { fetch, timers, random } = this.#deps;
    const abort = new AbortController();
    kept.abort = abort;
    const limitMs = kept.timeoutMs > 0 ? kept.timeoutMs : DEFAULT_TIMEOUT_MS;
    const late = () => abort.abort(new Error(`no document within ${limitMs} ms`));
    kept.cancelTimer = timers.after(limitMs, late);
    let document: string | null = null;
    let reason: unknown;
    try {
      document = await fetch({ uri, signal: abort.signal });
    } catch (error) {
      reason = error;
    }
    if (this.#kept.get(uri) !== kept) return;
    kept.cancelTimer();
    kept.abort = null;
    if (document === null) this.#fail(uri, kept, reason);
    else this.#take(uri, kept, document);
    const pauseMs =
      kept.failures === 0
        ? REFRESH_MS * (1 - REFRESH_JITTER * random())
        : Math.min(REFRESH_MS, backoffMs(kept.failures, random));
    kept.cancelTimer = timers.after(pauseMs, () => void this.#refresh(uri, kept));
  }

  #take(uri: string, kept: Kept, document: string): void {
    this.#fetched++;
    if (kept.failures > 0) this.#deps.log.info("keys of an issuer can be had again", { uri });
    kept.failures = 0;
    if (kept.document === document) return;
    kept.document = document;
    this.#tell();
  }

  #fail(uri: string, kept: Kept, error: unknown): void {
    this.#failed++;
    kept.failures++;
    if (kept.failures > 1) return;
    const effect =
      kept.document === null
        ? "tokens of that issuer are refused"
        : "the keys fetched last stay in force";
    this.#deps.log.warn("keys of an issuer cannot be fetched", { uri, effect, error });
  }

  #tell(): void {
    const documents = [...this.#kept].map(([uri, { document }]) => [uri, document] as const);
    this.#deps.onChange(Object.fromEntries(documents));
  }
}

function end({ cancelTimer, abort }: Kept): void {
  cancelTimer();
  abort?.abort(new Error("no longer wanted"));
}

import { createHash, randomBytes } from "node:crypto";
import type { Clock } from "../../core/clock.ts";

/** Logins at once; beyond it the one that was not used for longest ends. */
const MAX_SESSIONS = 1_000;

export interface SessionLimits {
  /** Unused for so long, a login ends. */
  readonly idleMs: number;
  /** And after so long anyway. */
  readonly maxMs: number;
}

/** One login. */
export interface Session {
  readonly user: string;
  readonly csrf: string;
  readonly startedMs: number;
  usedMs: number;
}

/** The logins, in memory only: they end with the registry. What a cookie holds is kept as a hash. */
export class Sessions {
  readonly #limits: SessionLimits;
  readonly #clock: Clock;
  /** By the hash of its id, that which was used last at the end. */
  readonly #sessions = new Map<string, Session>();

  constructor(limits: SessionLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Begins a login; the result is what the cookie holds: 256 random bits. */
  start(user: string): string {
    const id = randomBytes(32).toString("base64url");
    const csrf = randomBytes(32).toString("base64url");
    const now = this.#clock.now();
    this.#sessions.set(hashOf(id), { user, csrf, startedMs: now, usedMs: now });
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size > MAX_SESSIONS && oldest !== undefined) this.#sessions.delete(oldest);
    return id;
  }

  /** The login that a cookie names, which counts as a use; null: there is none (any more). */
  use(id: string): Session | null {
    const key = hashOf(id);
    const session = this.#sessions.get(key);
    if (session === undefined) return null;
    this.#sessions.delete(key);
    const now = this.#clock.now();
    const { idleMs, maxMs } = this.#limits;
    if (now >= session.usedMs + idleMs || now >= session.startedMs + maxMs) return null;
    session.usedMs = now;
    this.#sessions.set(key, session);
    return session;
  }

  end(id: string): void {
    this.#sessions.delete(hashOf(id));
  }
}

function hashOf(id: string): string {
  return createHash("sha256").update(id).digest("base64");
}

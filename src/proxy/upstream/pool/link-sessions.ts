import type { Clock } from "../../../core/clock.ts";
import type { Conn } from "../../../http/conn.ts";
import type { PooledSession } from "./pooled-session.ts";
import type { Freshness } from "./upstream-pool.ts";

export interface LinkSessionsDeps {
  readonly isTrusted: (conn: Conn) => boolean;
  readonly settings: { readonly freshMs: number };
  readonly clock: Clock;
}

/** The connections of a link that take streams, in the order in which they were opened, and the choice among them. */
export class LinkSessions {
  readonly #deps: LinkSessionsDeps;
  readonly #sessions: PooledSession[] = [];

  constructor(deps: LinkSessionsDeps) {
    this.#deps = deps;
  }

  get length(): number {
    return this.#sessions.length;
  }

  add(session: PooledSession): void {
    this.#sessions.push(session);
  }

  delete(session: PooledSession): void {
    const index = this.#sessions.indexOf(session);
    if (index !== -1) this.#sessions.splice(index, 1);
  }

  /**
   * The first with room whose output keeps up, so that what is small does not wait behind what is large; else the one with
   * the fewest streams. Null: none has room. One whose other end is not vouched for any more takes nothing new.
   */
  find(freshness: Freshness): PooledSession | null {
    const freshSinceMs = this.#deps.clock.now() - this.#deps.settings.freshMs;
    let emptiest: PooledSession | null = null;
    for (const session of this.#sessions) {
      if (session.room === 0 || !session.suits(freshness, freshSinceMs)) continue;
      if (!this.#deps.isTrusted(session.session.conn)) continue;
      if (!session.session.congested) return session;
      if (emptiest === null || session.load < emptiest.load) emptiest = session;
    }
    return emptiest;
  }

  /** Would one of them do, if it had room? */
  suits(freshness: Freshness): boolean {
    const freshSinceMs = this.#deps.clock.now() - this.#deps.settings.freshMs;
    return this.#sessions.some(
      (session) =>
        session.suits(freshness, freshSinceMs) && this.#deps.isTrusted(session.session.conn),
    );
  }

  /** Is every one that has room congested? */
  get isCongested(): boolean {
    const withRoom = this.#sessions.filter(({ room }) => room > 0);
    return withRoom.length > 0 && withRoom.every(({ session }) => session.congested);
  }

  /** The other host allows no streams at all, and will not on another connection. */
  get isBarred(): boolean {
    return this.#sessions.some((session) => session.load === 0 && session.room === 0);
  }

  get idleCount(): number {
    return this.#sessions.reduce((sum, { load }) => sum + (load === 0 ? 1 : 0), 0);
  }

  /** The one that has been idle for longest; null: none is. */
  get idlest(): PooledSession | null {
    let idlest: PooledSession | null = null;
    for (const session of this.#sessions) {
      if (session.load > 0) continue;
      if (idlest === null || session.idleSinceMs < idlest.idleSinceMs) idlest = session;
    }
    return idlest;
  }

  /** Since when that one is idle; Infinity: none is. */
  get oldestIdleMs(): number {
    return this.idlest?.idleSinceMs ?? Number.POSITIVE_INFINITY;
  }

  /** Those that have been idle since this moment or before. */
  idleSince(ms: number): PooledSession[] {
    return this.#sessions.filter(({ load, idleSinceMs }) => load === 0 && idleSinceMs <= ms);
  }
}

import { formatHostPort } from "../../../core/address.ts";
import type { Clock } from "../../../core/clock.ts";
import { type Deadlines, deadlineAfter, type Expirable } from "../../../core/deadlines.ts";
import type { MeshError } from "../../../core/errors.ts";
import type { Recorder } from "../../../core/facts.ts";
import type { Http2Count } from "../../../core/http2.ts";
import type { Conn } from "../../../http/conn.ts";
import type { ClientLimits } from "../../../http/h1/client.ts";
import type { SessionLimits } from "../../../http/h2/settings.ts";
import type { Stream, StreamHandler } from "../../../http/h2/stream.ts";
import { greetingError } from "../../../http/h2/stream-errors.ts";
import type { StreamUpstream } from "../../../http/h2/stream-upstream.ts";
import type { LinkForm, LinkMemory } from "./link-memory.ts";
import { LinkPlace, type PlaceFacts } from "./link-place.ts";
import { LinkSessions } from "./link-sessions.ts";
import { PooledSession, type SessionOwner } from "./pooled-session.ts";
import type { Freshness, LinkRoute } from "./upstream-pool.ts";

/** Opens a connection to another host; the spine fills in the transport stage. Exactly one is called, later. */
export type LinkDialer = (
  route: LinkRoute,
  handler: {
    onLinked(conn: Conn): void;
    /** The other host speaks the older form only. */
    onOlder(): void;
    /** This host has no identities. */
    onPlain(): void;
    onDialFailed(error: MeshError): void;
  },
) => { cancel(): void };

export interface LinkDeps {
  readonly dialLink: LinkDialer;
  /** Does what the other end has proved still hold? */
  readonly isTrusted: (conn: Conn) => boolean;
  /** Was this side's certificate the one that it shows now? */
  readonly isCurrent: (conn: Conn) => boolean;
  readonly limits: ClientLimits;
  readonly sessions: SessionLimits;
  /** Times in ms; 0: no limit. */
  readonly settings: { readonly idleMs: number; readonly freshMs: number };
  readonly recorder: Recorder;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
}

/** Somebody who waits for room on a link. Told of one thing at a time. */
export interface LinkUser {
  /** Which connections will do for what is next in its line. */
  readonly freshness: Freshness;
  /** There is room: it takes a place, if it still can. Returns whether it goes on waiting. */
  onLinkRoom(): boolean;
  /** A connection could not be opened: what waited for it fails, and waits no more. */
  onLinkFailed(error: MeshError): void;
  /** The other host is to be spoken to in another way (`MeshLink.form`): it waits no more. */
  onLinkMoved(): void;
}

/** Connections of one link: more would only share the same wires. Others have 1 (ztunnel) to 4 (gRPC's advice). */
const MAX_CONNECTIONS = 4;

/** With those that take nothing new. */
const MAX_STANDING = 32;

/** A connection that is found congested so often in a row, with so long in between, is saturated. */
const CONGESTED_LOOKS = 4;
const LOOK_MS = 5;

/** Where one more connection could not be opened beside others, the next attempt is so much later at the earliest. */
const RETRY_MS = 1_000;

/**
 * The connections between one identity of this host and one at another host, by mutual TLS: whatever the one has to say to
 * the other goes by streams of HTTP/2 on few of them (RFC 9113 section 9.1), whoever speaks and whichever endpoint is meant.
 * The connection that was opened first takes what it can, so that the surplus falls idle and is closed.
 */
export class MeshLink implements Expirable, SessionOwner {
  readonly route: LinkRoute;
  deadlineMs = Number.POSITIVE_INFINITY;
  readonly #deps: LinkDeps;
  readonly #memory: LinkMemory;
  readonly #peer: string;
  readonly #sessions: LinkSessions;
  /** All whose connection stands, whatever they take. */
  readonly #standing = new Set<PooledSession>();
  /** In the order of their turns. */
  readonly #users = new Set<LinkUser>();
  #dial: { cancel(): void } | null = null;
  /** Is a connection on its way, or its greeting? */
  #isOpening = false;
  #isServing = false;
  /** Places that were taken, ever. */
  #taken = 0;
  #isHbone = false;
  #retired = false;
  #openNotBeforeMs = 0;
  #looks = 0;
  #looking: NodeJS.Timeout | null = null;

  constructor(route: LinkRoute, memory: LinkMemory, deps: LinkDeps) {
    this.route = route;
    this.#deps = deps;
    this.#memory = memory;
    this.#peer = formatHostPort(route.via.host, route.via.port);
    this.#sessions = new LinkSessions(deps);
    deps.deadlines.add(this);
  }

  /** How the other host is to be spoken to, as far as is known. */
  get form(): LinkForm {
    const form = this.#memory.form(this.#deps.clock);
    return form === "link" && this.#isHbone ? "hbone" : form;
  }

  /** The other host does not know HTTP/2 within the older form. */
  noteOldest(): void {
    this.#memory.noteOldest(this.#deps.clock);
  }

  get isRetired(): boolean {
    return this.#retired;
  }

  /** Does everybody who waits do so for a connection that is being opened? */
  get isDialling(): boolean {
    return this.#isOpening && this.#sessions.length === 0;
  }

  get idleCount(): number {
    return this.#sessions.idleCount;
  }

  get empty(): boolean {
    return this.#standing.size === 0 && this.#users.size === 0 && !this.#isOpening;
  }

  /** A place for a request; null: none at once, `want` one. */
  take(facts: PlaceFacts, freshness: Freshness): StreamUpstream | null {
    const session = this.#find(freshness);
    // Of a host that was replaced meanwhile one may be left that takes tunnels only.
    if (session === null || !session.session.meshRequests) return null;
    this.#taken += 1;
    return session.take(new LinkPlace(session, facts));
  }

  /** Opens a stream; null: not at once, `want` one. */
  open(handler: StreamHandler, fields: readonly string[]): { stream: Stream; conn: Conn } | null {
    const session = this.#find("any");
    const stream = session?.session.request(handler, fields, false) ?? null;
    if (session === null || stream === null) return null;
    session.requests += 1;
    this.#taken += 1;
    return { stream, conn: session.session.conn };
  }

  #find(freshness: Freshness): PooledSession | null {
    const session = this.#sessions.find(freshness);
    if (session === null) return null;
    session.isInUse = true;
    if (session.session.congested) this.#look();
    return session;
  }

  /** Calls the user when there is room, in turn with all others who wait. */
  want(user: LinkUser): void {
    this.#users.add(user);
    this.#grow();
  }

  /** It waits no more. */
  unwant(user: LinkUser): void {
    this.#users.delete(user);
  }

  #grow(): void {
    if (this.#isServing) return;
    this.#serve();
    if (this.#users.size > 0 && !this.#sessions.isBarred) this.#open();
  }

  /** Gives each who waits one place in turn, until there is no more room. */
  #serve(): void {
    this.#isServing = true;
    let before = -1;
    try {
      while (before !== this.#taken) {
        before = this.#taken;
        this.#serveRound();
      }
    } finally {
      this.#isServing = false;
    }
  }

  #serveRound(): void {
    for (const user of [...this.#users]) {
      if (!this.#users.has(user) || this.#sessions.find(user.freshness) === null) continue;
      this.#users.delete(user);
      if (user.onLinkRoom()) this.#users.add(user);
    }
  }

  #open(): void {
    if (this.#isOpening || this.#retired) return;
    if (this.#openNotBeforeMs > 0 && this.#deps.clock.now() < this.#openNotBeforeMs) return;
    if (this.#isFull && !this.#evictIdle()) return;
    this.#isOpening = true;
    this.#dial = this.#deps.dialLink(this.route, {
      onLinked: (conn) => this.#onLinked(conn),
      onOlder: () => this.#onUnlinked(() => this.#memory.noteOlder(this.#deps.clock)),
      onPlain: () => this.#onUnlinked(() => this.#memory.notePlain(this.#deps.clock)),
      onDialFailed: (error) => {
        this.#deps.recorder.event("upstream_connection_failed");
        this.#failOpening(error);
      },
    });
  }

  /** Those that only end what they have do not count, unless they are very many. */
  get #isFull(): boolean {
    return this.#sessions.length >= MAX_CONNECTIONS || this.#standing.size >= MAX_STANDING;
  }

  #onLinked(conn: Conn): void {
    const { limits: heads, sessions: limits, clock, deadlines } = this.#deps;
    this.#dial = null;
    this.#memory.noteLinked();
    conn.keepAlive();
    const { recorder } = this.#deps;
    const parts = {
      ...{ peer: this.#peer, heads, limits, clock, deadlines },
      count: (what: Http2Count, code: number) => recorder.http2("upstream", what, code),
    };
    this.#standing.add(new PooledSession(conn, this, parts));
  }

  #onUnlinked(note: () => void): void {
    note();
    this.#isOpening = false;
    this.#dial = null;
    this.#tellMoved();
  }

  #tellMoved(): void {
    for (const user of this.#takeUsers()) user.onLinkMoved();
  }

  /** Whoever can use the connections that stand goes on waiting for room there. */
  #failOpening(error: MeshError): void {
    this.#isOpening = false;
    this.#dial = null;
    const isAlone = this.#sessions.length === 0;
    this.#openNotBeforeMs = isAlone ? 0 : this.#deps.clock.now() + RETRY_MS;
    for (const user of this.#takeUsers()) {
      if (this.#sessions.suits(user.freshness)) this.#users.add(user);
      else user.onLinkFailed(error);
    }
  }

  #takeUsers(): LinkUser[] {
    const users = [...this.#users];
    this.#users.clear();
    return users;
  }

  // SessionOwner

  onReady(session: PooledSession): void {
    this.#isOpening = false;
    this.#isHbone = !session.session.meshRequests;
    this.#sessions.add(session);
    this.#deps.recorder.event("upstream_connection_opened");
    if (this.#retired || this.#isOutdated(session)) session.leave();
    else this.onRoom(session);
  }

  onRoom(session: PooledSession): void {
    if (this.#users.size > 0) this.#grow();
    if (session.load > 0 || !session.isInUse) return;
    session.isInUse = false;
    session.idleSinceMs = this.#deps.clock.now();
    this.#arm();
  }

  onLeaving(session: PooledSession, error: Error | null): void {
    if (!session.isReady) {
      this.#deps.recorder.event("upstream_connection_failed");
      const { clock, sessions } = this.#deps;
      const isLate = deadlineAfter(session.openedMs, sessions.headMs) <= clock.now();
      this.#failOpening(greetingError(this.#peer, isLate, error));
      return;
    }
    this.#sessions.delete(session);
    if (this.#users.size > 0) this.#grow();
    this.#arm();
  }

  onGone(session: PooledSession): void {
    this.#standing.delete(session);
    if (session.isReady) this.#deps.recorder.event("upstream_connection_closed");
    if (this.#users.size > 0) this.#grow();
  }

  /** Streams wait behind others: is that so for longer than a burst? */
  #look(): void {
    if (this.#looking !== null || this.#isFull) return;
    this.#looking = setTimeout(() => {
      this.#looking = null;
      this.#looks = this.#sessions.isCongested ? this.#looks + 1 : 0;
      if (this.#looks === CONGESTED_LOOKS) {
        this.#looks = 0;
        this.#open();
      } else if (this.#looks > 0) this.#look();
    }, LOOK_MS);
    this.#looking.unref();
  }

  #evictIdle(): boolean {
    const idle = this.#sessions.idlest;
    if (idle === null) return false;
    this.#evict(idle);
    return true;
  }

  #evict(session: PooledSession): void {
    this.#deps.recorder.event("upstream_connection_evicted");
    session.leave();
  }

  onDeadline(nowMs: number): void {
    const { idleMs } = this.#deps.settings;
    for (const session of this.#sessions.idleSince(nowMs - idleMs)) this.#evict(session);
    this.#arm();
  }

  #arm(): void {
    this.deadlineMs = deadlineAfter(this.#sessions.oldestIdleMs, this.#deps.settings.idleMs);
  }

  /**
   * Certificates have changed: what is new goes by connections for which they were shown. So nothing that lasts no longer than
   * a change of authorities takes is lost when the old one is trusted no more.
   */
  renew(): void {
    for (const session of [...this.#standing]) {
      // One that is not ready yet has somebody waiting for it: it leaves when it is (`onReady`).
      if (session.isReady && this.#isOutdated(session)) session.leave();
    }
  }

  #isOutdated({ session }: PooledSession): boolean {
    return !this.#deps.isCurrent(session.conn);
  }

  /** Nothing new goes by it; what is under way goes on. Whoever waits is told to look elsewhere. */
  retire(): void {
    this.#retired = true;
    if (this.#dial !== null) {
      this.#dial.cancel();
      this.#dial = null;
      this.#isOpening = false;
    }
    this.#tellMoved();
    for (const session of [...this.#standing]) session.leave();
  }

  close(): void {
    this.retire();
    if (this.#looking !== null) clearTimeout(this.#looking);
    this.#deps.deadlines.delete(this);
  }
}

import type { ClientLimits } from "../../../http/h1/client.ts";
import type { ClientSession } from "../../../http/h2/client-session.ts";
import type { KnownResponses } from "../../../http/h2/known-heads.ts";
import { type MeshTargetValues, putMeshTarget } from "../../../http/h2/mesh-wire.ts";
import type { StreamUpstreamOwner } from "../../../http/h2/stream-upstream.ts";
import type { PooledSession } from "./pooled-session.ts";

/** Where the requests of a pool go, by a connection that others share. */
export interface PlaceFacts {
  /** Address of the endpoint, for people. */
  readonly peer: string;
  /** What the other host is told. */
  readonly target: MeshTargetValues;
}

/** A request's place on a connection of a link. */
export class LinkPlace implements StreamUpstreamOwner {
  readonly #session: PooledSession;
  readonly #facts: PlaceFacts;

  constructor(session: PooledSession, facts: PlaceFacts) {
    this.#session = session;
    this.#facts = facts;
  }

  get session(): ClientSession {
    return this.#session.session;
  }

  get peer(): string {
    return this.#facts.peer;
  }

  get limits(): ClientLimits {
    return this.#session.limits;
  }

  get knownResponses(): KnownResponses {
    return this.#session.knownResponses;
  }

  prepare(fields: string[]): void {
    putMeshTarget(fields, this.#facts.target);
  }

  onSent(): void {
    this.#session.onSent();
  }

  onUnused(): void {
    this.#session.onUnused();
  }

  onAnswered(): void {
    this.#session.onAnswered();
  }

  onUnanswered(): void {
    this.#session.onUnanswered();
  }
}

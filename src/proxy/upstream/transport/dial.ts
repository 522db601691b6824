import { formatHostPort } from "../../../core/address.ts";
import type { Clock } from "../../../core/clock.ts";
import { type Deadlines, deadlineAfter, type Expirable } from "../../../core/deadlines.ts";
import { MeshError } from "../../../core/errors.ts";
import type { ConnHandler } from "../../../http/carrier.ts";
import type { Conn } from "../../../http/conn.ts";
import { dialConn } from "../../../http/open-conn.ts";
import type { VerifiedPeer } from "../../../identity/peer-verifier.ts";

export interface DialTarget {
  readonly host: string;
  readonly port: number;
}

export interface DialDeps {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Time limit of a TCP connect; 0: none. */
  readonly connectMs: number;
}

/** Told exactly once of the outcome, unless the dial is cancelled first. */
export interface DialHandler {
  /** The connection stands; its handler is to be replaced at once. `peer`: who has proved to be at its other end. */
  onConnected(conn: Conn, peer?: VerifiedPeer): void;
  /** `isUnknown`: the other host is too old to know the protocol that it was asked for. */
  onDialFailed(error: MeshError, isUnknown?: boolean): void;
}

/** A connection attempt in progress. */
export interface Dial {
  /** Gives up; the handler is not called any more. */
  cancel(): void;
}

/**
 * Connects to an endpoint. Failures come as `CONNECT_REFUSED`, `CONNECT_TIMEOUT` or `CONNECT_FAILED`:
 * nothing was sent, so each is safe to retry elsewhere.
 */
export function dial(target: DialTarget, handler: DialHandler, deps: DialDeps): Dial {
  return new Attempt(target, handler, deps);
}

class Attempt implements Dial, ConnHandler, Expirable {
  deadlineMs: number;
  readonly #target: DialTarget;
  readonly #deps: DialDeps;
  readonly #conn: Conn;
  #handler: DialHandler | null;

  constructor(target: DialTarget, handler: DialHandler, deps: DialDeps) {
    this.#target = target;
    this.#handler = handler;
    this.#deps = deps;
    this.deadlineMs = deadlineAfter(deps.clock.now(), deps.connectMs);
    deps.deadlines.add(this);
    this.#conn = dialConn(target, this, () => this.#connected());
  }

  cancel(): void {
    this.#handler = null;
    this.#deps.deadlines.delete(this);
    this.#conn.destroy();
  }

  #connected(): void {
    const handler = this.#settle();
    if (handler !== null) handler.onConnected(this.#conn);
  }

  #settle(): DialHandler | null {
    const handler = this.#handler;
    this.#handler = null;
    this.#deps.deadlines.delete(this);
    return handler;
  }

  onDeadline(): void {
    const handler = this.#settle();
    this.#conn.destroy();
    const peer = formatHostPort(this.#target.host, this.#target.port);
    handler?.onDialFailed(
      new MeshError("CONNECT_TIMEOUT", `${peer}, limit ${this.#deps.connectMs} ms`),
    );
  }

  onBytes(): void {
    // Bytes that come with the handshake are read after `onConnected` has replaced this handler.
  }

  onFin(): void {
    this.#conn.destroy();
  }

  onDrain(): void {
    // Nothing is written before `onConnected`.
  }

  onClose(error: Error | null): void {
    const handler = this.#settle();
    if (handler === null) return;
    const peer = formatHostPort(this.#target.host, this.#target.port);
    const refused = error !== null && "code" in error && error.code === "ECONNREFUSED";
    const code = refused ? "CONNECT_REFUSED" : "CONNECT_FAILED";
    handler.onDialFailed(new MeshError(code, peer, error ?? undefined));
  }
}

import { formatHostPort, type HostPort } from "../core/address.ts";
import { MeshError } from "../core/errors.ts";
import type { Detection } from "../core/facts.ts";
import type { Carrier, ConnHandler } from "../http/carrier.ts";
import type { Conn } from "../http/conn.ts";
import type { Origin } from "./context.ts";
import {
  classify,
  isHttp2Greeting,
  isHttpAnswer,
  looksLikeRequest,
  type Treatment,
} from "./downstream/protocol.ts";
import { Exchange } from "./exchange.ts";
import { failureResponse } from "./failure.ts";
import { isRefusal, OpaqueSession } from "./opaque.ts";
import { declaredBy } from "./peek.ts";
import type { Plane } from "./plane.ts";
import { recordRefusal } from "./refuse.ts";
import { type Destination, resolveAddress } from "./resolve.ts";
import type { Tunnel } from "./tunnel.ts";

/** A captured connection, once its source and original destination are known. */
export type CapturedOrigin = Origin & { readonly destination: HostPort };

/**
 * A captured connection until it is known what it speaks.
 *
 * A declared protocol decides at once. Otherwise the opaque connection to the endpoint is dialled at once
 * while the client's first bytes are awaited, and whoever speaks first settles it: the server (MySQL, SMTP:
 * a tunnel, and not a millisecond lost), or the client (HTTP/1.x, or a tunnel). Where HTTP was seen before,
 * nothing is dialled until the client has been silent for `peekMs`. Bytes that may yet become a request are
 * held back, for as long as its head may take: an application must not read one that was not judged.
 */
export class CapturedConnection implements ConnHandler {
  readonly #plane: Plane;
  readonly #origin: CapturedOrigin;
  readonly #conn: Conn;
  readonly #onEnd: () => void;
  readonly #destination: Destination;
  readonly #place: string;
  /** Null until it is settled. */
  #treatment: Treatment | null = null;
  /** What the client has sent meanwhile. */
  #early: Buffer | null = null;
  #finSeen = false;
  #session: OpaqueSession | null = null;
  /** The session that has become the tunnel. */
  #joined: OpaqueSession | null = null;
  #upstream: Carrier | null = null;
  /** What an endpoint of HTTP/2 has sent, which speaks only once its client has. */
  #greeting: Buffer | null = null;
  #unreachable = false;
  /** Policies forbid the opaque connection. Requests are judged by themselves, so HTTP may still be allowed. */
  #refusal: MeshError | null = null;
  #exchange: Exchange | null = null;
  #tunnel: Tunnel | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** Is the opaque connection dialled before anything is known? */
  #isAhead = true;
  /** Is the rest of a first line awaited? */
  #isHolding = false;
  /** Was it treated as bytes before its first line was whole? */
  #isUnclear = false;

  /** Throws where the destination is refused (a loop, a port that the service does not have). */
  constructor(plane: Plane, origin: CapturedOrigin, conn: Conn, onEnd: () => void) {
    this.#plane = plane;
    this.#origin = origin;
    this.#conn = conn;
    this.#onEnd = onEnd;
    const { host, port } = origin.destination;
    this.#place = formatHostPort(host, port);
    this.#destination = resolveAddress(plane, origin, origin.destination);
    conn.handler = this;
    this.#begin();
  }

  #begin(): void {
    const declared = declaredBy(this.#destination, this.#plane);
    if (declared === "opaque") this.#goOpaque("declared");
    else if (declared === "http") this.#goHttp("declared", null);
    else if (this.#plane.memory.get(this.#place) !== "http") this.#openUpstream();
    else {
      this.#isAhead = false;
      this.#after(() => this.#openUpstream());
    }
  }

  /** At most one thing is waited for at a time, for the length of a peek unless told. */
  #after(action: () => void, waitMs = this.#plane.config.detection.peekMs): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(action, waitMs);
  }

  #openUpstream(): void {
    this.#session = new OpaqueSession(this.#plane, this.#origin, this.#destination, {
      onReady: (conn) => this.#onReady(conn),
      onFailed: (error) => this.#onFailed(error),
      mayBeHttp: () => this.#treatment === null,
    });
    this.#session.start();
  }

  #onReady(conn: Carrier): void {
    this.#upstream = conn;
    if (this.#treatment === "opaque") this.#join();
    else conn.handler = new ServerWatch(this);
  }

  /**
   * No endpoint can be reached. A client that speaks HTTP will get an answer that says so; to a client that
   * waits for a greeting, closing is all that can be said.
   */
  #onFailed(error: MeshError): void {
    this.#session = null;
    this.#unreachable = true;
    if (isRefusal(error)) this.#refusal = error;
    if (this.#treatment === "opaque") this.#conn.reset();
    else if (this.#early === null) this.#after(() => this.#conn.reset());
  }

  onServerBytes(chunk: Buffer, end: number): void {
    if (isHttpAnswer(chunk, end)) {
      // It speaks HTTP and has had no request: it gives up the connection, and so do we.
      this.destroy();
      return;
    }
    if (isHttp2Greeting(chunk, end)) {
      this.#keepGreeting(chunk, end);
      return;
    }
    this.#plane.memory.serverSpokeFirst(this.#place);
    // Whatever the server said, the client must not hide a request behind it.
    this.#isUnclear = true;
    this.#goOpaque("server-first");
    this.#tunnel?.fromUpstream(chunk, 0, end);
  }

  /** The endpoint speaks HTTP/2, and so will the client, whose preface is on its way. */
  #keepGreeting(chunk: Buffer, end: number): void {
    this.#greeting = Buffer.from(chunk.subarray(0, end));
    this.#upstream?.stopReading();
    const { headMs } = this.#plane.config.timeouts;
    if (this.#early === null && headMs > 0) this.#after(() => this.#conn.reset(), headMs);
  }

  /** The server hung up while both were silent: that is passed on. */
  onServerFin(): void {
    if (this.#treatment !== null) return;
    this.#goOpaque("server-first");
    this.#tunnel?.finFromUpstream();
  }

  /** The server's connection broke while both were silent. */
  onServerGone(): void {
    if (this.#treatment !== null) return;
    this.#conn.reset();
    this.#goOpaque("server-first");
  }

  onBytes(chunk: Buffer, end: number): void {
    this.#early = Buffer.concat([this.#early ?? Buffer.alloc(0), chunk.subarray(0, end)]);
    if (this.#treatment !== null) {
      this.#conn.stopReading();
      return;
    }
    const text = this.#early.toString("latin1");
    const found = classify(text);
    if (found === "more") {
      this.#hold(text);
      return;
    }
    this.#plane.memory.clientSent(this.#place, found);
    if (found === "http") this.#goHttp(this.#isAhead ? "http" : "remembered", this.#early);
    else this.#goOpaque("client-first");
  }

  /**
   * The beginning of a request, perhaps. What looks like one is waited for like the rest of a head; a single word only for
   * the length of a peek: then it passes, and what follows is watched.
   */
  #hold(text: string): void {
    if (!looksLikeRequest(text)) {
      this.#after(() => this.#goUnclear());
      return;
    }
    if (this.#isHolding) return;
    this.#isHolding = true;
    // A time limit of 0 is none.
    const { headMs } = this.#plane.config.timeouts;
    if (headMs > 0) this.#after(() => this.#refuseHalf(), headMs);
    else if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #goUnclear(): void {
    this.#isUnclear = true;
    this.#goOpaque("timeout");
  }

  #refuseHalf(): void {
    const error = new MeshError("HEAD_TIMEOUT", "no end of the first line");
    this.#settle("http", "timeout");
    this.#session?.abandon();
    this.#session = null;
    recordRefusal(this.#plane, this.#origin, error);
    this.#conn.writeText(failureResponse(error, "", { keepAlive: false, minor: 1, method: "" }));
    this.#conn.destroy();
  }

  onFin(): void {
    this.#finSeen = true;
    if (this.#treatment === null) this.#goOpaque("client-first");
  }

  #settle(treatment: Treatment, found: Detection): void {
    this.#treatment = treatment;
    if (treatment === "opaque" && this.#refusal !== null) {
      recordRefusal(this.#plane, this.#origin, this.#refusal);
    }
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#plane.recorder.detection(found);
  }

  #goOpaque(found: Detection): void {
    this.#settle("opaque", found);
    if (this.#unreachable) this.#conn.reset();
    else if (this.#upstream !== null) this.#join();
    else if (this.#session === null) this.#openUpstream();
  }

  #join(): void {
    const session = this.#session as OpaqueSession;
    this.#session = null;
    this.#joined = session;
    this.#tunnel = session.join(this.#conn, this.#early, this.#onEnd, this.#isUnclear);
    this.#early = null;
    const greeting = this.#greeting;
    this.#greeting = null;
    if (greeting !== null) this.#tunnel.fromUpstream(greeting, 0, greeting.length);
    if (this.#finSeen) this.#tunnel.finFromClient();
  }

  #goHttp(found: Detection, early: Buffer | null): void {
    this.#settle("http", found);
    this.#session?.abandon();
    this.#session = null;
    this.#early = null;
    this.#exchange = Exchange.over(this.#plane, this.#origin, this.#conn, this.#onEnd);
    if (early !== null) this.#exchange.receive(early, early.length);
  }

  onDrain(): void {
    // Nothing is written to the client before its protocol is settled.
  }

  onClose(): void {
    // Settled, in that nothing that the endpoint does matters any more.
    this.#treatment ??= "opaque";
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#session?.cancel(new MeshError("CLIENT_CLOSED", this.#origin.address));
    this.#onEnd();
  }

  /** Policies have changed: ends what they forbid now. */
  review(): void {
    if (this.#exchange !== null) this.#exchange.review();
    else if (this.#session?.review() || this.#joined?.review()) this.destroy();
  }

  /** A shutdown begins. */
  drain(): void {
    this.#exchange?.drain();
  }

  /** The time of the shutdown is over. */
  destroy(): void {
    this.#exchange?.destroy();
    this.#tunnel?.close();
    this.#conn.destroy();
  }
}

/** Waits for the first sign of life of an endpoint whose client is still silent. */
class ServerWatch implements ConnHandler {
  readonly #owner: CapturedConnection;

  constructor(owner: CapturedConnection) {
    this.#owner = owner;
  }

  onBytes(chunk: Buffer, end: number): void {
    this.#owner.onServerBytes(chunk, end);
  }

  onFin(): void {
    this.#owner.onServerFin();
  }

  onDrain(): void {
    // Nothing was written.
  }

  onClose(): void {
    this.#owner.onServerGone();
  }
}

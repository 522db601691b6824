import { deadlineAfter } from "../core/deadlines.ts";
import { CODES, MeshError } from "../core/errors.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { Conn } from "../http/conn.ts";
import type { ClientConnection, ClientHandler } from "../http/h1/client.ts";
import { ServerConnection, type ServerHandler } from "../http/h1/server.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";
import { requestIdIn } from "../telemetry/trace-context.ts";
import { Admission, guardedBy, guardedOutside, isTakenOver } from "./admission.ts";
import { Attempt } from "./attempt.ts";
import { ClientCert } from "./client-cert.ts";
import type { Origin } from "./context.ts";
import { failureResponse, INTERNAL_HOST, internalResponse, toMeshError } from "./failure.ts";
import { HeldBody } from "./held-body.ts";
import { Ledger } from "./ledger.ts";
import type { Plane } from "./plane.ts";
import { type Destination, Router, serviceOf } from "./resolve.ts";
import { ResponseRelay } from "./response-relay.ts";
import { firstHopLines, goesRound, identify, normalize, upstreamHead } from "./rewrite.ts";
import { isIdempotent } from "./routing/policy/retry.ts";
import { Switchover } from "./switchover.ts";
import type { Freshness, PoolWaiter } from "./upstream/pool/pool.ts";

/** A response of this status counts against its endpoint. */
const FIRST_FAILURE_STATUS = 500;

/**
 * The requests of one client connection, one after the other. This is the spine of the HTTP path:
 *
 *   onRequest -> route (match, admit) -> attempt (balance) -> authorise -> onAdmission (pool)
 *   -> onConnection (transport) -> onResponse -> onResponseBody -> complete
 *   a failure: again from attempt, where that is safe, or an answer of our own;  recorded once
 *
 * One object serves the whole connection, so that a request allocates neither closures nor promises.
 */
export class Exchange implements ServerHandler, ClientHandler, PoolWaiter {
  readonly #plane: Plane;
  readonly #origin: Origin;
  readonly #server: ServerConnection;
  readonly #ledger: Ledger;
  readonly #facts: RequestFacts;
  readonly #router: Router;
  readonly #admission: Admission;
  readonly #clientCert: ClientCert;
  readonly #attempt: Attempt;
  readonly #body: HeldBody;
  readonly #relay: ResponseRelay;
  readonly #onEnd: () => void;
  readonly #firstHop: string;
  /** Null between requests. */
  #head: RequestHead | null = null;
  /** Lines with request id and traceparent, as they go to the endpoint. */
  #ids = "";
  #destination: Destination | null = null;
  /** Has the client sent its whole request? */
  #complete = false;
  #answered = false;
  /** Has an interim response gone to the client? */
  #interim = false;
  /** Has the client been told to send the content for which it waited? */
  #continued = false;
  #keepAlive = false;
  #freshness: Freshness = "any";
  /** Set once the connection has stopped being HTTP. */
  #switchover: Switchover | null = null;

  constructor(plane: Plane, origin: Origin, conn: Conn, onEnd: () => void) {
    this.#plane = plane;
    this.#origin = origin;
    this.#onEnd = onEnd;
    this.#firstHop = firstHopLines(origin);
    this.#ledger = new Ledger(plane, origin);
    this.#facts = this.#ledger.facts;
    this.#router = new Router(plane, origin);
    this.#admission = new Admission(plane, origin);
    this.#clientCert = new ClientCert(origin);
    this.#attempt = new Attempt(plane, origin, this.#facts);
    this.#body = new HeldBody(plane.config.limits.replayBytes);
    this.#relay = new ResponseRelay(plane.server.limits);
    this.#server = new ServerConnection(conn, this, plane.server);
  }

  /** Bytes that were read before it was known that they are HTTP. */
  receive(chunk: Buffer, end: number): void {
    this.#server.onBytes(chunk, end);
  }

  /** A shutdown begins: an idle connection closes unless it is used again soon, others after their request. */
  drain(): void {
    this.#server.retire();
  }

  /** Ends it now. */
  destroy(): void {
    this.#switchover?.destroy();
    this.#server.conn.destroy();
  }

  onRequest(head: RequestHead, chunk: Buffer, start: number, end: number, last: boolean): void {
    this.#ledger.begin(this.#plane.clock.now());
    this.#ids = "";
    this.#facts.requestBytes = end - start;
    this.#head = head;
    this.#complete = last;
    this.#answered = false;
    this.#interim = false;
    this.#continued = !head.expectContinue;
    this.#keepAlive = head.keepAlive;
    this.#body.begin(chunk, start, end);
    try {
      this.#route(head);
    } catch (error) {
      this.#fail(toMeshError(error));
    }
  }

  /** Match and policy: where the request goes, and whether it may. */
  #route(head: RequestHead): void {
    const plane = this.#plane;
    const facts = this.#facts;
    const { destination: dialled } = this.#origin;
    if (dialled === null && head.host === INTERNAL_HOST) {
      this.#server.conn.writeText(internalResponse(head));
      this.#head = null;
      this.#server.finish(head.keepAlive, plane.clock.now());
      return;
    }
    this.#ids = identify(head, plane.trace, plane.config.telemetry.newTraces === "sampled");
    normalize(head, plane.config.mesh);
    const destination = this.#router.route(head);
    this.#destination = destination;
    facts.service = serviceOf(destination);
    if (destination.kind === "outside") facts.entry = "passthrough";
    if (goesRound(head)) throw new MeshError("LOOP", `Via: ${head.via.slice(0, 100)}`);
    this.#ledger.admit();
    if (head.method === "CONNECT" && dialled === null) {
      const [server, facts] = [this.#server, this.#facts];
      this.#switchover = Switchover.connect(plane, this.#origin, destination, server, facts, this);
    } else this.#try(this.#body.mayReplay(head, this.#complete) ? "any" : "fresh");
  }

  /** Balance, authorise and pool. Without a connection at hand the client's body waits. */
  #try(freshness: Freshness): void {
    const head = this.#head as RequestHead;
    const destination = this.#destination as Destination;
    // The time limit of an earlier try must not hit this one while it waits in a queue.
    this.#server.deadlineMs = Number.POSITIVE_INFINITY;
    this.#freshness = freshness;
    try {
      const endpoint = this.#attempt.pick(destination, head);
      const guarded =
        endpoint === null ? guardedOutside(this.#plane, destination) : guardedBy(endpoint);
      this.#admission.ask(guarded, head, this);
    } catch (error) {
      this.#fail(toMeshError(error));
      return;
    }
    const waits = this.#head !== null && this.#attempt.upstream === null;
    if (waits && !this.#complete) this.#server.conn.stopReading();
  }

  /** `error`: what forbids the request; null: nothing does, or it goes to another host, which asks for itself. */
  onAdmission(error: MeshError | null): void {
    try {
      if (error !== null) throw error;
      this.#attempt.acquire(this, this.#freshness);
    } catch (reason) {
      this.#fail(toMeshError(reason));
    }
  }

  /** Policies, authorities or the owners of addresses have changed: ends what may not go on. */
  review(): void {
    const tunnel = this.#switchover;
    const isOver = tunnel !== null && isTakenOver(this.#plane, this.#facts.endpoint);
    if (isOver || tunnel?.isForbidden()) this.destroy();
    else this.#admission.review(this);
  }

  /** The caller is no longer trusted: what is under way ends, and nothing comes after it. */
  finish(): void {
    this.#keepAlive = false;
    if (this.#head === null || this.#switchover !== null) this.destroy();
  }

  onRevoked(error: MeshError): void {
    if (this.#switchover === null) this.#fail(error);
    else this.destroy();
  }

  onConnection(connection: ClientConnection): void {
    const head = this.#head as RequestHead;
    this.#attempt.onConnection(connection);
    const lines = this.#ids + this.#clientCert.lineFor(this.#attempt.endpoint);
    const { effects } = this.#admission;
    const text = upstreamHead(head, this.#origin, lines, this.#firstHop, effects) + this.#body.text;
    connection.send(this, head.method, text, this.#complete);
    if (!isIdempotent(head.method) || !this.#body.fits(head.contentLength)) {
      this.#body.forget(this.#complete && this.#facts.requestBytes === 0);
    }
    const { responseHeadMs, streamIdleMs } = this.#plane.config.timeouts;
    const limitMs = this.#complete ? responseHeadMs : streamIdleMs;
    this.#server.deadlineMs = deadlineAfter(this.#attempt.sentMs, limitMs);
    if (!this.#complete) this.#server.conn.resumeReading();
  }

  onNoConnection(error: MeshError): void {
    this.onUpstreamError(error);
  }

  onRequestBody(chunk: Buffer, start: number, end: number, last: boolean): void {
    this.#complete = last;
    this.#facts.requestBytes += end - start;
    const { upstream } = this.#attempt;
    this.#body.add(chunk, start, end);
    if (upstream === null) {
      if (!last) this.#server.conn.stopReading();
      return;
    }
    if (!this.#body.fits(-1)) this.#body.forget(false);
    this.#server.conn.relay(chunk, start, end, upstream.conn);
    if (last) upstream.completeRequest();
    const { responseHeadMs, streamIdleMs } = this.#plane.config.timeouts;
    this.#arm(last && !this.#answered ? responseHeadMs : streamIdleMs);
  }

  onInformational(head: ResponseHead): void {
    this.#interim = true;
    const request = this.#head as RequestHead;
    if (head.status === 100) this.#continued = true;
    this.#relay.informational(head, request, this.#server.conn);
  }

  onResponse(head: ResponseHead, chunk: Buffer, start: number, end: number, last: boolean): void {
    const facts = this.#facts;
    const request = this.#head as RequestHead;
    if (head.status === 101 && request.upgrade === "") {
      this.onUpstreamError(
        new MeshError("UPSTREAM_PROTOCOL", `${this.#attempt.peer}, 101 unasked for`),
      );
      return;
    }
    const nowMs = this.#plane.clock.now();
    facts.status = head.status;
    this.#answered = true;
    this.#attempt.observe(head.status >= FIRST_FAILURE_STATUS, nowMs);
    const { conn } = this.#attempt.upstream as ClientConnection;
    const goesOn = this.#keepAlive && this.#complete && !this.#plane.draining;
    this.#keepAlive = this.#relay.begin(head, request, goesOn);
    if (head.status === 101 || (request.method === "CONNECT" && head.status < 300)) {
      this.#server.conn.writeText(this.#relay.text);
      this.#upgrade(conn, chunk, start, end);
      return;
    }
    facts.responseBytes = end - start;
    this.#relay.first(conn, chunk, start, end, this.#server.conn);
    const relayedMs = this.#plane.clock.now();
    facts.proxyMs += relayedMs - nowMs;
    if (last) this.#finish(relayedMs);
    else this.#arm(this.#plane.config.timeouts.streamIdleMs);
  }

  onResponseBody(chunk: Buffer, start: number, end: number, last: boolean): void {
    this.#facts.responseBytes += end - start;
    const { conn } = this.#attempt.upstream as ClientConnection;
    this.#relay.more(conn, chunk, start, end, this.#server.conn);
    if (last) this.#finish(this.#plane.clock.now());
    else this.#arm(this.#plane.config.timeouts.streamIdleMs);
  }

  #finish(nowMs: number): void {
    this.#attempt.end(true, nowMs);
    this.#record(null, nowMs);
    this.#server.finish(this.#keepAlive, nowMs);
    // A shutdown may have begun since the head went out, which did not announce it.
    if (this.#plane.draining) this.drain();
  }

  /** Gives back what the request held and records it: exactly once per request. */
  #record(error: MeshError | null, nowMs = this.#plane.clock.now()): void {
    this.#attempt.reset();
    this.#admission.end();
    const head = this.#head;
    this.#head = null;
    this.#body.text = "";
    this.#ledger.close(error, head, this.#ids, nowMs);
  }

  /** The try failed before an answer: another endpoint where that is safe, else an answer of our own. */
  onUpstreamError(error: MeshError): void {
    const head = this.#head as RequestHead;
    if (CODES[error.code].side === "upstream") {
      this.#attempt.observe(true, this.#plane.clock.now());
    }
    const answered = this.#answered || this.#interim;
    if (!this.#attempt.mayRepeat(error.code, head.method, this.#body.whole, answered)) {
      this.#fail(error);
      return;
    }
    this.#plane.recorder.retry(this.#facts.service, error.code);
    this.#attempt.giveUp();
    this.#try("new");
  }

  /** Ends the request with an error: an answer if none has begun, else a visible break of the connection. */
  #fail(error: MeshError): void {
    const head = this.#head;
    this.#attempt.end(false);
    if (this.#answered) {
      this.#record(error);
      this.#server.conn.reset();
      return;
    }
    const keepAlive =
      head !== null &&
      this.#keepAlive &&
      this.#complete &&
      !this.#plane.draining &&
      error.code !== "LOOP";
    const requestId = this.#ids === "" ? "" : requestIdIn(this.#ids);
    const options = { keepAlive, minor: head?.minor ?? 1, method: head?.method ?? "" };
    this.#facts.status = this.#relay.failure(
      failureResponse(error, requestId, options),
      error,
      this.#server.conn,
    );
    this.#record(error);
    this.#server.finish(keepAlive, this.#plane.clock.now());
  }

  onRequestError(error: MeshError): void {
    if (this.#head === null) {
      this.#ledger.begin(this.#plane.clock.now());
      this.#ids = "";
      this.#answered = false;
    }
    this.#keepAlive = false;
    this.#fail(error);
    this.#server.closeGently();
  }

  onClientClose(): void {
    const error = new MeshError("CLIENT_CLOSED", this.#origin.address);
    this.#switchover?.cancel(error);
    if (this.#head !== null) {
      if (!this.#answered) this.#attempt.observeAbandoned(this.#plane.clock.now());
      this.#attempt.end(false);
      this.#facts.status = this.#answered ? this.#facts.status : CODES.CLIENT_CLOSED.http;
      this.#record(error);
    }
    this.#onEnd();
  }

  onAnswerDeadline(): void {
    if (this.#head === null) return;
    if (this.#answered) {
      const slowClient = this.#server.conn.pendingBytes > 0;
      this.#fail(
        new MeshError(slowClient ? "CLIENT_CLOSED" : "UPSTREAM_STALLED", this.#attempt.peer),
      );
    } else if (!this.#complete && !this.#attempt.congested && this.#continued) {
      this.#keepAlive = false;
      this.#fail(new MeshError("REQUEST_BODY_TIMEOUT", this.#origin.address));
    } else {
      this.#attempt.observe(true, this.#plane.clock.now());
      this.#fail(new MeshError("UPSTREAM_TIMEOUT", this.#attempt.peer));
    }
  }

  #arm(limitMs: number): void {
    this.#server.deadlineMs = deadlineAfter(this.#plane.clock.now(), limitMs);
  }

  /** 101, or a CONNECT that the endpoint granted: from here on the connection is a tunnel. */
  #upgrade(upstream: Conn, chunk: Buffer, start: number, end: number): void {
    const release = this.#attempt.handOver();
    this.#switchover = Switchover.upgrade(this.#plane, this.#server, upstream, (tunnelEnd) => {
      this.#facts.requestBytes += tunnelEnd.bytesUp;
      this.#facts.responseBytes += tunnelEnd.bytesDown;
      release();
      this.onTunnelEnd();
    });
    this.#switchover.fromUpstream(chunk, start, end);
  }

  onTunnelFailed(error: MeshError): void {
    this.#switchover = null;
    this.#fail(error);
  }

  onTunnelEnd(): void {
    this.#record(null);
    this.#onEnd();
  }
}

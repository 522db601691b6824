import { deadlineAfter } from "../core/deadlines.ts";
import { CODES, MeshError } from "../core/errors.ts";
import type { RequestFacts } from "../core/facts.ts";
import { judgedStatus } from "../core/grpc.ts";
import type { Downstream } from "../http/downstream.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";
import type { Upstream, UpstreamHandler } from "../http/upstream.ts";
import { Admission, guardedAt, guardedOutside } from "./admission.ts";
import { Attempt, FIRST_FAILURE_STATUS } from "./attempt.ts";
import { ClientCert } from "./client-cert.ts";
import type { Origin } from "./context.ts";
import { noteResponse, noteTrailers, noteUpstream } from "./details.ts";
import { toMeshError } from "./failure.ts";
import { withDeadline } from "./forward-head.ts";
import { grpcStatusBehind, grpcStatusIn, grpcStatusInLines, isGrpcCall } from "./grpc.ts";
import type { Plane } from "./plane.ts";
import { contextLines } from "./propagation.ts";
import type { RequestLimits } from "./request-limits.ts";
import type { RequestState } from "./request-state.ts";
import type { Destination } from "./resolve.ts";
import { Retries } from "./retries.ts";
import { type Hop, hopOf, upstreamHead } from "./rewrite.ts";
import type { RoutePlan } from "./route-plan.ts";
import { requestTimeout, tryTimeout } from "./routing/policy/time-limits.ts";
import { switchFault } from "./switch-fault.ts";
import type { HandedOver } from "./switchover.ts";
import { TimeLimits } from "./time-limits.ts";
import type { Freshness, PoolWaiter } from "./upstream/pool/upstream-pool.ts";

const NOT_FOUND = 404;

/** Whom a forwarded request belongs to. */
export interface ForwardOwner {
  /** The final response, with the part of the body that came along. */
  onAnswer(head: ResponseHead, chunk: Buffer, start: number, end: number, last: boolean): void;
  onAnswerBody(chunk: Buffer, start: number, end: number, last: boolean): void;
  onInterim(head: ResponseHead): void;
  /** There will be no response from an endpoint. */
  onNoAnswer(error: MeshError): void;
}

/** What a connection's requests are forwarded with. */
export interface ForwardParts {
  readonly plane: Plane;
  readonly origin: Origin;
  readonly facts: RequestFacts;
  readonly state: RequestState;
  readonly server: Downstream;
  readonly plan: RoutePlan;
  readonly limits: RequestLimits;
  readonly owner: ForwardOwner;
}

/**
 * The way of a request to an endpoint, and of its answer back, as often as it takes:
 *
 *   begin -> try (balance, authorise) -> onAdmission (pool) -> onConnection (transport) -> onResponse -> onResponseBody
 *   a failure, or a response that the rules retry: again from try, at once or after a pause
 */
export class Forward implements UpstreamHandler, PoolWaiter {
  readonly #plane: Plane;
  readonly #origin: Origin;
  readonly #facts: RequestFacts;
  readonly #state: RequestState;
  readonly #server: Downstream;
  readonly #plan: RoutePlan;
  readonly #owner: ForwardOwner;
  readonly #admission: Admission;
  readonly #clientCert: ClientCert;
  readonly #hop: Hop;
  readonly #limits: RequestLimits;
  readonly #times: TimeLimits;
  readonly #retries: Retries;
  readonly attempt: Attempt;
  #destination: Destination | null = null;
  #freshness: Freshness = "any";
  #isGrpc = false;
  /** Is a response under way whose status its trailers will bring? */
  #awaitsStatus = false;

  constructor({ plane, origin, facts, state, server, plan, limits, owner }: ForwardParts) {
    this.#plane = plane;
    this.#origin = origin;
    this.#facts = facts;
    this.#state = state;
    this.#server = server;
    this.#plan = plan;
    this.#owner = owner;
    this.#admission = new Admission(plane, origin);
    this.#clientCert = new ClientCert(origin, plane.workloads);
    this.#hop = hopOf(origin, server.version);
    this.attempt = new Attempt(plane, origin, facts);
    this.attempt.version = server.upstreamVersion;
    this.#retries = new Retries(plane, facts, state, plan, this.attempt);
    this.#limits = limits;
    this.#times = new TimeLimits(plane, {
      onTryTimeout: () => this.#onTryTimeout(),
      onRequestTimeout: () => this.#onRequestTimeout(),
      onPauseOver: () => this.#try("any"),
    });
  }

  begin(destination: Destination): void {
    const { sent: head, complete, body } = this.#state;
    this.#destination = destination;
    this.#isGrpc = isGrpcCall(head as RequestHead, this.#server.version);
    this.#awaitsStatus = false;
    this.#retries.begin(destination);
    if (complete) this.#times.begin(this.#plan.requestMs);
    // Its caller counts from here on, whatever it still sends.
    else if (this.#isGrpc) this.#times.begin(this.#plan.overrides?.deadlineMs ?? 0);
    const mayReplay = body.mayReplay(head as RequestHead, complete);
    this.#try(mayReplay ? "any" : "fresh");
  }

  /** Balance, authorise and pool. Without a connection at hand the client's body waits. */
  #try(freshness: Freshness): void {
    const head = this.#state.sent as RequestHead;
    const destination = this.#destination as Destination;
    // The time limit of an earlier try must not hit this one while it waits in a queue.
    this.#server.deadlineMs = Number.POSITIVE_INFINITY;
    this.#freshness = freshness;
    if (this.#plan.perTryMs > 0 && this.#state.complete) this.#times.beginTry(this.#plan.perTryMs);
    try {
      const endpoint = this.attempt.pick(destination, head, this.#plan);
      if (endpoint !== null && destination.kind === "cluster") {
        this.#limits.admit(destination.cluster, endpoint, head);
      }
      const guarded =
        endpoint === null || destination.kind === "outside"
          ? guardedOutside(this.#plane, destination)
          : guardedAt(this.#plane, destination, endpoint, this.#origin);
      this.#admission.ask(guarded, head, this);
    } catch (error) {
      this.#owner.onNoAnswer(toMeshError(error));
      return;
    }
    const waits = this.#state.head !== null && this.attempt.upstream === null;
    if (waits && !this.#state.complete) this.#server.carrier.stopReading();
  }

  /** `error`: what forbids the request; null: nothing does, or it goes to another host, which asks for itself. */
  onAdmission(error: MeshError | null): void {
    try {
      if (error !== null) throw error;
      this.attempt.acquire(this, this.#freshness);
    } catch (reason) {
      this.#owner.onNoAnswer(toMeshError(reason));
    }
  }

  /** Policies have changed. */
  review(handler: { onRevoked(error: MeshError): void }): void {
    this.#admission.review(handler);
  }

  onConnection(upstream: Upstream): void {
    const state = this.#state;
    const head = state.sent as RequestHead;
    this.attempt.onConnection(upstream);
    this.#facts.upstreamVersion = upstream.version;
    if (this.#facts.details !== null) noteUpstream(this.#facts.details, upstream.conn);
    upstream.carrier.share = this.#server.carrier.share;
    const lines = this.#idLines() + this.#clientCert.lineFor(this.attempt.endpoint);
    const { effects } = this.#admission;
    const text = upstreamHead(head, this.#origin, lines, this.#hop, effects);
    const whole = withDeadline(text, this.#leftMs(this.attempt.sentMs), head) + state.body.text;
    upstream.send(this, head.method, whole, state.complete);
    if (!this.#retries.keepsBody(head, this.#isGrpc)) {
      state.body.forget(state.complete && this.#facts.requestBytes === 0);
    }
    const { responseHeadMs } = this.#plane.config.timeouts;
    const limitMs = state.complete ? responseHeadMs : this.#idleMs;
    this.#server.deadlineMs = deadlineAfter(this.attempt.sentMs, limitMs);
    if (!state.complete) this.#server.carrier.resumeReading();
  }

  /** The lines that identify the request, for the endpoint of this try. */
  #idLines(): string {
    const { ids, spans, head } = this.#state;
    const { endpoint, sentMs } = this.attempt;
    const own = spans === null ? ids : spans.sent(endpoint, this.#plan.match, sentMs);
    return contextLines(head as RequestHead, own, this.#plane);
  }

  /** What the endpoint has, in ms: the time of a request that is still being sent has yet to begin. */
  #leftMs(nowMs: number): number {
    const { requestMs } = this.#plan;
    const leftMs = this.#times.leftMs(nowMs);
    return this.#state.complete || requestMs === 0 ? leftMs : Math.min(leftMs, requestMs);
  }

  onNoConnection(error: MeshError): void {
    this.onUpstreamError(error);
  }

  onMoved(): void {
    this.onAdmission(null);
  }

  /** More of the client's body. */
  onRequestBody(chunk: Buffer, start: number, end: number, last: boolean): void {
    const { body, answered } = this.#state;
    const { upstream } = this.attempt;
    body.add(chunk, start, end);
    if (last) this.#beginTimes();
    if (upstream === null) {
      if (!last) this.#server.carrier.stopReading();
      return;
    }
    if (!body.fits(-1)) body.forget(false);
    upstream.sendBody(chunk, start, end, last, this.#server.carrier);
    const { responseHeadMs } = this.#plane.config.timeouts;
    this.arm(last && !answered ? responseHeadMs : this.#idleMs);
  }

  /** The client has sent everything. In a pause no try is under way. */
  #beginTimes(): void {
    const { requestMs, perTryMs } = this.#plan;
    this.#times.begin(requestMs);
    const isTrying = !this.#state.answered && this.attempt.endpoint !== null;
    if (perTryMs > 0 && isTrying) this.#times.beginTry(perTryMs);
  }

  onInformational(head: ResponseHead): void {
    this.#owner.onInterim(head);
  }

  onResponse(head: ResponseHead, chunk: Buffer, start: number, end: number, last: boolean): void {
    const request = this.#state.head as RequestHead;
    const fault = switchFault(head, this.#state.sent as RequestHead, this.#server.version);
    if (fault !== null) {
      this.onUpstreamError(new MeshError("UPSTREAM_PROTOCOL", `${this.attempt.peer}, ${fault}`));
      return;
    }
    const nowMs = this.#plane.clock.now();
    this.#observe(head, last, nowMs);
    const leftMs = this.#times.leftMs(nowMs);
    const isAsked = this.#plan.retry !== null || mayBeFailure(head.status);
    const pauseMs = isAsked ? this.#retries.pauseAfter(head, request, leftMs) : -1;
    if (pauseMs >= 0) {
      this.#state.spans?.failed(null, head.status, nowMs);
      this.attempt.giveUp(last);
      this.#again(pauseMs, "any");
      return;
    }
    this.#times.endTry();
    this.#facts.status = head.status;
    const { details } = this.#facts;
    if (details !== null) noteResponse(details, head, nowMs);
    if (details !== null && last) this.#noteTrailers(chunk, start, end);
    this.#owner.onAnswer(head, chunk, start, end, last);
  }

  /** A call of gRPC may tell only behind its content how it went. */
  #observe(head: ResponseHead, last: boolean, nowMs: number): void {
    const grpcStatus = this.#isGrpc ? grpcStatusIn(head.fields) : -1;
    this.#facts.grpcStatus = grpcStatus;
    this.#awaitsStatus = this.#isGrpc && grpcStatus === -1 && !last;
    if (this.#awaitsStatus) this.attempt.observeHead(nowMs);
    else this.attempt.observe(judgedStatus(head.status, grpcStatus), false, nowMs);
  }

  #observeEnd(chunk: Buffer, start: number, end: number): void {
    this.#awaitsStatus = false;
    const { trailers } = (this.attempt.upstream as Upstream).carrier;
    const grpcStatus =
      trailers === "" ? grpcStatusBehind(chunk, start, end) : grpcStatusInLines(trailers);
    this.#facts.grpcStatus = grpcStatus;
    const status = judgedStatus(this.#facts.status, grpcStatus);
    this.attempt.observeEnd(status, this.#plane.clock.now());
  }

  onResponseBody(chunk: Buffer, start: number, end: number, last: boolean): void {
    if (last && this.#awaitsStatus) this.#observeEnd(chunk, start, end);
    if (last && this.#facts.details !== null) this.#noteTrailers(chunk, start, end);
    this.#owner.onAnswerBody(chunk, start, end, last);
  }

  #noteTrailers(chunk: Buffer, start: number, end: number): void {
    const { details } = this.#facts;
    const { carrier } = this.attempt.upstream as Upstream;
    if (details !== null) noteTrailers(details, carrier, chunk, start, end);
  }

  /** The try failed before an answer: another endpoint where that is safe, else there is no answer. */
  onUpstreamError(error: MeshError): void {
    const { head, answered, interim } = this.#state;
    const { side } = CODES[error.code];
    const nowMs = this.#plane.clock.now();
    if (side === "upstream") this.attempt.observe(0, true, nowMs);
    const isOver = answered || interim;
    const leftMs = this.#times.leftMs(nowMs);
    const pauseMs = isOver
      ? -1
      : this.#retries.pauseAfterFailure(error, head as RequestHead, leftMs);
    if (pauseMs < 0) {
      this.#owner.onNoAnswer(error);
      return;
    }
    this.#state.spans?.failed(error.code, 0, nowMs);
    this.attempt.giveUp(false);
    this.#again(pauseMs, "new");
  }

  #again(pauseMs: number, freshness: Freshness): void {
    this.#times.endTry();
    this.#facts.grpcStatus = -1;
    // An answer to the try that is over must not be taken for one to the next.
    this.#admission.end();
    if (pauseMs === 0) this.#try(freshness);
    else {
      this.#server.deadlineMs = Number.POSITIVE_INFINITY;
      this.#times.pause(pauseMs);
    }
  }

  #onTryTimeout(): void {
    this.onUpstreamError(tryTimeout(this.attempt.peer, this.#plan.perTryMs));
  }

  #onRequestTimeout(): void {
    if (!this.#state.answered) this.attempt.observe(0, true, this.#plane.clock.now());
    this.#owner.onNoAnswer(requestTimeout(this.attempt.peer, this.#plan.requestMs));
  }

  /** The response is complete: the connection goes back to its pool. */
  finish(nowMs: number): void {
    this.attempt.end(true, nowMs);
  }

  /** The request has become a tunnel, which has no time limit but that of its silence. */
  handOver({ status, upgrade }: ResponseHead): HandedOver {
    this.#times.end();
    const { conn, carrier } = this.attempt.upstream as Upstream;
    const isWebSocket = status === 101 && upgrade.toLowerCase() === "websocket";
    const { idleMs } = this.#plan;
    const { tunnelIdleMs } = this.#plane.config.timeouts;
    const release = this.attempt.handOver();
    const limitMs = idleMs === -1 ? tunnelIdleMs : idleMs;
    return { conn, carrier, isWebSocket, release, idleMs: limitMs };
  }

  /** The request is over, however it ended: what is still held is given back. */
  reset(): void {
    this.#facts.requestMessages = this.#server.requestMessages;
    this.#facts.responseMessages = this.#server.responseMessages;
    this.attempt.end(false);
    this.attempt.reset();
    this.#admission.end();
    this.#times.end();
    this.#retries.end();
    this.#destination = null;
  }

  get #idleMs(): number {
    const { idleMs } = this.#plan;
    return idleMs === -1 ? this.#plane.config.timeouts.streamIdleMs : idleMs;
  }

  armIdle(): void {
    this.arm(this.#idleMs);
  }

  arm(limitMs: number): void {
    this.#server.deadlineMs = deadlineAfter(this.#plane.clock.now(), limitMs);
  }
}

/** Could a response of this status be another daemon's, for an endpoint that failed or is gone there? */
function mayBeFailure(status: number): boolean {
  return status >= FIRST_FAILURE_STATUS || status === NOT_FOUND;
}

import type { HostPort } from "../core/address.ts";
import { MeshError } from "../core/errors.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { Carrier } from "../http/carrier.ts";
import type { Downstream, DownstreamHandler, OpenDownstream } from "../http/downstream.ts";
import { ServerConnection } from "../http/h1/server.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";
import type { Upstream } from "../http/upstream.ts";
import { requestIdIn } from "../telemetry/trace-context.ts";
import { AbortWatch } from "./abort-watch.ts";
import { isTakenOver } from "./admission.ts";
import type { Origin } from "./context.ts";
import { OUTSIDE } from "./exchange-facts.ts";
import { INTERNAL_HOST, internalResponse, statusOf, toMeshError } from "./failure.ts";
import { failureAnswer, failureTrailers } from "./failure-answer.ts";
import { Forward, type ForwardOwner } from "./forward.ts";
import { Gate, type GateOwner } from "./gate.ts";
import { h2cUpgrade } from "./h2c-upgrade.ts";
import { whoIsLate } from "./lateness.ts";
import { Ledger } from "./ledger.ts";
import { answerOf, type LocalAnswer, localAnswerText } from "./local-answer.ts";
import { Mirrors } from "./mirrors.ts";
import type { Plane } from "./plane.ts";
import { RequestLimits } from "./request-limits.ts";
import { RequestState } from "./request-state.ts";
import { type Destination, Router, serviceOf } from "./resolve.ts";
import { ResponseRelay } from "./response-relay.ts";
import { goesRound, normalize } from "./rewrite.ts";
import { Planner } from "./route-plan.ts";
import { RoutedHeads } from "./routed-head.ts";
import { abortError } from "./routing/policy/faults.ts";
import { type ConnectParts, Switchover } from "./switchover.ts";

/**
 * The requests of one client connection, one after the other. This is the spine of the HTTP path, on the client's side:
 *
 *   onRequest -> [turn] -> route (match, plan, limit) -> [fault] -> dispatch -> forward (see forward.ts), or an answer of our own
 *   -> onAnswer -> onAnswerBody -> finish;  recorded once
 *
 * One object serves the whole connection, so that a request allocates neither closures nor promises.
 */
export class Exchange implements DownstreamHandler, ForwardOwner, GateOwner {
  readonly #plane: Plane;
  readonly #origin: Origin;
  readonly #server: Downstream;
  readonly #ledger: Ledger;
  readonly #facts: RequestFacts;
  readonly #state: RequestState;
  readonly #router: Router;
  readonly #planner: Planner;
  readonly #limits: RequestLimits;
  readonly #forward: Forward;
  readonly #mirrors: Mirrors;
  readonly #heads: RoutedHeads;
  readonly #gate: Gate;
  readonly #abort: AbortWatch;
  readonly #relay: ResponseRelay;
  readonly #onEnd: () => void;
  readonly #parts: ConnectParts;
  #destination: Destination | null = null;
  #keepAlive = false;
  /** Set once the connection has stopped being HTTP. */
  #switchover: Switchover | null = null;

  /** `open` makes what the requests come by. */
  constructor(plane: Plane, origin: Origin, open: OpenDownstream, onEnd: () => void) {
    this.#plane = plane;
    this.#origin = origin;
    this.#onEnd = onEnd;
    this.#ledger = new Ledger(plane, origin);
    this.#facts = this.#ledger.facts;
    this.#router = new Router(plane, origin);
    this.#planner = new Planner(plane, origin, this.#facts);
    this.#limits = new RequestLimits(plane, origin, this.#planner);
    this.#relay = new ResponseRelay(plane.server.limits, this.#facts);
    this.#server = open(this);
    this.#facts.version = this.#server.version;
    this.#parts = { plane, origin, server: this.#server, facts: this.#facts, handler: this };
    this.#state = new RequestState(plane.config.limits.replayBytes, this.#server.carrier.share);
    this.#abort = new AbortWatch(plane, this.#server, this.#facts);
    this.#gate = new Gate(plane, this.#server, { state: this.#state, facts: this.#facts }, this);
    this.#heads = new RoutedHeads(plane.config);
    this.#mirrors = new Mirrors(plane, origin, this.#planner, this.#server.version);
    this.#forward = new Forward({
      ...{ plane, origin, facts: this.#facts, state: this.#state, server: this.#server },
      ...{ plan: this.#planner.plan, limits: this.#limits, owner: this },
    });
  }

  /** For requests of HTTP/1, one after the other. */
  static over(plane: Plane, origin: Origin, carrier: Carrier, onEnd: () => void): Exchange {
    const open: OpenDownstream = (handler) => new ServerConnection(carrier, handler, plane.server);
    return new Exchange(plane, origin, open, onEnd);
  }

  /** Bytes that were read before it was known that they are HTTP. */
  receive(chunk: Buffer, end: number): void {
    this.#server.carrier.handler.onBytes(chunk, end);
  }

  /** A shutdown begins: an idle connection closes unless it is used again soon, others after their request. */
  drain(): void {
    this.#switchover?.drain();
    this.#server.retire();
  }

  /** Ends it now. */
  destroy(): void {
    this.#switchover?.destroy();
    this.#server.carrier.destroy();
  }

  onRequest(head: RequestHead, chunk: Buffer, start: number, end: number, last: boolean): void {
    if (head.offersHttp2) {
      this.#switchover = h2cUpgrade(head, last, this.#parts, this.#onEnd);
      if (this.#switchover !== null) return;
    }
    this.#ledger.begin(this.#plane.clock.now(), this.#server.carrier.share, last);
    this.#facts.requestBytes = end - start;
    this.#state.begin(head, last);
    this.#keepAlive = head.keepAlive;
    this.#state.body.begin(chunk, start, end);
    if (this.#server.finSeen) this.#abort.begin();
    if (this.#gate.enter()) this.onTurnCome();
  }

  onPreface(rest: Buffer): void {
    const parts = [this.#origin, this.#server.carrier, rest, this.#onEnd] as const;
    this.#switchover = Switchover.streams(this.#plane.serveStreams(...parts));
  }

  onClientFin(): void {
    this.#abort.begin();
  }

  onTurnCome(): void {
    try {
      this.#route(this.#state.head as RequestHead);
    } catch (error) {
      this.onNoAnswer(toMeshError(error));
    }
  }

  /** Match and policy: where the request goes, and whether it may. */
  #route(head: RequestHead): void {
    const plane = this.#plane;
    const facts = this.#facts;
    const { destination: dialled } = this.#origin;
    if (dialled === null && head.host === INTERNAL_HOST) {
      this.#server.answer(internalResponse(head));
      this.#state.head = null;
      this.#server.finish(head.keepAlive, plane.clock.now());
      return;
    }
    this.#ledger.identify(head, this.#state);
    normalize(head, plane.config.mesh);
    const called = this.#router.route(head);
    facts.service = serviceOf(called);
    if (called.kind === "outside") Object.assign(facts, OUTSIDE);
    if (goesRound(head)) throw new MeshError("LOOP", `Via: ${head.via.slice(0, 100)}`);
    this.#ledger.admit();
    if (head.method === "CONNECT" && dialled === null) {
      this.#abort.end();
      this.#switchover = Switchover.connect(called, this.#parts);
      return;
    }
    this.#destination = this.#planner.make(head, called);
    if (this.#planner.plan.parts === null) this.#dispatch();
    else this.#obey(head);
  }

  /** What a rule does to a request before it goes anywhere. */
  #obey(head: RequestHead): void {
    const { plan } = this.#planner;
    const cors = plan.parts?.cors?.judge(head) ?? null;
    if (cors?.kind === "preflight") {
      this.#answer({ status: cors.status, fields: cors.fields, body: "" });
      return;
    }
    plan.corsEdits = cors?.edits ?? null;
    plan.fault = plan.parts?.faults?.draw(head, this.#plane.random) ?? null;
    if (plan.fault === null || plan.fault.delayMs <= 0) {
      this.#dispatch();
      return;
    }
    this.#gate.delay(plan.fault.delayMs);
  }

  onDelayOver(): void {
    try {
      this.#dispatch();
    } catch (error) {
      this.onNoAnswer(toMeshError(error));
    }
  }

  /** To an endpoint, or to the answer that a rule gives. */
  #dispatch(): void {
    const { plan } = this.#planner;
    const destination = this.#destination as Destination;
    const head = this.#state.head as RequestHead;
    if (plan.active) {
      if (plan.fault !== null && plan.fault.status !== 0) throw abortError(plan.fault);
      this.#limits.begin(destination, plan, head);
      const answer = answerOf(plan, head, this.#origin, this.#server.version);
      if (answer !== null) {
        this.#answer(answer);
        return;
      }
      this.#state.sent = this.#heads.of(head, plan);
      this.#mirrors.begin(this.#state, destination);
    }
    this.#forward.begin(destination);
  }

  /** Answers in place of an endpoint. */
  #answer(answer: LocalAnswer): void {
    const head = this.#state.head as RequestHead;
    const { ids, complete } = this.#state;
    const keepAlive = this.#keepAlive && complete && !this.#plane.draining;
    const options = { keepAlive, minor: head.minor, method: head.method };
    const text = localAnswerText(answer, ids === "" ? "" : requestIdIn(ids), options);
    this.#server.answer(this.#relay.edited(text, this.#planner.plan, this.#limits.lines));
    this.#facts.status = answer.status;
    this.#facts.grpcStatus = answer.grpcStatus ?? -1;
    this.#record(null);
    this.#server.finish(keepAlive, this.#plane.clock.now());
  }

  /** Policies, authorities or the owners of addresses have changed: ends what may not go on. */
  review(): void {
    const tunnel = this.#switchover;
    const isOver = tunnel !== null && isTakenOver(this.#plane, this.#facts.endpoint);
    if (isOver || tunnel?.isForbidden()) this.destroy();
    else {
      tunnel?.review();
      this.#forward.review(this);
    }
  }

  /** The caller is no longer trusted: what is under way ends, and nothing comes after it. */
  finish(): void {
    this.#keepAlive = false;
    if (this.#state.head === null || this.#switchover !== null) this.destroy();
  }

  onRevoked(error: MeshError): void {
    if (this.#switchover === null) this.onNoAnswer(error);
    else this.destroy();
  }

  onRequestBody(chunk: Buffer, start: number, end: number, last: boolean): void {
    this.#ledger.arrived(this.#state, last);
    this.#facts.requestBytes += end - start;
    this.#mirrors.add(chunk, start, end, last);
    if (!this.#gate.isShut) this.#forward.onRequestBody(chunk, start, end, last);
    else {
      this.#state.body.add(chunk, start, end);
      if (!last) this.#server.carrier.stopReading();
    }
  }

  onInterim(head: ResponseHead): void {
    this.#state.interim = true;
    if (head.status === 100) this.#state.continued = true;
    this.#relay.informational(head, this.#state.head as RequestHead, this.#server);
  }

  onAnswer(head: ResponseHead, chunk: Buffer, start: number, end: number, last: boolean): void {
    const facts = this.#facts;
    const request = this.#state.head as RequestHead;
    const nowMs = this.#plane.clock.now();
    this.#state.answered = true;
    const { carrier } = this.#forward.attempt.upstream as Upstream;
    const goesOn = this.#keepAlive && this.#state.complete && !this.#plane.draining;
    this.#keepAlive = this.#relay.begin(head, request, goesOn);
    this.#relay.edit(this.#planner.plan, this.#limits.lines);
    if (head.status === 101 || (request.method === "CONNECT" && head.status < 300)) {
      this.#server.grant(this.#relay.text);
      this.#upgrade(head, chunk, start, end);
      return;
    }
    facts.responseBytes = end - start;
    this.#relay.first(carrier, chunk, start, end, last, this.#server);
    const relayedMs = this.#plane.clock.now();
    facts.proxyMs += relayedMs - nowMs;
    if (last) this.#finish(relayedMs);
    else this.#forward.armIdle();
  }

  onAnswerBody(chunk: Buffer, start: number, end: number, last: boolean): void {
    this.#facts.responseBytes += end - start;
    const { carrier } = this.#forward.attempt.upstream as Upstream;
    this.#relay.more(carrier, chunk, start, end, last, this.#server);
    if (last) this.#finish(this.#plane.clock.now());
    else this.#forward.armIdle();
  }

  #finish(nowMs: number): void {
    this.#forward.finish(nowMs);
    this.#record(null, nowMs);
    this.#server.finish(this.#keepAlive, nowMs);
    // A shutdown may have begun since the head went out, which did not announce it.
    if (this.#plane.draining) this.drain();
  }

  /** Gives back what the request held and records it: exactly once per request. */
  #record(error: MeshError | null, nowMs = this.#plane.clock.now()): void {
    const { head } = this.#state;
    this.#forward.reset();
    this.#limits.end();
    this.#mirrors.end();
    this.#abort.end();
    this.#gate.reset();
    this.#state.head = null;
    this.#state.sent = null;
    this.#state.body.text = "";
    this.#ledger.close(error, head, this.#state, nowMs);
  }

  /** Ends the request with an error: an answer if none has begun, else a visible break of the connection. */
  onNoAnswer(error: MeshError): void {
    const { head, complete, answered, ids } = this.#state;
    this.#forward.attempt.end(false);
    if (answered) {
      const trailers = failureTrailers(error, head, this.#server.version, this.#facts);
      this.#record(error);
      this.#server.breakOff(trailers);
      return;
    }
    const goesOn = this.#keepAlive && complete && !this.#plane.draining;
    const keepAlive = head !== null && goesOn && error.code !== "LOOP";
    const asked = { head, version: this.#server.version, keepAlive, ids };
    const text = failureAnswer(error, asked, this.#facts);
    if (!this.#server.carrier.closed) this.#server.answer(text);
    this.#record(error);
    this.#server.finish(keepAlive, this.#plane.clock.now());
  }

  onRequestError(error: MeshError): void {
    const state = this.#state;
    if (state.head === null) {
      this.#ledger.begin(this.#plane.clock.now(), null);
      state.ids = "";
      state.answered = false;
    }
    this.#keepAlive = false;
    this.onNoAnswer(error);
    this.#server.closeGently();
  }

  onClientClose(): void {
    const { head, answered } = this.#state;
    const error = new MeshError("CLIENT_CLOSED", this.#origin.address);
    this.#switchover?.cancel(error);
    this.#switchover = null;
    if (head !== null) {
      const { attempt } = this.#forward;
      if (!answered) attempt.observeAbandoned(this.#plane.clock.now());
      attempt.end(false);
      this.#facts.status = answered ? this.#facts.status : statusOf(error);
      this.#record(error);
    }
    this.#onEnd();
  }

  onAnswerDeadline(): void {
    if (this.#state.head === null) return;
    const { attempt } = this.#forward;
    const error = whoIsLate(this.#state, attempt, this.#server.carrier, this.#origin);
    if (error.code === "UPSTREAM_TIMEOUT") attempt.observe(0, true, this.#plane.clock.now());
    if (error.code === "REQUEST_BODY_TIMEOUT") this.#keepAlive = false;
    this.onNoAnswer(error);
  }

  /** 101, or a CONNECT that the endpoint granted: from here on the connection is a tunnel. */
  #upgrade(head: ResponseHead, chunk: Buffer, start: number, end: number): void {
    this.#abort.end();
    this.#switchover = Switchover.upgrade(this.#parts, this.#forward.handOver(head));
    this.#switchover.fromUpstream(chunk, start, end);
  }

  onTunnelFailed(error: MeshError): void {
    this.#switchover = null;
    this.onNoAnswer(error);
  }

  serveTunnelled(place: HostPort, bytes: Buffer): Exchange {
    const origin = { ...this.#origin, destination: place };
    const onEnd = () => this.onTunnelEnd();
    const tunnelled = Exchange.over(this.#plane, origin, this.#server.carrier, onEnd);
    tunnelled.receive(bytes, bytes.length);
    return tunnelled;
  }

  onTunnelEnd(): void {
    this.#record(null);
    this.#onEnd();
  }
}

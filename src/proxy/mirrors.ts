import type { Sleeper } from "../core/alarms.ts";
import type { MeshError } from "../core/errors.ts";
import type { MirrorRule } from "../core/traffic.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";
import type { Upstream, UpstreamHandler } from "../http/upstream.ts";
import { Admission, guardedAt } from "./admission.ts";
import { Attempt } from "./attempt.ts";
import { ClientCert } from "./client-cert.ts";
import type { ToCluster } from "./clusters.ts";
import type { Origin } from "./context.ts";
import { newFacts } from "./exchange-facts.ts";
import { withLine } from "./forward-head.ts";
import type { Plane } from "./plane.ts";
import { contextLines } from "./propagation.ts";
import type { RequestState } from "./request-state.ts";
import type { Destination } from "./resolve.ts";
import { hopOf, upstreamHead } from "./rewrite.ts";
import { type Planner, RoutePlan } from "./route-plan.ts";
import { requestLine } from "./routing/transform/request-line.ts";
import type { PoolWaiter } from "./upstream/pool/upstream-pool.ts";

/** Copies under way in one worker, at most: a mirror that does not answer must not pile them up. */
const MAX_UNDER_WAY = 256;
/** Envoy's default for a route, which its mirrored requests share. */
const LIMIT_MS = 15_000;
/** By which a mirrored service tells the copies from the originals (Envoy). */
const SUFFIX = "-shadow";

/** The copies of one connection's requests that rules send elsewhere. They neither delay nor fail the original. */
export class Mirrors {
  readonly #plane: Plane;
  readonly #origin: Origin;
  readonly #planner: Planner;
  readonly #version: 1 | 2;
  #rules: readonly MirrorRule[] = [];
  #state: RequestState | null = null;
  #head = "";
  #body = "";

  /** `version`: major version of HTTP that the client speaks. */
  constructor(plane: Plane, origin: Origin, planner: Planner, version: 1 | 2) {
    this.#plane = plane;
    this.#origin = origin;
    this.#planner = planner;
    this.#version = version;
  }

  /** A request begins that its rule may mirror. Protocols that are not HTTP behind the head are not copied (Envoy). */
  begin(state: RequestState, destination: Destination): void {
    const head = state.sent as RequestHead;
    const { plan } = this.#planner;
    const { mirrors = [] } = plan.parts ?? {};
    if (mirrors.length === 0 || destination.kind === "outside") return;
    if (head.upgrade !== "" || head.method === "CONNECT") return;
    const { random } = this.#plane;
    this.#rules = mirrors.filter(({ percent }) => percent >= 100 || random() * 100 < percent);
    if (this.#rules.length === 0) return;
    this.#state = state;
    const lines = contextLines(state.head as RequestHead, state.ids, this.#plane);
    const text = upstreamHead(head, this.#origin, lines, hopOf(this.#origin, this.#version));
    this.#head = requestLine(text, { authority: shadow(head.authority) });
    this.#body = state.body.text;
    if (state.complete) this.#send();
  }

  /** More of the body. One that is too long to be kept is not copied. */
  add(chunk: Buffer, start: number, end: number, last: boolean): void {
    if (this.#state === null) return;
    this.#body += chunk.toString("latin1", start, end);
    if (this.#body.length > this.#plane.config.limits.replayBytes) {
      for (const _rule of this.#rules) this.#plane.recorder.event("mirror_skipped");
      this.end();
    } else if (last) this.#send();
  }

  #send(): void {
    const { sent: head } = this.#state as RequestState;
    const { recorder } = this.#plane;
    for (const { backend } of this.#rules) {
      try {
        const cluster = this.#planner.clusterOf(backend);
        const to: ToCluster = { kind: "cluster", cluster, fixed: null };
        const texts = { headText: this.#head, body: this.#body };
        const copy = { head: head as RequestHead, version: this.#version, ...texts };
        new Copy(this.#plane, this.#origin, copy).send(to);
      } catch {
        recorder.event("mirror_failed");
      }
    }
    this.end();
  }

  /** The request is over; one whose body did not come whole is not copied. */
  end(): void {
    if (this.#state === null) return;
    this.#state = null;
    this.#rules = [];
    this.#head = "";
    this.#body = "";
  }
}

function shadow(authority: string): string {
  const colon = authority.lastIndexOf(":");
  if (colon === -1 || authority.endsWith("]")) return authority + SUFFIX;
  return authority.slice(0, colon) + SUFFIX + authority.slice(colon);
}

/** What a copy is sent as. */
interface CopiedRequest {
  readonly head: RequestHead;
  readonly version: 1 | 2;
  /** As it goes out, but for the line that says who calls. */
  readonly headText: string;
  readonly body: string;
}

/** One copy of a request. Its answer is read and thrown away. */
class Copy implements UpstreamHandler, PoolWaiter, Sleeper {
  readonly #plane: Plane;
  readonly #attempt: Attempt;
  readonly #admission: Admission;
  readonly #origin: Origin;
  readonly #request: CopiedRequest;
  #isOver = false;

  constructor(plane: Plane, origin: Origin, request: CopiedRequest) {
    this.#plane = plane;
    this.#origin = origin;
    this.#request = request;
    this.#attempt = new Attempt(plane, origin, newFacts(origin));
    this.#attempt.version = request.version;
    this.#admission = new Admission(plane, origin);
  }

  /** Throws where it cannot be sent at all. */
  send(to: ToCluster): void {
    const { head } = this.#request;
    if (this.#plane.copies >= MAX_UNDER_WAY) {
      this.#plane.recorder.event("mirror_skipped");
      return;
    }
    this.#plane.copies += 1;
    this.#plane.alarms.set(this, this.#plane.clock.now() + LIMIT_MS);
    try {
      const endpoint = this.#attempt.pick(to, head, new RoutePlan());
      const guarded = endpoint === null ? null : guardedAt(this.#plane, to, endpoint, this.#origin);
      this.#admission.ask(guarded, head, this);
    } catch (error) {
      this.#end(false);
      throw error;
    }
  }

  onAdmission(error: MeshError | null): void {
    try {
      if (error !== null) throw error;
      this.#attempt.acquire(this, "any");
    } catch {
      this.#fail();
    }
  }

  onConnection(upstream: Upstream): void {
    this.#attempt.onConnection(upstream);
    const { head, headText, body } = this.#request;
    const line = new ClientCert(this.#origin, this.#plane.workloads).lineFor(
      this.#attempt.endpoint,
    );
    upstream.send(this, head.method, withLine(headText, line) + body, true);
  }

  onNoConnection(): void {
    this.#attempt.observe(0, true, this.#plane.clock.now());
    this.#fail();
  }

  onMoved(): void {
    this.onAdmission(null);
  }

  onInformational(): void {
    // The copy has been sent whole.
  }

  onResponse(
    head: ResponseHead,
    _chunk: Buffer,
    _start: number,
    _end: number,
    last: boolean,
  ): void {
    this.#attempt.observe(head.status, false, this.#plane.clock.now());
    if (head.status === 101) this.#fail();
    else if (last) this.#end(true);
  }

  onResponseBody(_chunk: Buffer, _start: number, _end: number, last: boolean): void {
    if (last) this.#end(true);
  }

  onUpstreamError(): void {
    this.#attempt.observe(0, true, this.#plane.clock.now());
    this.#fail();
  }

  onAlarm(): void {
    this.#attempt.observe(0, true, this.#plane.clock.now());
    this.#fail();
  }

  #fail(): void {
    if (this.#isOver) return;
    this.#plane.recorder.event("mirror_failed");
    this.#end(false);
  }

  #end(answered: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#plane.copies -= 1;
    this.#plane.alarms.set(this, Number.POSITIVE_INFINITY);
    this.#admission.end();
    this.#attempt.end(answered, this.#plane.clock.now());
    if (answered) this.#plane.recorder.event("mirror_sent");
  }
}

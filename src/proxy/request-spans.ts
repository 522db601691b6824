import type { MeshErrorCode } from "../core/errors.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { DataEndpoint } from "../core/snapshot.ts";
import type { RouteMatch } from "../core/traffic.ts";
import type { RequestHead } from "../http/message.ts";
import { SPAN_KIND, type SpanEvent, type Tracing } from "../telemetry/tracing/span.ts";
import type { Origin } from "./context.ts";
import type { Plane } from "./plane.ts";
import { parentOf, spanIdsIn, withSpan } from "./propagation.ts";
import { peerOf, spanOf, type Told } from "./span-of.ts";
import { calleeText, callerText } from "./span-owner.ts";

/** Tries that a span tells of; those beyond it are only counted. */
const MAX_EVENTS = 16;

/** A try at an endpoint of this very host, which is its server too. */
interface ServerSide {
  readonly spanId: string;
  readonly startMs: number;
  readonly endpoint: DataEndpoint;
}

/** How a try, or the whole exchange, came out. */
interface Outcome {
  readonly status: number;
  readonly grpcStatus: number;
  readonly error: MeshErrorCode | null;
}

/** Is this the host of the called workload, so that the caller's host has a span of its own? */
function isCalleeSide({ entry, peer }: Origin): boolean {
  return peer !== null || entry === "mesh" || entry === "inbound";
}

/**
 * The spans of one request that is recorded. The caller's host has a client span, and the callee's host a server span below it for
 * each try. Where both are this host the proxy makes both, and the application's parent is the server span; so a call looks
 * the same wherever the two run.
 */
export class RequestSpans {
  readonly #plane: Plane;
  readonly #tracing: Tracing;
  readonly #origin: Origin;
  readonly #facts: RequestFacts;
  readonly #head: RequestHead;
  readonly #ids: string;
  readonly #events: SpanEvent[] = [];
  #server: ServerSide | null = null;
  /** The path by which a rule was found; "": none. */
  #template = "";

  constructor(
    parts: { readonly plane: Plane; readonly tracing: Tracing; readonly origin: Origin },
    facts: RequestFacts,
    head: RequestHead,
    ids: string,
  ) {
    this.#plane = parts.plane;
    this.#tracing = parts.tracing;
    this.#origin = parts.origin;
    this.#facts = facts;
    this.#head = head;
    this.#ids = ids;
  }

  /** A try goes to its endpoint: identity lines with the span that is the parent of what happens there. */
  sent(endpoint: DataEndpoint | null, match: RouteMatch | null, nowMs: number): string {
    this.#template = templateOf(match);
    const isServed = endpoint?.local === true && endpoint.outside !== true;
    if (endpoint === null || !isServed || isCalleeSide(this.#origin)) return this.#ids;
    const spanId = this.#plane.trace.newSpanId();
    this.#server = { spanId, startMs: nowMs, endpoint };
    return withSpan(this.#ids, spanId);
  }

  /** A try has failed, and there will be another one. */
  failed(error: MeshErrorCode | null, status: number, nowMs: number): void {
    const { attempts, grpcStatus } = this.#facts;
    this.#endServer({ status, grpcStatus, error }, nowMs);
    if (this.#events.length >= MAX_EVENTS) return;
    const timeMs = this.#tracing.unixMs(nowMs);
    const attributes = [
      ...["hostmesh.try", attempts, "hostmesh.endpoint", this.#facts.endpoint?.id ?? ""],
      ...peerOf(this.#facts, this.#origin),
      ...["error.type", error ?? String(status)],
      ...(status === 0 ? [] : ["http.response.status_code", status]),
    ];
    this.#events.push({ name: "hostmesh.try_failed", timeMs, attributes });
  }

  /** The exchange is over, and its facts are whole. */
  end(): void {
    const { startMs, durationMs, status, grpcStatus, error } = this.#facts;
    const endMs = startMs + durationMs;
    const isServer = isCalleeSide(this.#origin);
    const { spanId } = spanIdsIn(this.#ids);
    const outcome = { status, grpcStatus, error };
    this.#endServer(outcome, endMs);
    this.#add({
      ...{ kind: isServer ? SPAN_KIND.SERVER : SPAN_KIND.CLIENT, spanId, startMs, endMs },
      ...{ ...outcome, parentId: parentOf(this.#head, spanIdsIn(this.#ids)), isParentRemote: true },
      ...{ endpoint: this.#facts.endpoint, events: this.#events },
    });
  }

  #endServer(outcome: Outcome, endMs: number): void {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    const { spanId: parentId } = spanIdsIn(this.#ids);
    this.#add({
      ...{ ...server, ...outcome, kind: SPAN_KIND.SERVER, endMs },
      ...{ parentId, isParentRemote: false, events: [] },
    });
  }

  #add(told: Omit<Told, "template">): void {
    const { unixMs, sink } = this.#tracing;
    const exchange = { origin: this.#origin, facts: this.#facts, head: this.#head, ids: this.#ids };
    const parts = { ...exchange, unixMs };
    const span = spanOf({ ...told, template: this.#template }, parts, spanIdsIn(this.#ids));
    const isClient = told.kind === SPAN_KIND.CLIENT;
    const resource = isClient
      ? callerText(this.#origin)
      : calleeText(this.#plane, this.#facts, told.endpoint);
    sink.add(resource, span);
  }
}

/** The path that a rule asks for, as a route of few values: `*` stands for what may follow, or go before. */
function templateOf(match: RouteMatch | null): string {
  const path = match?.path;
  if (path === undefined) return "";
  switch (path.kind) {
    case "present":
      return "";
    case "prefix":
      return `${path.value}*`;
    case "segments":
      return path.value.endsWith("/") ? `${path.value}*` : `${path.value}/*`;
    case "suffix":
      return `*${path.value}`;
    default:
      return path.value;
  }
}

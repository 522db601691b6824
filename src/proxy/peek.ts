import { deadlineAfter, type Expirable } from "../core/deadlines.ts";
import type { Carrier, ConnHandler } from "../http/carrier.ts";
import { guardedOutside } from "./admission.ts";
import {
  classify,
  declaredTreatment,
  isHttp2Greeting,
  isHttpAnswer,
  looksLikeRequest,
  type Treatment,
} from "./downstream/protocol.ts";
import type { Plane } from "./plane.ts";
import type { Destination } from "./resolve.ts";
import { declaredProtocol } from "./upstream-protocol.ts";

/**
 * Outside the mesh nothing is looked at: such traffic passes untouched, unless the port is one where some host name's
 * HTTP is called, or one of a workload of this host, which may believe identity headers there as well.
 */
export function declaredBy(destination: Destination, plane: Plane): Treatment | null {
  if (destination.kind === "outside") {
    const isLookedAt =
      plane.services.hasHostAt(destination.port) || guardedOutside(plane, destination) !== null;
    return isLookedAt ? null : "opaque";
  }
  const { service, endpoints } = destination.cluster;
  const endpoint = destination.fixed ?? endpoints[0];
  return declaredTreatment(declaredProtocol(service, endpoint));
}

/** What the client has sent so far; `fin`: and that it will send no more. */
export interface Early {
  readonly bytes: Buffer | null;
  readonly fin: boolean;
  /** The bytes may yet turn out to begin a request. */
  readonly isUnclear?: boolean;
}

/** Told of one thing, once; what is told of next comes from the connections themselves. */
export interface PeekHandler {
  /** Nothing that a server of HTTP would read as a request. The server's first bytes or its end, if any, come next. */
  onOpaque(early: Early): PeekedTunnel;
  /** A request: the connection to the endpoint is not needed. */
  onHttp(bytes: Buffer): void;
  /** The client is gone, or takes too long for a first line; or the endpoint has given up. */
  onNothing(): void;
}

/** What takes over from the endpoint's side. */
export interface PeekedTunnel {
  fromUpstream(chunk: Buffer, start: number, end: number): void;
  finFromUpstream(): void;
}

/**
 * A tunnel that stands already, from another host or by CONNECT, whose first bytes are looked at like those of a captured
 * connection: requests in it would else bring along identity headers of the client's making.
 */
export class Peek implements ConnHandler, Expirable {
  deadlineMs: number;
  readonly #plane: Plane;
  readonly #client: Carrier;
  readonly #handler: PeekHandler;
  #early: Buffer | null = null;
  /** Of an endpoint that speaks HTTP/2, and has nothing more to say before its client does. */
  #greeting: Buffer | null = null;
  #settled = false;
  /** Does what came so far look like a request? */
  #isRequest = false;

  constructor(plane: Plane, client: Carrier, upstream: Carrier, handler: PeekHandler) {
    this.#plane = plane;
    this.#client = client;
    this.#handler = handler;
    this.deadlineMs = deadlineAfter(plane.clock.now(), plane.config.timeouts.tunnelIdleMs);
    upstream.handler = new UpstreamWatch(this, upstream);
    client.handler = this;
    plane.deadlines.add(this);
    client.resumeReading();
    upstream.resumeReading();
    if (client.gone || upstream.gone) this.giveUp();
  }

  onBytes(chunk: Buffer, end: number): void {
    if (this.#settled) return;
    this.#early = Buffer.concat([this.#early ?? Buffer.alloc(0), chunk.subarray(0, end)]);
    const text = this.#early.toString("latin1");
    const found = classify(text);
    if (found === "opaque") this.settleOpaque(false);
    else if (found === "http") {
      this.#end();
      this.#handler.onHttp(this.#early);
    } else this.#hold(looksLikeRequest(text));
  }

  /** What looks like a request has the time of a head; a single word passes after a peek, and is watched. */
  #hold(isRequest: boolean): void {
    const { clock, config } = this.#plane;
    const limitMs = isRequest ? config.timeouts.headMs : config.detection.peekMs;
    if (isRequest && this.#isRequest) return;
    this.#isRequest = isRequest;
    this.deadlineMs = deadlineAfter(clock.now(), limitMs);
  }

  /** Half a line is no request. */
  onFin(): void {
    this.settleOpaque(true);
  }

  onDrain(): void {
    // Nothing is written before it is settled.
  }

  onClose(): void {
    this.giveUp();
  }

  onDeadline(): void {
    if (this.#early === null || this.#isRequest) this.giveUp();
    else this.settleOpaque(false, true);
  }

  /** The endpoint has said that it speaks HTTP/2: that is no reason to believe that the client does not. */
  keepGreeting(chunk: Buffer, end: number): void {
    if (!this.#settled) this.#greeting = Buffer.from(chunk.subarray(0, end));
  }

  /** Null: it was settled before. */
  settleOpaque(fin: boolean, isUnclear = false): PeekedTunnel | null {
    if (this.#settled) return null;
    this.#end();
    const tunnel = this.#handler.onOpaque({ bytes: this.#early, fin, isUnclear });
    const greeting = this.#greeting;
    if (greeting !== null) tunnel.fromUpstream(greeting, 0, greeting.length);
    return tunnel;
  }

  giveUp(): void {
    if (this.#settled) return;
    this.#end();
    this.#client.destroy();
    this.#handler.onNothing();
  }

  #end(): void {
    this.#settled = true;
    this.#plane.deadlines.delete(this);
  }
}

/** Waits for the first sign of life of an endpoint whose client is still silent. */
class UpstreamWatch implements ConnHandler {
  readonly #peek: Peek;
  readonly #conn: Carrier;

  constructor(peek: Peek, conn: Carrier) {
    this.#peek = peek;
    this.#conn = conn;
  }

  onBytes(chunk: Buffer, end: number): void {
    if (isHttpAnswer(chunk, end)) {
      this.#conn.destroy();
      this.#peek.giveUp();
    } else if (isHttp2Greeting(chunk, end)) {
      this.#conn.stopReading();
      this.#peek.keepGreeting(chunk, end);
    } else this.#peek.settleOpaque(false, true)?.fromUpstream(chunk, 0, end);
  }

  onFin(): void {
    this.#peek.settleOpaque(false)?.finFromUpstream();
  }

  onDrain(): void {
    // Nothing was written.
  }

  onClose(): void {
    this.#peek.giveUp();
  }
}

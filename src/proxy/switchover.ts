import type { HostPort } from "../core/address.ts";
import { MeshError } from "../core/errors.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { DataEndpoint } from "../core/snapshot.ts";
import type { Carrier } from "../http/carrier.ts";
import type { Downstream } from "../http/downstream.ts";
import type { Origin } from "./context.ts";
import { OpaqueSession } from "./opaque.ts";
import { declaredBy, type Early, Peek } from "./peek.ts";
import type { Plane } from "./plane.ts";
import type { Destination } from "./resolve.ts";
import { Tunnel } from "./tunnel.ts";

/** A 2xx to CONNECT has neither content nor framing fields (RFC 9110 section 9.3.6). */
const CONNECT_ANSWER = "HTTP/1.1 200 Connection established\r\nVia: 1.1 hostmesh\r\n\r\n";

export interface ConnectHandler {
  /** No tunnel came about; the connection is still HTTP. */
  onTunnelFailed(error: MeshError): void;
  /** The tunnel is over, and with it the request. */
  onTunnelEnd(): void;
  /** Serves requests that come through the tunnel, to the place that it leads to. */
  serveTunnelled(place: HostPort, bytes: Buffer): Tunnelled;
}

/** Requests in a tunnel. */
export interface Tunnelled {
  review(): void;
  drain(): void;
  destroy(): void;
}

/** A request that becomes a tunnel. */
export interface HandedOver {
  /** The connection to the endpoint's host, or one with it among its streams. */
  readonly conn: Carrier;
  /** What the endpoint sends and gets. */
  readonly carrier: Carrier;
  /** Has a WebSocket been granted? */
  readonly isWebSocket: boolean;
  /** Gives back what the request holds. */
  readonly release: () => void;
  /** How long the tunnel may be silent. */
  readonly idleMs: number;
}

/** What a connection switches over with. */
export interface ConnectParts {
  readonly plane: Plane;
  readonly origin: Origin;
  readonly server: Downstream;
  readonly facts: RequestFacts;
  readonly handler: ConnectHandler;
}

/** The step of a client connection from HTTP to a tunnel: by CONNECT, or by an upgrade. */
export class Switchover {
  #session: OpaqueSession | null = null;
  #tunnel: Tunnel | null = null;
  #tunnelled: Tunnelled | null = null;
  #isTrusted: () => boolean = () => true;

  private constructor() {
    // Made by the two functions below only.
  }

  /** CONNECT addressed to this proxy (RFC 9110 section 9.3.6). */
  static connect(destination: Destination, parts: ConnectParts): Switchover {
    const { plane, origin, server, facts, handler } = parts;
    const self = new Switchover();
    const session = new OpaqueSession(
      plane,
      origin,
      destination,
      {
        onFailed: (error: MeshError) => handler.onTunnelFailed(error),
        onReady: (upstream) => {
          server.grant(CONNECT_ANSWER);
          facts.status = 200;
          if (declaredBy(destination, plane) === "opaque") {
            self.#join(parts, { bytes: server.detach(), fin: server.finSeen });
          } else self.#look(destination, parts, upstream);
        },
      },
      facts,
    );
    self.#session = session;
    session.start();
    return self;
  }

  #join({ server, handler }: ConnectParts, early: Early): Tunnel {
    const session = this.#session as OpaqueSession;
    const tunnel = session.join(
      server.carrier,
      early.bytes,
      () => handler.onTunnelEnd(),
      early.isUnclear,
    );
    this.#tunnel = tunnel;
    if (early.fin) tunnel.finFromClient();
    return tunnel;
  }

  #look(destination: Destination, parts: ConnectParts, upstream: Carrier): void {
    const { plane, origin, server, facts, handler } = parts;
    const session = this.#session as OpaqueSession;
    const kept = server.detach();
    const place = placeOf(destination, facts.endpoint);
    new Peek(plane, server.carrier, upstream, {
      onOpaque: (early) => this.#join(parts, early),
      onHttp: (bytes) => {
        session.abandon();
        this.#session = null;
        this.#tunnelled = handler.serveTunnelled(place, bytes);
      },
      onNothing: () => {
        session.cancel(new MeshError("CLIENT_CLOSED", origin.address));
        handler.onTunnelEnd();
      },
    });
    const { carrier } = server;
    if (kept !== null) carrier.handler.onBytes(kept, kept.length);
    if (server.finSeen) carrier.handler.onFin();
  }

  /** The client goes on in HTTP/2. */
  static streams(streams: Tunnelled): Switchover {
    const self = new Switchover();
    self.#tunnelled = streams;
    return self;
  }

  /**
   * A request that its endpoint has granted an upgrade, or a CONNECT of its own.
   */
  static upgrade(
    { plane, server, facts, handler }: ConnectParts,
    { conn, carrier, isWebSocket, release, idleMs }: HandedOver,
  ): Switchover {
    const self = new Switchover();
    const { clock, deadlines, config, recorder } = plane;
    const { halfCloseMs: limitMs } = config.timeouts;
    const halfCloseMs = idleMs === 0 ? limitMs : Math.min(limitMs, idleMs);
    const early = server.detach();
    recorder.event("tunnel_opened");
    const { webSockets } = plane;
    const settings = { idleMs, halfCloseMs };
    const deps = { settings, clock, deadlines, ...(isWebSocket ? { webSockets } : {}) };
    self.#isTrusted = () => plane.transport.isTrusted(conn);
    self.#tunnel = new Tunnel(server.carrier, carrier, deps, ({ bytesUp, bytesDown }) => {
      recorder.event("tunnel_closed");
      facts.requestBytes += bytesUp;
      facts.responseBytes += bytesDown;
      release();
      handler.onTunnelEnd();
    });
    if (early !== null) self.#tunnel.fromClient(early, early.length);
    if (server.finSeen) self.#tunnel.finFromClient();
    return self;
  }

  /** Bytes of the new protocol that came with the endpoint's response head. */
  fromUpstream(chunk: Buffer, start: number, end: number): void {
    this.#tunnel?.fromUpstream(chunk, start, end);
  }

  /** The client went away before the tunnel stood. */
  cancel(error: MeshError): void {
    if (this.#tunnel === null) this.#session?.cancel(error);
  }

  /** Policies have changed: ends what they forbid now of the requests in the tunnel. */
  review(): void {
    this.#tunnelled?.review();
  }

  /** A shutdown begins. */
  drain(): void {
    this.#tunnelled?.drain();
  }

  /** After a change: may the tunnel, or its other host, not go on? Of an upgrade's own request its exchange knows. */
  isForbidden(): boolean {
    return this.#session === null ? !this.#isTrusted() : this.#session.review() !== null;
  }

  destroy(): void {
    if (this.#tunnelled !== null) this.#tunnelled.destroy();
    else if (this.#tunnel !== null) this.#tunnel.close();
  }
}

/** Where requests go that come through the tunnel: to the endpoint that it was opened to. */
function placeOf(destination: Destination, endpoint: DataEndpoint | null): HostPort {
  if (destination.kind === "outside") return destination;
  const { address, port } = endpoint as DataEndpoint;
  return { host: address, port };
}

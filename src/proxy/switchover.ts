import type { MeshError } from "../core/errors.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { Conn } from "../http/conn.ts";
import type { ServerConnection } from "../http/h1/server.ts";
import type { Origin } from "./context.ts";
import { OpaqueSession } from "./opaque.ts";
import type { Plane } from "./plane.ts";
import type { Destination } from "./resolve.ts";
import { Tunnel, type TunnelEnd } from "./tunnel.ts";

/** A 2xx to CONNECT has neither content nor framing fields (RFC 9110 section 9.3.6). */
const CONNECT_ANSWER = "HTTP/1.1 200 Connection established\r\nVia: 1.1 hostmesh\r\n\r\n";

export interface ConnectHandler {
  /** No tunnel came about; the connection is still HTTP. */
  onTunnelFailed(error: MeshError): void;
  /** The tunnel is over, and with it the request. */
  onTunnelEnd(): void;
}

/** The step of a client connection from HTTP to a tunnel: by CONNECT, or by an upgrade. */
export class Switchover {
  #session: OpaqueSession | null = null;
  #tunnel: Tunnel | null = null;
  #isTrusted: () => boolean = () => true;

  private constructor() {
    // Made by the two functions below only.
  }

  /** CONNECT addressed to this proxy (RFC 9110 section 9.3.6). */
  static connect(
    plane: Plane,
    origin: Origin,
    destination: Destination,
    server: ServerConnection,
    facts: RequestFacts,
    handler: ConnectHandler,
  ): Switchover {
    const self = new Switchover();
    const steps = {
      onFailed: (error: MeshError) => handler.onTunnelFailed(error),
      onReady: () => {
        server.conn.writeText(CONNECT_ANSWER);
        facts.status = 200;
        self.#tunnel = session.join(server.conn, server.detach(), () => handler.onTunnelEnd());
        if (server.finSeen) self.#tunnel.finFromClient();
      },
    };
    const session = new OpaqueSession(plane, origin, destination, steps, facts);
    self.#session = session;
    session.start();
    return self;
  }

  /** A request that its endpoint has granted an upgrade, or a CONNECT of its own. */
  static upgrade(
    plane: Plane,
    server: ServerConnection,
    upstream: Conn,
    onEnd: (end: TunnelEnd) => void,
  ): Switchover {
    const self = new Switchover();
    const { clock, deadlines, config, recorder } = plane;
    const { tunnelIdleMs, halfCloseMs } = config.timeouts;
    const early = server.detach();
    recorder.event("tunnel_opened");
    const deps = { settings: { idleMs: tunnelIdleMs, halfCloseMs }, clock, deadlines };
    self.#isTrusted = () => plane.transport.isTrusted(upstream);
    self.#tunnel = new Tunnel(server.conn, upstream, deps, (end) => {
      recorder.event("tunnel_closed");
      onEnd(end);
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

  /** After a change: may the tunnel, or its other host, not go on? Of an upgrade's own request its exchange knows. */
  isForbidden(): boolean {
    return this.#session === null ? !this.#isTrusted() : this.#session.review() !== null;
  }

  destroy(): void {
    this.#tunnel?.close();
  }
}

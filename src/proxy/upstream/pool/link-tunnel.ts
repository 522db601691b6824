import { formatHostPort, type HostPort } from "../../../core/address.ts";
import { deadlineAfter, type Expirable } from "../../../core/deadlines.ts";
import { MeshError, type MeshErrorCode } from "../../../core/errors.ts";
import { http2ErrorName } from "../../../core/http2.ts";
import type { Carrier } from "../../../http/carrier.ts";
import type { Conn } from "../../../http/conn.ts";
import { meshRefusalReason } from "../../../http/h1/mesh-connect.ts";
import { CANCEL } from "../../../http/h2/codes.ts";
import { writeMeshTunnel } from "../../../http/h2/mesh-wire.ts";
import type { Stream, StreamHandler } from "../../../http/h2/stream.ts";
import { StreamCarrier } from "../../../http/h2/stream-carrier.ts";
import type { LinkUser } from "./mesh-link.ts";
import type { MeshLinks, TunnelDeps } from "./mesh-links.ts";
import type { MeshRoute } from "./upstream-pool.ts";

/** Told exactly once of the outcome, unless the tunnel is cancelled first. */
export interface TunnelHandler {
  /** The other host has joined it to the endpoint. `conn`: the connection that it is a stream of. */
  onTunnel(carrier: Carrier, conn: Conn): void;
  onTunnelFailed(error: MeshError): void;
  /** The other host is too old for it, or this one has no identities: it is to be asked in the older form. */
  onNoTunnels(): void;
}

const NOTHING = Buffer.alloc(0);

/** HTTP/2 allows any 2xx; HBONE says 200. */
const GRANTED = "200";
const DENIED = ["401", "403"];

/**
 * A tunnel to an endpoint of another host, by HBONE's CONNECT on a stream of a link. Failures, with nothing of the tunnel's
 * content sent: those of the link's dial; `CONNECT_TIMEOUT`; `MESH_REFUSED`: the other host does not open it;
 * `ACCESS_DENIED`: one of its policies forbids it.
 */
export class LinkTunnel implements LinkUser, StreamHandler, Expirable {
  deadlineMs: number;
  readonly freshness = "any";
  readonly #place: HostPort;
  readonly #route: MeshRoute;
  readonly #links: MeshLinks;
  readonly #deps: TunnelDeps;
  readonly #connectMs: number;
  #handler: TunnelHandler | null;
  #stream: Stream | null = null;
  #wasRefused = false;
  #conn: Conn | null = null;

  /** `connectMs`: until the other host is connected; `deps.handshakeMs`: from there on until it has answered. 0: no limit. */
  constructor(
    place: HostPort,
    route: MeshRoute,
    handler: TunnelHandler,
    parts: { readonly links: MeshLinks; readonly deps: TunnelDeps; readonly connectMs: number },
  ) {
    this.#place = place;
    this.#route = route;
    this.#handler = handler;
    this.#links = parts.links;
    this.#deps = parts.deps;
    this.#connectMs = parts.connectMs;
    this.deadlineMs = deadlineAfter(this.#deps.clock.now(), this.#connectMs);
    this.#deps.deadlines.add(this);
  }

  /** The handler is not called before it returns. */
  start(): this {
    const link = this.#links.get(this.#route);
    const { form } = link;
    if (form === "older" || form === "oldest") {
      queueMicrotask(() => this.#settle()?.onNoTunnels());
    } else if (!this.#open()) link.want(this);
    return this;
  }

  /** Asks for the tunnel; false: there is no room for another stream now. */
  #open(): boolean {
    const { client, caller } = this.#route;
    const { namespace = "", name: service = "" } = caller ?? {};
    const tunnel = { authority: this.#place, client, clientPort: 0 };
    const fields = writeMeshTunnel(tunnel, { namespace, service, traceparent: "" });
    const opened = this.#links.get(this.#route).open(this, fields);
    if (opened === null) return false;
    this.#stream = opened.stream;
    this.#conn = opened.conn;
    this.deadlineMs = deadlineAfter(this.#deps.clock.now(), this.#deps.handshakeMs);
    return true;
  }

  cancel(): void {
    this.#settle();
    this.#links.get(this.#route).unwant(this);
    const stream = this.#stream;
    this.#stream = null;
    stream?.reset(CANCEL);
  }

  #settle(): TunnelHandler | null {
    const handler = this.#handler;
    this.#handler = null;
    this.#deps.deadlines.delete(this);
    return handler;
  }

  #fail(code: MeshErrorCode, detail: string): void {
    const { host, port } = this.#place;
    const { via } = this.#route;
    const place = `${formatHostPort(host, port)} by ${formatHostPort(via.host, via.port)}`;
    this.#settle()?.onTunnelFailed(new MeshError(code, `${place}: ${detail}`));
  }

  onDeadline(): void {
    const stream = this.#stream;
    this.#stream = null;
    this.#links.get(this.#route).unwant(this);
    stream?.reset(CANCEL);
    if (stream === null) this.#fail("CONNECT_TIMEOUT", `limit ${this.#connectMs} ms`);
    else this.#fail("MESH_REFUSED", `no answer, limit ${this.#deps.handshakeMs} ms`);
  }

  // LinkUser

  onLinkRoom(): boolean {
    return this.#handler !== null && !this.#open();
  }

  onLinkFailed(error: MeshError): void {
    this.#settle()?.onTunnelFailed(error);
  }

  /** The link is another one now, or there is none. */
  onLinkMoved(): void {
    if (this.#handler !== null) this.start();
  }

  // StreamHandler, until the other host has answered

  onHead(fields: string[], last: boolean): void {
    const stream = this.#stream;
    if (stream === null) return;
    this.#stream = null;
    const status = fields[1] ?? "";
    if (status !== GRANTED) {
      if (last) stream.sendData(NOTHING, 0, 0, true);
      else stream.reset(CANCEL);
      const code = DENIED.includes(status) ? "ACCESS_DENIED" : "MESH_REFUSED";
      this.#fail(code, `${status} ${meshRefusalReason(fields)}`.trimEnd());
      return;
    }
    const carrier = new StreamCarrier(null);
    carrier.isTcp = true;
    carrier.bind(stream);
    carrier.beginTunnel();
    this.#settle()?.onTunnel(carrier, this.#conn as Conn);
    // An endpoint that has ended its direction already.
    if (last && !stream.isOver) carrier.onData(NOTHING, 0, 0, true);
  }

  onInterim(): void {
    // Says nothing of the tunnel.
  }

  onData(): void {
    // Of a refusal, whose stream was reset.
  }

  onTrailers(): void {
    // The same.
  }

  onReset(code: number): void {
    const stream = this.#stream;
    if (stream === null) return;
    this.#stream = null;
    // Not looked at, as by a connection that ends: asked for once more, by another one.
    if (stream.retrySafe && !this.#wasRefused) {
      this.#wasRefused = true;
      this.start();
      return;
    }
    this.#fail("MESH_REFUSED", `the stream was reset: ${http2ErrorName(code)}`);
  }

  onWritable(): void {
    // Nothing is written before the answer.
  }
}

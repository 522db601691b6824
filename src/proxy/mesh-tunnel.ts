import type { Carrier, ConnHandler } from "../http/carrier.ts";
import type { MeshRefusalStatus } from "../http/h1/mesh-connect.ts";
import { MESH_GRANT_FIELDS, type MeshTunnel, meshRefusalFields } from "../http/h2/mesh-wire.ts";
import type { Stream, StreamHandler } from "../http/h2/stream.ts";
import { StreamCarrier } from "../http/h2/stream-carrier.ts";
import { Remainder } from "../http/h2/stream-downstream.ts";
import type { AcceptedLink, MeshRequest } from "./downstream/mesh-request.ts";

const NOTHING = Buffer.alloc(0);

/** Answers a stream's request with nothing but a head. */
export function refuseStream(stream: Stream, fields: readonly string[]): void {
  stream.sendHead(fields, true);
  stream.handler = new Remainder(stream);
}

/**
 * A stream that has asked by HBONE's CONNECT to be joined to an endpoint, as a request like that of a connection of its own.
 * What its caller sends before it is granted waits, as far as the stream's window goes.
 */
export class MeshTunnelStream implements ConnHandler {
  readonly carrier: StreamCarrier;
  readonly request: MeshRequest;
  readonly #stream: Stream;
  readonly #onGone: () => void;
  #early: Buffer[] = [];
  #earlyBytes = 0;
  #finSeen: boolean;

  /** `last`: the caller sends nothing. `onGone`: it went away before it was answered. */
  constructor(
    link: AcceptedLink,
    stream: Stream,
    { authority, client }: MeshTunnel,
    last: boolean,
    onGone: () => void,
  ) {
    const { principal, peer, identity, remote, conn } = link;
    this.#stream = stream;
    this.#onGone = onGone;
    this.#finSeen = last;
    const carrier = new StreamCarrier(conn.share);
    this.carrier = carrier;
    carrier.isTcp = true;
    carrier.handler = this;
    carrier.bind(stream);
    carrier.beginTunnel(last);
    carrier.stopReading();
    this.request = {
      ...{ principal, peer, identity, remote, authority, client, protocol: "tcp", conn: carrier },
      grant: () => this.#grant(),
      refuse: (status, reason) => this.#refuse(status, reason),
    };
  }

  #grant(): Carrier {
    this.#stream.sendHead(MESH_GRANT_FIELDS, false);
    queueMicrotask(() => this.#handOver());
    return this.carrier;
  }

  #handOver(): void {
    const early = this.#takeEarly();
    const { handler } = this.carrier;
    if (early.length > 0) handler.onBytes(early, early.length);
    if (this.#finSeen) this.carrier.handler.onFin();
  }

  #takeEarly(): Buffer {
    const early = this.#early;
    if (early.length === 0) return NOTHING;
    this.#early = [];
    this.carrier.share?.keep(-this.#earlyBytes);
    this.#earlyBytes = 0;
    return Buffer.concat(early);
  }

  /** HBONE knows no 403: what policies forbid is 401. */
  #refuse(status: MeshRefusalStatus, reason: string): void {
    this.#takeEarly();
    this.carrier.unbind();
    refuseStream(this.#stream, meshRefusalFields(status === 403 ? 401 : status, reason));
  }

  // Until it is granted or refused

  onBytes(chunk: Buffer, end: number): void {
    this.#early.push(Buffer.from(chunk.subarray(0, end)));
    this.#earlyBytes += end;
    this.carrier.share?.keep(end);
  }

  onFin(): void {
    this.#finSeen = true;
  }

  onDrain(): void {
    // Nothing is written before it is granted.
  }

  onClose(): void {
    this.#takeEarly();
    this.#onGone();
  }
}

/** A stream until its head has come, which decides what becomes of it: another handler, or its end. */
export class StreamHead implements StreamHandler {
  readonly onHead: StreamHandler["onHead"];

  constructor(onHead: StreamHandler["onHead"]) {
    this.onHead = onHead;
  }

  onInterim(): void {
    // Of responses only.
  }

  onData(): void {
    // There is none before a head.
  }

  onTrailers(): void {
    // The same.
  }

  onReset(): void {
    // The same.
  }

  onWritable(): void {
    // Nothing was written.
  }
}

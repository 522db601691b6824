import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { Carrier, ConnHandler, Feeder } from "./carrier.ts";
import { Conn } from "./conn.ts";
import { NOBODY } from "./nobody.ts";

/**
 * A connection over what a carrier brings, for what needs one: HTTP/2 within a stream of HTTP/2. Set its `handler` at once.
 */
export function connOverCarrier(carrier: Carrier): Conn {
  // All that a connection which is not read by `onread` uses of a socket is there.
  const socket = new CarrierSocket(carrier) as unknown as Socket;
  const conn = new Conn(NOBODY, () => socket, false);
  conn.share = carrier.share;
  return conn;
}

/** The bytes of a carrier as a stream of Node's. The carrier is its own from now on. */
class CarrierSocket extends Duplex implements ConnHandler, Feeder {
  readonly #carrier: Carrier;
  /** Of the write that the carrier has no room for yet. */
  #whenTaken: (() => void) | null = null;
  #isFull = false;

  constructor(carrier: Carrier) {
    super({ allowHalfOpen: true });
    this.#carrier = carrier;
    carrier.handler = this;
    if (carrier.gone) this.destroy();
  }

  get share(): Carrier["share"] {
    return this.#carrier.share;
  }

  override _read(): void {
    this.#carrier.resumeReading();
  }

  override _write(chunk: Buffer, _encoding: string, onTaken: () => void): void {
    this.#isFull = false;
    this.#carrier.take(chunk, 0, chunk.length, this);
    if (this.#isFull) this.#whenTaken = onTaken;
    else onTaken();
  }

  hold(): void {
    this.#isFull = true;
  }

  release(): void {
    const onTaken = this.#whenTaken;
    this.#whenTaken = null;
    onTaken?.();
  }

  override _final(onEnded: () => void): void {
    this.#carrier.end();
    onEnded();
  }

  override _destroy(error: Error | null, onDestroyed: (error: Error | null) => void): void {
    if (!this.#carrier.closed) this.#carrier.destroy();
    onDestroyed(error);
  }

  resetAndDestroy(): void {
    this.#carrier.reset();
    this.destroy();
  }

  setKeepAlive(): void {
    this.#carrier.keepAlive();
  }

  onBytes(chunk: Buffer, end: number): void {
    // What waits here is bounded by what the carrier reads at once.
    if (!this.push(Buffer.from(chunk.subarray(0, end)))) this.#carrier.stopReading();
  }

  onFin(): void {
    this.push(null);
  }

  onDrain(): void {
    // `release` tells.
  }

  onClose(error: Error | null): void {
    this.destroy(error ?? undefined);
  }
}

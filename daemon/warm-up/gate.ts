import type { Socket } from "node:net";
import type { HostPort } from "../../src/core/address.ts";

/** How a connection of the warm-up is to be taken: as if captured on its way to a place, or as the explicit proxy's. */
export interface Guest {
  readonly destination: HostPort | null;
}

/**
 * Lets only the warm-up's own connections through its listener. A connection is known by its client's port, which
 * the client learns at about the time at which the listener accepts: whichever comes first waits for the other.
 */
export class Gate {
  readonly #admit: (socket: Socket, guest: Guest) => void;
  readonly #guests = new Map<string, Guest>();
  readonly #waiting = new Map<string, Socket>();

  constructor(admit: (socket: Socket, guest: Guest) => void) {
    this.#admit = admit;
  }

  /** A connection of ours stands; `socket` is its client's end. */
  expect(socket: Socket, guest: Guest): void {
    const place = `${socket.localAddress} ${socket.localPort}`;
    const accepted = this.#waiting.get(place);
    if (accepted === undefined) {
      this.#guests.set(place, guest);
      return;
    }
    this.#waiting.delete(place);
    this.#admit(accepted, guest);
  }

  /** The listener has accepted a connection. */
  arrive(socket: Socket): void {
    const place = `${socket.remoteAddress} ${socket.remotePort}`;
    const guest = this.#guests.get(place);
    if (guest === undefined) {
      this.#waiting.set(place, socket);
      return;
    }
    this.#guests.delete(place);
    this.#admit(socket, guest);
  }

  /** Turns away whoever is not ours. */
  close(): void {
    for (const socket of this.#waiting.values()) socket.destroy();
    this.#waiting.clear();
    this.#guests.clear();
  }
}

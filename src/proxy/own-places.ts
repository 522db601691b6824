import { canonicalAddress, formatHostPort, isLoopback } from "../core/address.ts";

/** Places where this proxy itself listens. A request that led there would go round and round. */
export class OwnPlaces {
  readonly #places = new Set<string>();
  readonly #ports: ReadonlySet<number>;
  readonly #addresses: ReadonlySet<string>;

  constructor(addresses: readonly string[], ports: readonly number[]) {
    this.#ports = new Set(ports);
    this.#addresses = new Set(addresses.map(canonicalAddress));
    for (const address of addresses) {
      for (const port of ports) this.#places.add(formatHostPort(canonicalAddress(address), port));
    }
  }

  /** Is this (canonical) address the host's own, loopback included? */
  isHost(address: string): boolean {
    return isLoopback(address) || this.#addresses.has(address);
  }

  hasPort(port: number): boolean {
    return this.#ports.has(port);
  }

  /** The whole of 127.0.0.0/8 leads to a port that listens on all addresses. */
  has(address: string, port: number): boolean {
    if (this.#ports.has(port) && isLoopback(canonicalAddress(address))) return true;
    return this.#places.has(formatHostPort(canonicalAddress(address), port));
  }
}

import { isWithinHost } from "../../../core/host-names.ts";
import type { DataService } from "../../../core/snapshot.ts";

/** Services by the host names that their records bring: exact ones first, then the longest that begins with a star. */
export class HostTable {
  readonly #exact = new Map<string, DataService>();
  readonly #patterns = new Map<string, DataService>();
  /** Ports of such services, with the number of services that have each. */
  readonly #ports = new Map<number, number>();

  add(service: DataService): void {
    for (const host of service.hosts ?? []) this.#listFor(host).set(host, service);
    this.#count(service, 1);
  }

  delete(service: DataService): void {
    for (const host of service.hosts ?? []) {
      const list = this.#listFor(host);
      if (list.get(host) === service) list.delete(host);
    }
    this.#count(service, -1);
  }

  /** `host` in lower case, or a pattern, which means the service with just that pattern. */
  get(host: string): DataService | undefined {
    const exact = this.#exact.get(host) ?? this.#patterns.get(host);
    if (exact !== undefined || this.#patterns.size === 0) return exact;
    let best: DataService | undefined;
    let length = 0;
    for (const [pattern, service] of this.#patterns) {
      if (pattern.length <= length || !isWithinHost(host, pattern)) continue;
      best = service;
      length = pattern.length;
    }
    return best;
  }

  hasPort(port: number): boolean {
    return this.#ports.has(port);
  }

  #listFor(host: string): Map<string, DataService> {
    return host.startsWith("*") ? this.#patterns : this.#exact;
  }

  #count({ hosts = [], ports, protocol }: DataService, step: 1 | -1): void {
    if (hosts.length === 0) return;
    for (const port of ports) {
      if ((port.protocol ?? protocol) !== "http") continue;
      const count = (this.#ports.get(port.port) ?? 0) + step;
      if (count === 0) this.#ports.delete(port.port);
      else this.#ports.set(port.port, count);
    }
  }
}

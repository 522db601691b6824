import { isWithinHost } from "../../../core/host-names.ts";
import type { DataService } from "../../../core/snapshot.ts";

/**
 * Services by the host names that their records bring: exact ones first, then the longest that begins with a star. Of
 * several with one host that of the caller's namespace counts, then the first that is exported to it.
 */
export class HostTable {
  readonly #exact = new Map<string, DataService[]>();
  readonly #patterns = new Map<string, DataService[]>();
  /** Ports of such services, with the number of services that have each. */
  readonly #ports = new Map<number, number>();

  add(service: DataService): void {
    for (const host of new Set(service.hosts)) {
      const list = this.#listFor(host);
      const there = list.get(host) ?? [];
      // By key, so that every worker and every update finds the same one.
      list.set(
        host,
        [...there, service].sort((one, other) => (one.key < other.key ? -1 : 1)),
      );
    }
    this.#count(service, 1);
  }

  delete(service: DataService): void {
    for (const host of new Set(service.hosts)) {
      const list = this.#listFor(host);
      const left = (list.get(host) ?? []).filter((one) => one !== service);
      if (left.length === 0) list.delete(host);
      else list.set(host, left);
    }
    this.#count(service, -1);
  }

  /** `host` in lower case, or a pattern, which means the service with just that pattern. */
  get(host: string, namespace: string): DataService | undefined {
    const exact = this.#exact.get(host) ?? this.#patterns.get(host);
    if (exact !== undefined || this.#patterns.size === 0) return bestFor(namespace, exact);
    let best: readonly DataService[] | undefined;
    let length = 0;
    for (const [pattern, services] of this.#patterns) {
      if (pattern.length <= length || !isWithinHost(host, pattern)) continue;
      best = services;
      length = pattern.length;
    }
    return bestFor(namespace, best);
  }

  hasPort(port: number): boolean {
    return this.#ports.has(port);
  }

  #listFor(host: string): Map<string, DataService[]> {
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

function bestFor(
  namespace: string,
  services: readonly DataService[] = [],
): DataService | undefined {
  if (services.length <= 1) return services[0];
  const seen = services.filter(({ exportTo }) => exportTo?.includes(namespace) ?? true);
  return seen.find((one) => one.namespace === namespace) ?? seen[0] ?? services[0];
}

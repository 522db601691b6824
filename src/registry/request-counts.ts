export type RegistryPort = "plain" | "tls";
export type StatusClass = "1xx" | "2xx" | "3xx" | "4xx" | "5xx";

/** Requests that were answered, by port and class of the status. */
export class RequestCounts {
  readonly #counts = new Map<RegistryPort, Map<StatusClass, number>>([
    ["plain", new Map()],
    ["tls", new Map()],
  ]);

  count(port: RegistryPort, status: number): void {
    const code = `${Math.floor(status / 100)}xx` as StatusClass;
    const counts = this.#counts.get(port);
    counts?.set(code, (counts.get(code) ?? 0) + 1);
  }

  counts(): ReadonlyMap<RegistryPort, ReadonlyMap<StatusClass, number>> {
    return this.#counts;
  }
}

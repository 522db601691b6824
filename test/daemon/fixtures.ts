import type { Change, Endpoint, Service, Workload } from "../../src/core/model.ts";
import type { Log } from "../../src/telemetry/log.ts";

/** A service record with everything that tests do not care about filled in. */
export function service(name: string, more: Partial<Service> = {}): Service {
  return {
    name,
    namespace: "default",
    addresses: [],
    ports: [],
    balancer: { policy: "peak-ewma", slowStartMs: 0 },
    meta: {},
    ...more,
  };
}

/** An endpoint record; `id` is `host/instance`. */
export function endpoint(id: string, name: string, more: Partial<Endpoint> = {}): Endpoint {
  return {
    id,
    service: name,
    namespace: "default",
    address: "10.1.0.5",
    port: 8080,
    portName: "",
    weight: 1,
    zone: "",
    host: id.split("/")[0] ?? "",
    meta: {},
    health: "passing",
    ...more,
  };
}

/** A workload record. */
export function workload(name: string, host: string, addresses: string[]): Workload {
  return { name, namespace: "default", serviceAccount: name, host, addresses };
}

/** The change that adds or replaces a record. */
export function put(value: Service | Endpoint | Workload): Change {
  if ("balancer" in value)
    return { kind: "service", key: `${value.namespace}/${value.name}`, value };
  if ("id" in value) return { kind: "endpoint", key: value.id, value };
  return { kind: "workload", key: `${value.namespace}/${value.name}`, value };
}

/** One line of a log that is kept. */
export interface Line {
  readonly message: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** A log that keeps its lines. */
export function memoryLog(): { log: Log; lines: Line[] } {
  const lines: Line[] = [];
  const take = (message: string, facts: Readonly<Record<string, unknown>> = {}) => {
    lines.push({ message, facts });
  };
  const log: Log = { debug: take, info: take, warn: take, error: take, child: () => log };
  return { log, lines };
}

import type { TrafficSettings } from "../src/core/traffic.ts";
import {
  OPAQUE_PORTS,
  settingsOfAnnotations,
} from "../src/dialects/linkerd/service-annotations.ts";
import type { Log } from "../src/telemetry/log.ts";
import type { BasePolicy } from "./base-policies.ts";
import type { ServiceEntry } from "./service-entries.ts";

/** Keys that say something of the traffic; others are labels, or speak of the workload's access log. */
const ANNOTATION =
  /^(?:(?:retry|timeout|balancer|balancer\.alpha)\.linkerd\.io\/|hostmesh\.io\/(?!access-log))/;

interface Known {
  readonly text: string;
  readonly policy: BasePolicy;
}

/**
 * What the `Meta` of registrations says of their service, in the annotations of Linkerd and in our own: that of the
 * service itself, else that of its instances, of which the first by id counts for each key. Instances that resources
 * brought have labels of Kubernetes, and what is annotated there the resource has said already; so do their services.
 */
export class MetaAnnotations {
  readonly #log: Log;
  readonly #known = new Map<string, Known>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Null: nothing is said. What cannot be read is logged once and has no effect. */
  of(key: string, { record, endpoints }: ServiceEntry): BasePolicy | null {
    const found = new Map<string, string>();
    const take = (meta: Readonly<Record<string, string>>): void => {
      for (const name in meta) {
        if (found.has(name) || !(name === OPAQUE_PORTS || ANNOTATION.test(name))) continue;
        found.set(name, meta[name] ?? "");
      }
    };
    take(record?.meta ?? {});
    const annotated = [...endpoints.values()].filter((one) => isAnnotated(one.record.meta));
    annotated.sort((a, b) => (a.record.id < b.record.id ? -1 : 1));
    for (const one of annotated) take(one.record.meta);
    if (found.size === 0) {
      this.#known.delete(key);
      return null;
    }
    const text = JSON.stringify([...found]);
    const known = this.#known.get(key);
    if (known?.text === text) return known.policy;
    const policy = this.#read(key, found);
    this.#known.set(key, { text, policy });
    return policy;
  }

  #read(key: string, found: ReadonlyMap<string, string>): BasePolicy {
    const warn = (annotation: string, message: string) =>
      this.#log.warn("an annotation in the Meta of a registration", {
        ...{ service: key, annotation, message },
      });
    const { settings, opaquePorts } = settingsOfAnnotations(Object.fromEntries(found), warn, key);
    const ports = opaquePorts.map((port): [string, TrafficSettings] => [
      String(port),
      { protocol: "tcp" },
    ]);
    return { clients: null, settings, ports: Object.fromEntries(ports) };
  }

  forget(key: string): void {
    this.#known.delete(key);
  }
}

function isAnnotated(meta: Readonly<Record<string, string>>): boolean {
  for (const name in meta) if (name === OPAQUE_PORTS || ANNOTATION.test(name)) return true;
  return false;
}

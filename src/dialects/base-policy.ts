import type { TrafficPolicy } from "../core/traffic.ts";
import type { Work } from "./translator.ts";

/** What a resource says of a service. Unless it tells otherwise: to all callers, and nothing of single ports. */
type Said = Pick<TrafficPolicy, "service" | "namespace" | "settings"> &
  Partial<Pick<TrafficPolicy, "clients" | "ports">>;

/** Settings of a service that hold beneath what a DestinationRule or the like says of it, and hide nothing of that. */
export function basePolicy(
  work: Work<unknown>,
  { service, namespace, settings, clients = null, ports = {} }: Said,
): TrafficPolicy {
  const { createdMs } = work.context;
  return {
    ...{ source: work.source, createdMs, service, namespace, root: false, base: true, clients },
    ...{ settings, ports, subsets: [] },
  };
}

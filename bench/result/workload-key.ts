import type { Workload } from "../model.ts";

/** Equal for equal workloads, whatever else the object holds. */
export function workloadKey(workload: Workload): string {
  const { protocol, services, bodyBytes, connections, streams, call, messages, rate } = workload;
  const load = [connections, streams, call, messages, rate ?? "max"];
  return [protocol, services, bodyBytes, ...load].join(" ");
}

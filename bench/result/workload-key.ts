import type { Workload } from "../model.ts";

/** Equal for equal workloads, whatever else the object holds. */
export function workloadKey(workload: Workload): string {
  const { protocol, services, bodyBytes, connections, streams, rate } = workload;
  return [protocol, services, bodyBytes, connections, streams, rate ?? "max"].join(" ");
}

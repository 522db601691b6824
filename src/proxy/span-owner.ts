import { canonicalAddress } from "../core/address.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { DataEndpoint, DataWorkload } from "../core/snapshot.ts";
import { resourceText } from "../telemetry/tracing/resource.ts";
import type { Origin } from "./context.ts";
import type { Plane } from "./plane.ts";

/** The texts of workloads, which are many requests' each. */
const texts = new WeakMap<DataWorkload, string>();
const NOBODY = resourceText(null);

/** The resource of a caller's span. */
export function callerText({ workload }: Origin): string {
  return workload === null ? NOBODY : workloadText(workload);
}

/** The resource of a callee's span: its workload, where that is known, else the service that it serves. */
export function calleeText(
  { workloads }: Pick<Plane, "workloads">,
  { service }: RequestFacts,
  endpoint: DataEndpoint | null,
): string {
  const workload = endpoint === null ? null : workloads.at(canonicalAddress(endpoint.address));
  if (workload !== null) return workloadText(workload);
  if (service === null) return NOBODY;
  const { namespace, name, key } = service;
  return resourceText({ namespace, name, instance: endpoint?.id ?? key, labels: {} });
}

function workloadText(workload: DataWorkload): string {
  let text = texts.get(workload);
  if (text === undefined) {
    const { namespace, name, key, uid, labels = {} } = workload;
    text = resourceText({ namespace, name, instance: uid ?? key, labels });
    texts.set(workload, text);
  }
  return text;
}

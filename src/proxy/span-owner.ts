import { canonicalAddress } from "../core/address.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { DataEndpoint, DataWorkload } from "../core/snapshot.ts";
import { resourceText } from "../telemetry/tracing/resource.ts";
import type { Origin } from "./context.ts";
import type { Plane } from "./plane.ts";

/** The texts of workloads, and of endpoints of which none is known: each is that of many requests. */
const texts = new WeakMap<DataWorkload | DataEndpoint, string>();
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
  const known = endpoint === null ? undefined : texts.get(endpoint);
  if (known !== undefined) return known;
  const text = resourceText({ namespace, name, instance: endpoint?.id ?? key, labels: {} });
  if (endpoint !== null) texts.set(endpoint, text);
  return text;
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

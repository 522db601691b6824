import { formatHostPort } from "../../core/address.ts";
import type { ExplainRequest } from "../../core/explanation.ts";
import type { DataEndpoint } from "../../core/snapshot.ts";
import type { RequestHead } from "../../http/message.ts";
import type { ToCluster } from "../clusters.ts";
import type { Origin } from "../context.ts";
import type { Plane } from "../plane.ts";
import { meshRoute } from "../secure-transport.ts";
import type { SaysSo } from "./explain-rules.ts";
import type { StepList } from "./step-list.ts";

/** The way from a caller to the endpoint that was chosen for it. */
export interface Hop {
  readonly destination: ToCluster;
  readonly endpoint: DataEndpoint;
  readonly origin: Origin;
}

/** In the clear or by mutual TLS, and why. Throws `MTLS_UNAVAILABLE` like the data path. */
export function explainTransport(plane: Plane, hop: Hop, says: SaysSo, list: StepList): void {
  const { destination, endpoint, origin } = hop;
  const { cluster } = destination;
  const resource = cluster.settings.mtls === undefined ? null : says(cluster, "mtls");
  const route = plane.transport.isMeshed
    ? meshRoute(destination, endpoint, origin, "http/1.1")
    : undefined;
  if (route === undefined) {
    list.add("transport", "in the clear", clearReason(plane, hop), { resource });
    return;
  }
  const { via, source, destination: met } = route;
  const decision = `mutual TLS to ${formatHostPort(via.host, via.port)}`;
  const because = `${endpoint.host} takes it, and both have identities`;
  list.add("transport", decision, because, { resource, details: [`is ${source}`, `meets ${met}`] });
}

function clearReason({ transport }: Plane, { destination, endpoint, origin }: Hop): string {
  const { settings, service } = destination.cluster;
  if (endpoint.local) return "the endpoint is on this host, whose kernel vouches for the caller";
  if (!transport.isMeshed) return "this host has no identity";
  if ((settings.mtls ?? service.mtls) === "disable") return "a policy switches mutual TLS off";
  if (origin.identity === "") return "the caller has no identity";
  return `${endpoint.host || endpoint.address} takes no mutual TLS`;
}

/** Who judges whether the caller may, where it is not this host. */
export function explainElsewhere(
  { host, address }: DataEndpoint,
  asksThere: boolean,
  list: StepList,
): void {
  const place = host || address;
  if (asksThere) {
    const because = `${place} judges for itself what comes to its workloads`;
    list.add("authorisation", "asked on the endpoint's host", because);
    return;
  }
  const because = `${place} is outside the mesh, or is called in the clear: it sees a caller without identity`;
  list.add("authorisation", "not asked on this host", because);
}

/** What to ask the endpoint's host, which judges whether this caller may; null: it is not told who calls. */
export function nextRequest(
  { destination, endpoint, origin }: Hop,
  asked: ExplainRequest,
  head: RequestHead | null,
): { readonly host: string; readonly request: ExplainRequest } | null {
  if (endpoint.local || meshRoute(destination, endpoint, origin, "tcp") === undefined) return null;
  const place = formatHostPort(endpoint.address, endpoint.port);
  const request = {
    source: asked.source,
    destination: `${head === null ? "tcp" : "http"}://${place}`,
    method: head?.method ?? asked.method,
    path: head?.path ?? asked.path,
    headers: head === null ? [] : pairsOf(head),
    fromIdentity: origin.identity,
  };
  return { host: endpoint.host, request };
}

function pairsOf(head: RequestHead): [string, string][] {
  const pairs: [string, string][] = [["Host", head.host]];
  for (let at = 0; at < head.fields.length; at += 2) {
    const name = head.fields[at] ?? "";
    if (name.toLowerCase() !== "host") pairs.push([name, head.fields[at + 1] ?? ""]);
  }
  return pairs;
}

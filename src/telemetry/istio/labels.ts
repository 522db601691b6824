import { CODES } from "../../core/errors.ts";
import type { RequestFacts, TrafficSource } from "../../core/facts.ts";
import { parseSpiffeId } from "../../core/identity.ts";
import type { PolicyTarget } from "../../core/policy.ts";
import type { DataEndpoint, DataService } from "../../core/snapshot.ts";
import { workloadName } from "./workload-name.ts";

/** As Envoy and ztunnel write them, for whatever is not known. */
export const UNKNOWN = "unknown";
/** Destination of traffic that leaves the mesh (Istio's cluster of that name). */
const PASSTHROUGH = "PassthroughCluster";
const NO_FLAGS = "-";
const NO_REVISION = "latest";
/** The highest status of gRPC that there is; whatever an endpoint invents beyond has one label. */
const LAST_GRPC_STATUS = 16;

const END_LABELS = [
  "workload",
  "canonical_service",
  "canonical_revision",
  "workload_namespace",
  "principal",
  "app",
  "version",
  "cluster",
] as const;

/** Labels that connections and requests have both. */
export const CONNECTION_LABELS = [
  "reporter",
  ...END_LABELS.map((name) => `source_${name}`),
  ...END_LABELS.map((name) => `destination_${name}`),
  "destination_service",
  "destination_service_name",
  "destination_service_namespace",
  "request_protocol",
  "response_flags",
  "connection_security_policy",
] as const;

export const REQUEST_LABELS = [
  ...CONNECTION_LABELS,
  "response_code",
  "grpc_response_status",
] as const;

export const REPORTER_AT = CONNECTION_LABELS.indexOf("reporter");
export const SECURITY_AT = CONNECTION_LABELS.indexOf("connection_security_policy");
/** `reporter` of a call within one host, which stands for one sample of each side. */
export const BOTH = "both";

/** Values of `CONNECTION_LABELS`. `cluster`: name of the cluster that this host is in. */
export function connectionLabels(facts: Readonly<RequestFacts>, cluster: string): string[] {
  const { entry, endpoint, service, source } = facts;
  const isTold = entry === "mesh" || entry === "inbound";
  const here = endpoint?.local === true ? BOTH : "source";
  return [
    isTold ? "destination" : here,
    ...sourceLabels(source, cluster),
    ...destinationLabels(endpoint, service, cluster),
    ...serviceLabels(facts),
    protocolOf(facts),
    facts.error === null ? NO_FLAGS : CODES[facts.error].flag,
    facts.security === "mutual_tls" ? "mutual_tls" : "none",
  ];
}

/** Values of `REQUEST_LABELS`. */
export function requestLabels(facts: Readonly<RequestFacts>, cluster: string): string[] {
  const { status, grpcStatus } = facts;
  const grpc = grpcStatus > LAST_GRPC_STATUS ? UNKNOWN : String(grpcStatus);
  return [...connectionLabels(facts, cluster), String(status), grpcStatus < 0 ? "" : grpc];
}

function protocolOf({ protocol, grpcStatus, requestMessages }: Readonly<RequestFacts>): string {
  if (protocol === "tcp") return "tcp";
  return isGrpc(grpcStatus, requestMessages) ? "grpc" : "http";
}

/** A call that never got a status has messages at least. */
export function isGrpc(grpcStatus: number, requestMessages: number): boolean {
  return grpcStatus >= 0 || requestMessages > 0;
}

/** Of one end of a call, in the order of `END_LABELS`. */
function endLabels(
  name: string,
  namespace: string,
  labels: Readonly<Record<string, string>>,
  principal: string | undefined,
  cluster: string,
): string[] {
  const app = labels["app"] ?? labels["app.kubernetes.io/name"];
  const version = labels["version"] ?? labels["app.kubernetes.io/version"];
  return [
    name,
    labels["service.istio.io/canonical-name"] ?? labels["app.kubernetes.io/name"] ?? app ?? name,
    labels["service.istio.io/canonical-revision"] ?? version ?? NO_REVISION,
    namespace,
    principal ?? UNKNOWN,
    app ?? UNKNOWN,
    version ?? UNKNOWN,
    cluster,
  ];
}

const NOBODY = endLabels(UNKNOWN, UNKNOWN, {}, undefined, UNKNOWN);

/** Of another host's caller the name is that of its service account, as no more of it is proved. */
function sourceLabels(source: TrafficSource | null, cluster: string): readonly string[] {
  if (source === null) return NOBODY;
  const { name, namespace, labels = {}, identity } = source;
  return endLabels(workloadName(name, labels), namespace, labels, identity, cluster);
}

function destinationLabels(
  endpoint: DataEndpoint | null,
  service: DataService | null,
  cluster: string,
): readonly string[] {
  if (endpoint === null || service === null) return NOBODY;
  const { meta, target, identity, workload } = endpoint;
  const labels = target?.labels ?? meta;
  const account = identity === undefined ? null : parseSpiffeId(identity);
  const namespace = target?.namespace ?? account?.namespace ?? service.namespace;
  const name = (workload ?? targetName(target))?.split("/").at(-1) ?? service.name;
  return endLabels(workloadName(name, labels), namespace, labels, identity, cluster);
}

/** The key of a target begins with that of its workload, or with that of a service and an address where it has none. */
function targetName(target: PolicyTarget | undefined): string | undefined {
  return target?.key.split("#", 1)[0]?.split("@", 1)[0];
}

function serviceLabels({ service, entry }: Readonly<RequestFacts>): readonly string[] {
  if (service === null) {
    const name = entry === "passthrough" ? PASSTHROUGH : UNKNOWN;
    return [UNKNOWN, name, UNKNOWN];
  }
  const { name, namespace, hosts } = service;
  return [hosts?.[0] ?? `${name}.${namespace}.svc.cluster.local`, name, namespace];
}

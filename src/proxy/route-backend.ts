import { MeshError } from "../core/errors.ts";
import type { Backend } from "../core/traffic.ts";
import type { RequestHead } from "../http/message.ts";
import type { Cluster } from "./clusters.ts";
import type { Origin } from "./context.ts";
import type { Plane } from "./plane.ts";
import type { BackendParts } from "./route-parts.ts";

/** Who asks for a backend's cluster. */
export interface BackendCaller {
  readonly plane: Plane;
  readonly namespace: string;
  /** Port of the service that was called; 0: unknown. */
  readonly port: number;
  /** The resource whose rule it is, for people. */
  readonly source: string;
}

/**
 * The port of the service that was called. One without ports of its own takes any: then the one that was dialled, or that
 * the request names, or that of its scheme. 0: unknown.
 */
export function calledPort(
  { service, choice }: Cluster,
  origin: Origin,
  head: RequestHead | null,
): number {
  const own = service.ports.find(({ name }) => name === choice.portName)?.port;
  const known = own ?? origin.destination?.port;
  if (known !== undefined || head === null) return known ?? 0;
  const [, port = head.scheme === "https" ? "443" : "80"] = /:(\d+)$/.exec(head.host) ?? [];
  return Number(port);
}

/** Throws `BACKEND_UNKNOWN` where the backend leads nowhere. */
export function clusterOf(caller: BackendCaller, backend: BackendParts["backend"]): Cluster {
  const found = find(caller, backend);
  if (found !== null) return found;
  const name = backend.service ?? "an invalid reference";
  const error = new MeshError("BACKEND_UNKNOWN", `${name}, named by ${caller.source}`);
  const status = backend.missingStatus;
  if (status !== undefined) error.answer = { status };
  throw error;
}

/** The first of a backend and its stand-ins that somebody serves; the backend's own where nobody serves any. */
export function livingOf(
  caller: BackendCaller,
  backend: BackendParts,
): { readonly backend: BackendParts; readonly cluster: Cluster } {
  for (const one of backend.failover.length === 0 ? [] : [backend, ...backend.failover]) {
    const cluster = find(caller, one.backend);
    if (cluster !== null && caller.plane.clusters.isServed(cluster))
      return { backend: one, cluster };
  }
  return { backend, cluster: clusterOf(caller, backend.backend) };
}

function find(
  { plane, namespace, port: called }: BackendCaller,
  { service: ref, subset = "", port, missingStatus }: Omit<Backend, "weight" | "failover">,
): Cluster | null {
  const service = ref === null ? undefined : plane.services.byRef(ref, namespace);
  if (service === undefined) return null;
  const { ports } = service;
  const wanted = port ?? called;
  const found =
    ports.find((one) => one.port === wanted) ??
    (port === undefined && ports.length === 1 ? ports[0] : undefined);
  if (ports.length > 0 && found === undefined) return null;
  // To Gateway API a backend that wants TLS of its caller is one that is not supported (GEP-1911): nobody here speaks it.
  if (missingStatus !== undefined && found?.protocol === "tls") return null;
  return plane.clusters.get(service, { portName: found?.name ?? "", subset, namespace });
}

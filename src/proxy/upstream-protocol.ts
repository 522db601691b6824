import type { AppProtocol } from "../core/model.ts";
import type { DataEndpoint, DataService } from "../core/snapshot.ts";

/** What the endpoint is said to speak, else its port, else the service; undefined: nobody says. */
export function declaredProtocol(
  service: DataService,
  endpoint: DataEndpoint | undefined,
): AppProtocol | undefined {
  if (endpoint?.protocol !== undefined) return endpoint.protocol;
  const port = service.ports.find((one) => one.name === (endpoint?.portName ?? ""));
  return port?.protocol ?? service.protocol;
}

/**
 * The protocol of requests to an endpoint of which this is declared, from a client that speaks this major `version` of
 * HTTP. Where nothing is declared the endpoint gets what its client speaks, as with Istio's ports that have no name: a
 * client knows what it may speak without us. gRPC exists over HTTP/2 only.
 */
export function upstreamProtocol(declared: AppProtocol | undefined, version: 1 | 2): "h2" | null {
  if (declared === "http2" || declared === "grpc") return "h2";
  return declared === undefined && version === 2 ? "h2" : null;
}

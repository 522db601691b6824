import type { AppProtocol } from "../../core/model.ts";

/** Names that IANA, KEP-3726 and Istio give to protocols. What is said over TLS is TLS to the mesh. */
const PROTOCOLS: ReadonlyMap<string, AppProtocol> = new Map([
  ["http", "http"],
  ["http2", "http2"],
  ["h2c", "http2"],
  ["kubernetes.io/h2c", "http2"],
  ["kubernetes.io/ws", "http"],
  ["kubernetes.io/wss", "tls"],
  ["grpc", "grpc"],
  ["grpc-web", "http"],
  ["https", "tls"],
  ["tls", "tls"],
  ["tcp", "tcp"],
  // Their servers speak first, or speak no HTTP: waiting for a request's first bytes would only delay them.
  ["mongo", "tcp"],
  ["mysql", "tcp"],
  ["redis", "tcp"],
]);

/** What an `appProtocol` says; null for one that is not known, whose protocol the proxy finds out. */
export function appProtocolOf(text: string): AppProtocol | null {
  return PROTOCOLS.get(text.toLowerCase()) ?? null;
}

/** What the name of a port says in Istio's convention, `<protocol>[-<suffix>]`; null: nothing. */
export function protocolOfPortName(name: string): AppProtocol | null {
  const lower = name.toLowerCase();
  if (lower === "grpc-web" || lower.startsWith("grpc-web-")) return "http";
  const [first = ""] = lower.split("-", 1);
  return PROTOCOLS.get(first) ?? null;
}

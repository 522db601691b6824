import { octets } from "./frame-text.ts";

/** What the load asks for over HTTP/2. */

/** Flag and length before a gRPC message (gRPC over HTTP/2, Length-Prefixed-Message). */
export const GRPC_PREFIX_BYTES = 5;
/** The message of a call: the size of answers is varied, and that of calls is not. */
const GRPC_MESSAGE_BYTES = 100;
export const GRPC_REQUEST = `\0${octets(GRPC_MESSAGE_BYTES, 4)}${"m".repeat(GRPC_MESSAGE_BYTES)}`;

/** Fields of a gRPC call beside those of every request. */
export const GRPC_FIELDS = {
  "content-type": "application/grpc",
  te: "trailers",
  "grpc-accept-encoding": "identity",
} as const;

/** The upstream answers with so many bytes as the path's last digits say; a method of gRPC has a name. */
export function requestPath(protocol: "http2" | "grpc", bodyBytes: number): string {
  return protocol === "grpc" ? `/bench.Load/Bytes${bodyBytes}` : `/${bodyBytes}`;
}

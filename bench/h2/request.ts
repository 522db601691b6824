import type { CallKind } from "../model.ts";
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

/** What a call is, and how many messages its answer has. */
export interface CallShape {
  readonly call: CallKind;
  readonly messages: number;
}
export const UNARY: CallShape = { call: "unary", messages: 1 };
/** With more of them the messages of a call could fill the window of its stream (RFC 9113 section 6.9.2). */
export const MAX_MESSAGES = 500;

/**
 * The upstream answers with so many bytes as the path's last digits say; a method of gRPC has a name, which says how
 * many messages the answer has: `Bytes` one, `Server10x` ten, `Each` one for each that comes.
 */
export function requestPath(
  protocol: "http2" | "grpc",
  bodyBytes: number,
  { call, messages }: CallShape = UNARY,
): string {
  if (protocol === "http2") return `/${bodyBytes}`;
  const method = { unary: "Bytes", server: `Server${messages}x`, bidi: "Each" }[call];
  return `/bench.Load/${method}${bodyBytes}`;
}

const PATH = /(?:\/Server(\d{1,3})x|\/(Each))?(\d+)(?:\?.*)?$/;

/** The other way round; null for a path that asks for nothing. */
export function readPath(path: string): (CallShape & { readonly bodyBytes: number }) | null {
  const found = PATH.exec(path);
  if (found === null) return null;
  const [, server, each, digits] = found;
  const bodyBytes = Number(digits);
  if (each !== undefined) return { call: "bidi", messages: 1, bodyBytes };
  if (server === undefined) return { ...UNARY, bodyBytes };
  return { call: "server", messages: Number(server), bodyBytes };
}

import { CODES, type MeshError } from "../core/errors.ts";
import { GRPC, grpcMessage, grpcStatusOfHttp, isGrpcType } from "../core/grpc.ts";
import { localResponse } from "../http/h1/serializer.ts";
import { findField } from "../http/headers.ts";
import type { RequestHead } from "../http/message.ts";
import { failureFields, statusOf } from "./failure.ts";

/** Most requests do not have it, and their fields need not be split to see that. */
const HINT = "application/grpc";

/** Is it a call of gRPC? Over HTTP/1.1 there is none. */
export function isGrpcCall(head: RequestHead, version: 1 | 2): boolean {
  if (version === 1 || !head.passed.includes(HINT)) return false;
  return isGrpcType(findField(head.fields, "content-type") ?? "");
}

/** The status in these fields; -1: there is none. A status that is no number is UNKNOWN, as clients read it. */
export function grpcStatusIn(fields: readonly string[]): number {
  const text = findField(fields, "grpc-status");
  return text === undefined ? -1 : statusOfText(text);
}

function statusOfText(text: string): number {
  return /^\d{1,2}$/.test(text) ? Number(text) : GRPC.UNKNOWN;
}

/**
 * The pause in ms that a server asks for before the call is tried again (gRFC A6); null: it says nothing, Infinity: it wants no
 * other try, which anything that is no number means as well.
 */
export function retryPushbackMs(fields: readonly string[]): number | null {
  const text = findField(fields, "grpc-retry-pushback-ms");
  if (text === undefined) return null;
  return /^\d{1,10}$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
}

const STATUS_LINE = /\ngrpc-status:([^\r]*)\r\n/i;
/** Behind it there are only lines of fields, which have a colon; before it there may be whatever an application sends. */
const LAST_CHUNK = "\r\n0\r\n";

/** The status in the trailer section that the last piece of a body ends with; -1: there is none. */
export function grpcStatusBehind(chunk: Buffer, start: number, end: number): number {
  return grpcStatusInLines(linesBehind(chunk, start, end));
}

/** The trailer section that the last piece of a body in the chunked coding ends with; "": there is none. */
export function linesBehind(chunk: Buffer, start: number, end: number): string {
  const text = `\r\n${chunk.toString("latin1", Math.max(start, end - TRAILER_BYTES), end)}`;
  const at = text.lastIndexOf(LAST_CHUNK);
  return at === -1 ? "" : text.slice(at + LAST_CHUNK.length);
}

/** The status in the lines of trailers that came behind content of a known length; -1: there is none. */
export function grpcStatusInLines(lines: string): number {
  const found = STATUS_LINE.exec(`\n${lines}`)?.[1];
  return found === undefined ? -1 : statusOfText(found.trim());
}

/** More than the trailers of a call are: a status, a message, details. */
const TRAILER_BYTES = 16_384;

/** What a failure of the mesh is to a client of gRPC. Time that has run out is its own status, as in Envoy. */
export function grpcStatusOf(error: MeshError): number {
  const { http } = CODES[error.code];
  const own = error.answer?.grpcStatus;
  if (own !== undefined) return own;
  return http === 504 ? GRPC.DEADLINE_EXCEEDED : grpcStatusOfHttp(statusOf(error));
}

/** The answer to a call that failed in the mesh: a response of trailers only (doc/PROTOCOL-HTTP2.md). */
export function grpcFailure(error: MeshError, requestId: string): string {
  const fields = [
    ...["Content-Type", "application/grpc"],
    ...["grpc-status", String(grpcStatusOf(error)), "grpc-message", messageOf(error)],
    ...failureFields(error, requestId),
  ];
  return localResponse(200, fields, "", { keepAlive: true, minor: 1, method: "" });
}

/** The trailer lines of a call that failed in the mesh behind the begin of its answer. */
export function grpcFailureTrailers(error: MeshError): string {
  return `grpc-status: ${grpcStatusOf(error)}\r\ngrpc-message: ${messageOf(error)}\r\n`;
}

function messageOf(error: MeshError): string {
  return grpcMessage(`hostmesh: ${error.code}: ${error.message}`);
}

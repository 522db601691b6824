import type { RequestFacts } from "./facts.ts";

/** Status codes of gRPC by their names (grpc/grpc, doc/statuscodes.md). */
export const GRPC = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

/** Statuses in a response of trailers only, in the spelling of Envoy's `retry_on`. */
export const GRPC_RETRY_CONDITIONS = [
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
] as const;
export type GrpcRetryCondition = (typeof GRPC_RETRY_CONDITIONS)[number];

/** The status of HTTP that a status of gRPC comes closest to, by its number (Envoy's `grpcToHttpStatus`). */
const HTTP_STATUSES = [
  200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401,
];

/** The other way round (grpc/grpc, doc/http-grpc-status-mapping.md). What is not here is UNKNOWN. */
const GRPC_STATUSES: ReadonlyMap<number, number> = new Map([
  [400, GRPC.INTERNAL],
  [401, GRPC.UNAUTHENTICATED],
  [403, GRPC.PERMISSION_DENIED],
  [404, GRPC.UNIMPLEMENTED],
  [429, GRPC.UNAVAILABLE],
  [502, GRPC.UNAVAILABLE],
  [503, GRPC.UNAVAILABLE],
  [504, GRPC.UNAVAILABLE],
]);

/**
 * What a call counts as where statuses of HTTP are judged: circuits, ejection, metrics. `grpcStatus` is -1 for what is no
 * call of gRPC, or whose status never came.
 */
export function judgedStatus(status: number, grpcStatus: number): number {
  return grpcStatus <= 0 ? status : httpStatusOf(grpcStatus);
}

/** Did an exchange end with any error, the client's own included, or with a server's failure? */
export function endedBadly({
  error,
  status,
  grpcStatus,
}: Readonly<Pick<RequestFacts, "error" | "status" | "grpcStatus">>): boolean {
  return error !== null || judgedStatus(status, grpcStatus) >= 500;
}

/** The status of HTTP that stands for a status of gRPC where no call is answered. */
export function httpStatusOf(grpcStatus: number): number {
  return HTTP_STATUSES[grpcStatus] ?? 500;
}

export function grpcStatusOfHttp(status: number): number {
  return GRPC_STATUSES.get(status) ?? GRPC.UNKNOWN;
}

/** Content types of gRPC over HTTP/2: `application/grpc`, and with a `+format`; not those of gRPC-Web. */
export function isGrpcType(contentType: string): boolean {
  return /^application\/grpc(?:[+;]|$)/i.test(contentType.trim());
}

/** A text as the value of `grpc-message`: percent-encoded UTF-8 (grpc/grpc, doc/PROTOCOL-HTTP2.md). */
export function grpcMessage(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]/gu, (char) =>
    [...Buffer.from(char)]
      .map((byte) => `%${byte.toString(16).padStart(2, "0").toUpperCase()}`)
      .join(""),
  );
}

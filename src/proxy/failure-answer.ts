import type { MeshError } from "../core/errors.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { RequestHead } from "../http/message.ts";
import { requestIdIn } from "../telemetry/trace-context.ts";
import { failureResponse, statusOf } from "./failure.ts";
import { grpcFailure, grpcFailureTrailers, grpcStatusOf, isGrpcCall } from "./grpc.ts";

/** The request that failed. */
export interface FailedRequest {
  /** Null where none could be read. */
  readonly head: RequestHead | null;
  readonly version: 1 | 2;
  /** May the client's connection carry another one? */
  readonly keepAlive: boolean;
  /** Lines with its request id; "": it has none yet. */
  readonly ids: string;
}

/** What a client is told of a failure, in the terms that it expects; the facts get the statuses. */
export function failureAnswer(
  error: MeshError,
  { head, version, keepAlive, ids }: FailedRequest,
  facts: RequestFacts,
): string {
  const requestId = ids === "" ? "" : requestIdIn(ids);
  if (head !== null && isGrpcCall(head, version)) {
    facts.status = 200;
    facts.grpcStatus = grpcStatusOf(error);
    return grpcFailure(error, requestId);
  }
  facts.status = statusOf(error);
  const options = { keepAlive, minor: head?.minor ?? 1, method: head?.method ?? "" };
  return failureResponse(error, requestId, options);
}

/** Trailer lines that end a call whose answer has begun, for what has gone on of it is kept; "": it is no call of gRPC. */
export function failureTrailers(
  error: MeshError,
  head: RequestHead | null,
  version: 1 | 2,
  facts: RequestFacts,
): string {
  if (head === null || !isGrpcCall(head, version)) return "";
  facts.grpcStatus = grpcStatusOf(error);
  return grpcFailureTrailers(error);
}

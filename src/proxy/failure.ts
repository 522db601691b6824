import { CODES, MeshError, type MeshErrorCode } from "../core/errors.ts";
import { localResponse } from "../http/h1/serializer.ts";
import type { RequestHead } from "../http/message.ts";

/** Host that the proxy itself answers; the readiness probe asks it through the whole data path. */
export const INTERNAL_HOST = "hostmesh.internal";

/** What was refused because there is too much already: whoever called must not try again at once (Envoy). */
const OVERLOAD: ReadonlySet<MeshErrorCode> = new Set([
  "CIRCUIT_OPEN",
  "CONCURRENCY_LIMIT",
  "POOL_QUEUE_FULL",
]);

/** The answer to a request for `INTERNAL_HOST`. */
export function internalResponse(head: RequestHead): string {
  const { method, minor, keepAlive } = head;
  return localResponse(200, ["Content-Type", "text/plain"], "ok\n", { method, minor, keepAlive });
}

/** How the answer goes out. */
export interface AnswerOptions {
  readonly keepAlive: boolean;
  readonly minor: 0 | 1;
  readonly method: string;
}

/**
 * The one place where a failure becomes a response. `x-hostmesh-error` names the cause and
 * `x-hostmesh-component` the side that is to blame, so that no one has to guess who answered.
 */
export function failureResponse(
  error: MeshError,
  requestId: string,
  options: AnswerOptions,
): string {
  const fields = ["Content-Type", "text/plain; charset=utf-8", ...failureFields(error, requestId)];
  const text = `hostmesh: ${error.code}: ${error.message}\n`;
  return localResponse(statusOf(error), fields, text, options);
}

/** What any answer to a failure says of it. */
export function failureFields(error: MeshError, requestId: string): string[] {
  const facts = CODES[error.code];
  const fields = [
    ...["Server", "hostmesh", "Date", new Date().toUTCString()],
    ...["X-Hostmesh-Error", error.code, "X-Hostmesh-Component", facts.side],
  ];
  if (requestId !== "") fields.push("X-Request-Id", requestId);
  const own = error.answer?.fields ?? [];
  const saysWhen = own.includes("Retry-After");
  if ((facts.http === 503 || facts.http === 429) && !saysWhen) fields.push("Retry-After", "1");
  if (OVERLOAD.has(error.code)) fields.push("x-envoy-overloaded", "true");
  fields.push(...own);
  return fields;
}

/** Status of the response to a failure. */
export function statusOf(error: MeshError): number {
  return error.answer?.status ?? CODES[error.code].http;
}

/** Wraps whatever was thrown, so that everything that fails has a code. */
export function toMeshError(reason: unknown): MeshError {
  return reason instanceof MeshError
    ? reason
    : new MeshError("INTERNAL", reason instanceof Error ? reason.message : String(reason), reason);
}

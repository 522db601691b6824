import { CODES, type MeshErrorCode } from "../../../core/errors.ts";

/** What is known when an attempt has failed. */
export interface FailedAttempt {
  readonly code: MeshErrorCode;
  readonly method: string;
  /** Attempts made, this one included. */
  readonly attempts: number;
  readonly maxAttempts: number;
  /** Can the request still be sent whole? */
  readonly replayable: boolean;
  /** Has any byte of a response gone to the client? */
  readonly answered: boolean;
}

/** RFC 9110 section 9.2.2. TRACE and OPTIONS are safe, PUT and DELETE idempotent without being safe. */
export function isIdempotent(method: string): boolean {
  switch (method) {
    case "GET":
    case "HEAD":
    case "PUT":
    case "DELETE":
    case "OPTIONS":
    case "TRACE":
      return true;
    default:
      return false;
  }
}

/** May the request be sent again, to another endpoint? The error table says how safe that is. */
export function mayRetry(failed: FailedAttempt): boolean {
  if (failed.answered || !failed.replayable || failed.attempts >= failed.maxAttempts) return false;
  const safety = CODES[failed.code].retry;
  return safety === "always" || (safety === "idempotent" && isIdempotent(failed.method));
}

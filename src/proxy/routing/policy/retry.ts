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
  /** Has any byte of a response, an interim one included, gone to the client? */
  readonly answered: boolean;
  /** Is there another endpoint, or a good reason to try the same one? */
  readonly elsewhere: boolean;
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

/** May the request be sent again? The error table says how safe that is. */
export function mayRetry(failed: FailedAttempt): boolean {
  if (failed.answered || !failed.replayable || !failed.elsewhere) return false;
  if (failed.attempts >= failed.maxAttempts) return false;
  const safety = CODES[failed.code].retry;
  return safety === "always" || (safety === "idempotent" && isIdempotent(failed.method));
}

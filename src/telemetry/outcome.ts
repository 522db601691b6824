import { CODES, isMeshErrorCode, type MeshErrorCode } from "../core/errors.ts";
import type { RequestFacts } from "../core/facts.ts";

/** Label values of `code`, by the first digit of the status; `0`: no response was sent, or TCP. */
export const CODE_CLASSES = ["0", "1xx", "2xx", "3xx", "4xx", "5xx"] as const;

/** Index into `CODE_CLASSES`. A status outside 100 to 599 counts as none. */
export function codeClass(status: number): number {
  return status >= 100 && status < 600 ? Math.trunc(status / 100) : 0;
}

/** Label values of `protocol`. An `upgrade` began as HTTP and became a tunnel: WebSocket, CONNECT. */
export const PROTOCOLS = ["http", "upgrade", "tcp"] as const;
export const HTTP = 0;
const UPGRADE = 1;
const TCP = 2;

/** Index into `PROTOCOLS`. Only where it is HTTP are duration and sizes those of one exchange. */
export function protocolOf(facts: Readonly<RequestFacts>): number {
  const { protocol, status, method } = facts;
  if (protocol === "tcp") return TCP;
  const isGranted = status === 101 || (status >= 200 && status < 300 && method === "CONNECT");
  return isGranted ? UPGRADE : HTTP;
}

/**
 * Did the mesh or the service fail the caller? A 5xx did (Linkerd's rule), and so did every error that
 * is not the client's own, whatever its status.
 */
export function isFailure(code: string | undefined, error: string | undefined): boolean {
  if (code === "5xx") return true;
  return error !== undefined && isMeshErrorCode(error) && CODES[error].side !== "downstream";
}

/** The same of one exchange, whose status is known. */
export function isFailedExchange(status: number, error: MeshErrorCode | null): boolean {
  return status >= 500 || (error !== null && CODES[error].side !== "downstream");
}

/** Did the endpoint itself fail? Errors of the client or of the proxy are not its fault. */
export function isEndpointFailure(status: number, error: MeshErrorCode | null): boolean {
  return error === null ? status >= 500 : CODES[error].side === "upstream";
}

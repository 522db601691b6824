import type { Socket } from "node:net";
import { CODES, MeshError } from "../core/errors.ts";
import { NO_ERROR, REFUSED_STREAM } from "../http/h2/codes.ts";
import { type Origin, trafficSource } from "./context.ts";
import { newFacts } from "./exchange-facts.ts";
import { failureResponse } from "./failure.ts";
import type { Plane } from "./plane.ts";

/**
 * Ends a connection that is not served at all. A client of the explicit proxy is told why; one whose protocol
 * is unknown can only be cut off. Either way it is recorded.
 */
export function refuse(plane: Plane, socket: Socket, origin: Origin, error: MeshError): void {
  recordRefusal(plane, origin, error);
  socket.on("error", () => socket.destroy());
  if (origin.entry === "explicit") {
    const options = { keepAlive: false, minor: 1, method: "" } as const;
    socket.end(failureResponse(error, "", options), "latin1", () => socket.destroy());
  } else socket.resetAndDestroy();
}

/** Why an HTTP/2 connection has turned down a request by itself: `code` as `ServerSessionHandler.onRefused` has it. */
export function streamRefusal(code: number, detail: string): MeshError {
  if (code === REFUSED_STREAM) return new MeshError("QUOTA_REQUESTS", detail);
  // It is answered.
  return new MeshError(code === NO_ERROR ? "HEAD_TOO_LARGE" : "BAD_REQUEST", detail);
}

/** Records a connection that ended before it was known what it would carry, or a request that could not be read (`isHttp`). */
export function recordRefusal(
  plane: Plane,
  origin: Origin,
  error: MeshError,
  isHttp = origin.entry === "explicit",
): void {
  const facts = newFacts(origin);
  facts.protocol = isHttp ? "http" : "tcp";
  facts.status = isHttp ? CODES[error.code].http : 0;
  facts.startMs = plane.clock.now();
  plane.recorder.started(trafficSource(origin), null);
  if (!isHttp) plane.recorder.opened(facts);
  facts.error = error.code;
  plane.recorder.exchange(facts);
}

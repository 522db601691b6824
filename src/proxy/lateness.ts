import { MeshError } from "../core/errors.ts";
import type { Carrier } from "../http/carrier.ts";
import type { Attempt } from "./attempt.ts";
import type { Origin } from "./context.ts";
import type { RequestState } from "./request-state.ts";

/** For whom a request has waited longer than is allowed, as an error. */
export function whoIsLate(
  { answered, complete, continued }: RequestState,
  attempt: Attempt,
  client: Carrier,
  origin: Origin,
): MeshError {
  if (answered) {
    const code = client.pendingBytes > 0 ? "CLIENT_CLOSED" : "UPSTREAM_STALLED";
    return new MeshError(code, attempt.peer);
  }
  const isBodyDue = !complete && !attempt.congested && continued;
  return isBodyDue
    ? new MeshError("REQUEST_BODY_TIMEOUT", origin.address)
    : new MeshError("UPSTREAM_TIMEOUT", attempt.peer);
}

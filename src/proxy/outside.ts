import { canonicalAddress, formatHostPort, isLoopback } from "../core/address.ts";
import { MeshError } from "../core/errors.ts";
import type { Recorder } from "../core/facts.ts";
import type { Conn } from "../http/conn.ts";
import type { OwnPlaces } from "./clusters.ts";

/**
 * Judges a connection that was just made to a place outside the mesh. Only now is it known where a name has
 * led: to this proxy itself, which would be a loop, or to the host's loopback, whose services trust whoever
 * reaches them and must not be reached by a container through the proxy. Null: it is fine.
 */
export function judgeOutside(
  conn: Conn,
  clientAddress: string,
  own: OwnPlaces,
  recorder: Recorder,
): MeshError | null {
  const { remoteAddress, remotePort = 0, localAddress } = conn.socket;
  const address = canonicalAddress(remoteAddress ?? "");
  const place = formatHostPort(address, remotePort);
  // The host's addresses may have changed since the start: a connection to oneself shows them as they are.
  const toOurselves = remoteAddress === localAddress && own.hasPort(remotePort);
  if (toOurselves || own.has(address, remotePort)) {
    recorder.event("loop_refused");
    return new MeshError("LOOP", place);
  }
  return isLoopback(address) && !isLoopback(clientAddress)
    ? new MeshError("FORBIDDEN_DESTINATION", place)
    : null;
}

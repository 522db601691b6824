import { canonicalAddress, formatHostPort, isLoopback } from "../core/address.ts";
import { MeshError } from "../core/errors.ts";
import type { Recorder } from "../core/facts.ts";
import type { Conn } from "../http/conn.ts";
import type { OwnPlaces } from "./own-places.ts";

/**
 * Judges a connection that was just made. Only now is it known where a name has led, and which addresses this
 * host has by now: to this proxy itself, which would be a loop, or to the host's loopback, whose services
 * trust whoever reaches them and must not be reached by a container through the proxy. Where connections are captured
 * (`guards`) that goes for every address of the host: its published ports lead to containers, past their policies.
 * `clientAddress` is null for endpoints of the mesh, which somebody has registered on purpose. Returns null where all is
 * well.
 */
export function judge(
  conn: Conn,
  clientAddress: string | null,
  own: OwnPlaces,
  recorder: Recorder,
  guards: boolean,
): MeshError | null {
  const { remoteAddress, remotePort = 0, localAddress } = conn.socket;
  const address = canonicalAddress(remoteAddress ?? "");
  const place = formatHostPort(address, remotePort);
  const toOurselves = remoteAddress === localAddress && own.hasPort(remotePort);
  if (toOurselves || own.has(address, remotePort)) {
    recorder.event("loop_refused");
    return new MeshError("LOOP", place);
  }
  const isInside = guards ? own.isHost(address) : isLoopback(address);
  const reachesIn = clientAddress !== null && isInside && !own.isHost(clientAddress);
  return reachesIn ? new MeshError("FORBIDDEN_DESTINATION", place) : null;
}

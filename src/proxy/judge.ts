import { canonicalAddress, formatHostPort, isLoopback } from "../core/address.ts";
import { MeshError } from "../core/errors.ts";
import type { Recorder } from "../core/facts.ts";
import type { Conn } from "../http/conn.ts";
import type { OwnPlaces } from "./own-places.ts";

/** What is to be known of where connections may lead. */
export interface Grounds {
  readonly own: OwnPlaces;
  readonly recorder: Recorder;
  /** Connections are captured here, so policies can hold against whoever tries to go round them. */
  readonly guards: boolean;
  /** Does a policy guard the workload at this place of ours? */
  isGuarded(address: string, port: number): boolean;
}

/** A destination outside the mesh, as it was asked for. */
export interface Asked {
  readonly host: string;
  /** Address of whoever asks. */
  readonly client: string;
}

/**
 * Judges a connection that was just made. Only now is it known where a name has led, and which addresses this
 * host has by now: to this proxy itself, which would be a loop, or to the host's loopback, whose services
 * trust whoever reaches them and must not be reached by a container through the proxy. Where connections are captured
 * (`guards`) that goes for every address of the host: its published ports lead to containers, past their policies.
 * A name that leads to a guarded workload is refused, since its policies were not asked: it has a name of its own in the
 * mesh. `asked` is null for endpoints of the mesh, which somebody has registered on purpose. Returns null where all is
 * well.
 */
export function judge(conn: Conn, asked: Asked | null, grounds: Grounds): MeshError | null {
  const { own, recorder, guards } = grounds;
  const { remoteAddress, remotePort = 0, localAddress } = conn.socket;
  const address = canonicalAddress(remoteAddress ?? "");
  const place = formatHostPort(address, remotePort);
  const toOurselves = remoteAddress === localAddress && own.hasPort(remotePort);
  if (toOurselves || own.has(address, remotePort)) {
    recorder.event("loop_refused");
    return new MeshError("LOOP", place);
  }
  const isInside = guards ? own.isHost(address) : isLoopback(address);
  if (asked === null) return null;
  const reachesIn = isInside && !own.isHost(asked.client);
  const goesRound =
    canonicalAddress(asked.host) !== address && grounds.isGuarded(address, remotePort);
  return reachesIn || goesRound ? new MeshError("FORBIDDEN_DESTINATION", place) : null;
}

import type { Clock } from "../../../core/clock.ts";
import type { Deadlines } from "../../../core/deadlines.ts";
import type { MeshError } from "../../../core/errors.ts";
import type { Recorder } from "../../../core/facts.ts";
import type { Carrier } from "../../../http/carrier.ts";
import type { Conn } from "../../../http/conn.ts";
import type { ClientLimits } from "../../../http/h1/client.ts";
import type { SessionLimits } from "../../../http/h2/settings.ts";
import type { ConnectionCounts } from "./connection-counts.ts";
import type { MeshLinks } from "./mesh-links.ts";
import type { PoolSettings } from "./pool-settings.ts";
import type { PoolTarget } from "./upstream-pool.ts";

/** Opens a connection, or a tunnel; the spine fills in the transport stage. */
export type Dialer<C extends Carrier = Conn> = (
  target: PoolTarget,
  handler: {
    onConnected(conn: C): void;
    /** `hasMoved`: requests are to go to the other host in another way, which is known by now. */
    onDialFailed(error: MeshError, hasMoved?: boolean): void;
  },
) => void;

/** What a pool of connections of HTTP/1.1 works with. */
export type PlainPoolDeps = Omit<PoolDeps, "dial"> & { readonly dial: Dialer<Carrier> };

/** What pools of either protocol work with. */
export interface PoolDeps {
  readonly settings: PoolSettings;
  readonly limits: ClientLimits;
  /** Of connections of HTTP/2. */
  readonly sessions: SessionLimits;
  readonly counts: ConnectionCounts;
  readonly dial: Dialer;
  /** By HBONE's CONNECT, to an endpoint of another host. */
  readonly dialTunnel: Dialer<Carrier>;
  /** The same, for what needs a connection: HTTP/2. */
  readonly dialTunnelled: Dialer;
  /** To other hosts. */
  readonly links: MeshLinks;
  readonly recorder: Recorder;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Closes the oldest idle connection that some pool of this worker has to the endpoint, if one has. */
  readonly evictIdle: (slot: number) => void;
}

import type { Clock } from "../../../core/clock.ts";
import type { Deadlines } from "../../../core/deadlines.ts";
import type { MeshError } from "../../../core/errors.ts";
import type { Recorder } from "../../../core/facts.ts";
import type { Conn } from "../../../http/conn.ts";
import type { ClientLimits } from "../../../http/h1/client.ts";
import type { SessionLimits } from "../../../http/h2/settings.ts";
import type { ConnectionCounts } from "./connection-counts.ts";
import type { PoolSettings } from "./pool-settings.ts";
import type { PoolTarget } from "./upstream-pool.ts";

/** Opens a connection; the spine fills in the transport stage. */
export type Dialer = (
  target: PoolTarget,
  handler: { onConnected(conn: Conn): void; onDialFailed(error: MeshError): void },
) => void;

/** What pools of either protocol work with. */
export interface PoolDeps {
  readonly settings: PoolSettings;
  readonly limits: ClientLimits;
  /** Of connections of HTTP/2. */
  readonly sessions: SessionLimits;
  readonly counts: ConnectionCounts;
  readonly dial: Dialer;
  readonly recorder: Recorder;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Closes the oldest idle connection that some pool of this worker has to the endpoint, if one has. */
  readonly evictIdle: (slot: number) => void;
}

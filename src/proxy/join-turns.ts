import type { Carrier } from "../http/carrier.ts";
import { type Origin, sourceKey } from "./context.ts";
import type { Plane } from "./plane.ts";

/**
 * Has the connection's work count on its source: a workload of this host, a caller of another host by the identity that
 * it has proved, or all strangers together, so that many addresses do not get many shares. Returns what ends it.
 */
export function joinTurns(
  { turns, quotas, config }: Plane,
  origin: Origin,
  conn: Carrier,
): () => void {
  const { workload, identity } = origin;
  // A workload that comes back under its old name is counted on another slot.
  const key =
    workload !== null
      ? `workload ${workload.slot}`
      : identity !== ""
        ? identity
        : sourceKey(origin);
  const { workloadBufferBytes } = config.limits;
  conn.share = turns.open(key, () =>
    workload === null ? null : quotas.buffers(workload.slot, workloadBufferBytes),
  );
  return () => turns.close(key);
}

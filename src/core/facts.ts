import type { MeshErrorCode } from "./errors.ts";
import type { DataEndpoint, DataService, DataWorkload } from "./snapshot.ts";

/** How traffic reached the proxy. `passthrough`: captured, but its destination is not of the mesh. */
export type Entry = "captured" | "explicit" | "passthrough";

/** What is known of one exchange at its end; recorded exactly once. Times in ms, sizes in bytes. */
export interface RequestFacts {
  entry: Entry;
  protocol: "http" | "tcp";
  source: DataWorkload | null;
  sourceAddress: string;
  service: DataService | null;
  endpoint: DataEndpoint | null;
  method: string;
  target: string;
  authority: string;
  /** 0 for TCP and where no response could be sent. */
  status: number;
  error: MeshErrorCode | null;
  requestBytes: number;
  responseBytes: number;
  startMs: number;
  durationMs: number;
  /** Waiting for a connection from the pool. */
  queueMs: number;
  /** From the request's last hand-over to the endpoint to the first byte of its response. */
  upstreamMs: number;
  /** Spent in the proxy itself: time to dispatch plus time to relay the response head. */
  proxyMs: number;
  attempts: number;
  requestId: string;
  traceparent: string;
}

import * as z from "zod";
import { SECURITIES } from "../core/security.ts";
import { FINE_BUCKETS } from "../telemetry/buckets.ts";
import type { HostReport } from "./host-report.ts";

/** A host's report may name so many of each. */
const MAX_ROWS = 100_000;
const MAX_ERRORS = 100;

const count = z.number().min(0);
const time = z.number();
const name = z.string().max(1_024);
const key = z.string().max(512);

const counts = {
  ...{ requests: count, failures: count, requestBytes: count, responseBytes: count },
  ...{ recent: count, recentFailures: count, recentBytes: count },
  // Most of a report are these: looked at as a whole.
  fine: z.custom<readonly number[]>(isPairs, "not pairs of a bucket and its count"),
};
const errors = z.record(z.string().max(64), count);
const list = <T extends z.ZodType>(row: T, most = MAX_ROWS) => z.array(row).max(most);

const flow = z.object({
  ...counts,
  ...{ source: key, destination: key, entry: key, protocol: key, inFlight: count, errors },
  security: z.enum(SECURITIES),
  reporter: z.enum(["source", "destination", "both"]),
});
const route = z.object({ ...counts, source: key, destination: key, route: name });
const endpoint = z.object({
  ...counts,
  ...{ service: key, id: name, address: key, host: key, health: key },
  ...{ port: count, weight: count, ejected: z.boolean(), inFlight: count, connections: count },
  latencyEwmaMs: count.nullable(),
});
const workload = z.object({
  ...{ workload: key, addresses: list(key, 256), identity: name.nullable() },
  ...{ connections: count, connectionLimit: count, inFlight: count, inFlightLimit: count },
  ...{ bufferedBytes: count, recent: count, refused: count },
});
const error = z.object({
  ...{ atMs: time, source: key, destination: key, endpoint: name.nullable() },
  ...{ method: name, path: z.string().max(4_096), status: count },
  ...{ error: key.nullable(), traceId: key },
});

/** Reads what a daemon says of itself. What a newer daemon says besides is overlooked. */
export const hostReportSchema: z.ZodType<HostReport> = z.object({
  ...{ host: key, zone: key, version: key, atMs: time, uptimeMs: count },
  ...{ revision: count, windowMs: count },
  flows: list(flow),
  routes: list(route),
  endpoints: list(endpoint),
  retries: z.exactOptional(list(z.object({ service: key, retries: count, recent: count }))),
  workloads: list(workload),
  workers: list(z.object({ id: count, alive: z.boolean(), restarts: count }), 1_024),
  capture: z.object({ mode: key, active: z.boolean() }),
  certificates: list(
    z.object({
      identity: name,
      state: z.enum(["valid", "overdue", "expired", "missing"]),
      notAfterMs: time.nullable(),
    }),
  ),
  recentErrors: list(error, MAX_ERRORS),
});

function isPairs(fine: unknown): boolean {
  if (!Array.isArray(fine) || fine.length % 2 !== 0 || fine.length > 2 * FINE_BUCKETS) return false;
  for (let at = 0; at < fine.length; at += 2) {
    const bucket: unknown = fine[at];
    const counted: unknown = fine[at + 1];
    if (!Number.isInteger(bucket) || !Number.isFinite(counted)) return false;
    if (Number(bucket) < 0 || Number(bucket) >= FINE_BUCKETS || Number(counted) < 0) return false;
  }
  return true;
}

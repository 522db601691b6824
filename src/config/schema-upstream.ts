import * as z from "zod";
import { count } from "./setting-fields.ts";

export const pool = z
  .strictObject({
    maxConnectionsPerEndpoint: count(
      1_024,
      "Open connections to one endpoint over all workers and sources. Envoy's default.",
    ),
    maxPendingPerEndpoint: count(
      1_024,
      "Requests waiting for a connection, per pool. Envoy's default.",
    ),
    maxIdlePerEndpoint: count(256, "Idle connections kept per pool."),
    maxRequestsPerConnection: z
      .number()
      .int()
      .min(0)
      .default(0)
      .describe("Requests before a connection is retired; 0: no limit."),
    streamsPerConnection: count(
      100,
      "Requests at once on one HTTP/2 connection to an endpoint, which may allow fewer; one more connection is opened when all are full. More would make more requests wait for a packet that was lost. What RFC 9113 wants servers to allow.",
    ),
  })
  .prefault({})
  .describe(
    "Pooled upstream connections: one pool per source, endpoint and protocol, in each worker.",
  );

export const retries = z
  .strictObject({
    budgetPercent: z
      .number()
      .min(0)
      .max(1_000)
      .default(20)
      .describe("Retries of a service, in percent of its requests. Linkerd's default."),
    minPerSecond: z
      .number()
      .min(0)
      .default(10)
      .describe("Retries of a service per second besides. Linkerd's default."),
    windowMs: z
      .number()
      .int()
      .min(1_000)
      .max(60_000)
      .default(10_000)
      .describe("For how long a request counts. Linkerd's default."),
    maxRetryAfterMs: z
      .number()
      .int()
      .min(0)
      .max(300_000)
      .default(10_000)
      .describe(
        "The longest Retry-After of a response for which a retry waits; one that asks for more is passed on. 0: none is waited for.",
      ),
  })
  .prefault({})
  .describe(
    "Retries. The budget is that of services which have none of their own, exact over all workers; with 0 in both its figures nothing bounds them.",
  );

import * as z from "zod";
import { balancerSchema } from "./balancer-schema.ts";
import { rateLimitsSchema, retrySchema, timeoutsSchema } from "./route-schema.ts";

/** The shapes of the policies of `src/core/traffic.ts`, as they stand in the store, on the wire and in the snapshot file. */
const text = z.string();
const labels = z.record(text, text);
const ms = z.number().min(0);
const count = z.number().int().min(0);
const percent = z.number().min(0).max(100);
const factor = z.number().min(0);

const connections = z.object({
  maxConnections: z.exactOptional(count),
  maxPending: z.exactOptional(count),
  maxRequests: z.exactOptional(count),
  maxRetries: z.exactOptional(count),
  maxRequestsPerConnection: z.exactOptional(count),
  connectTimeoutMs: z.exactOptional(ms),
  idleTimeoutMs: z.exactOptional(ms),
  maxConnectionMs: z.exactOptional(ms),
  tcpKeepalive: z.exactOptional(z.object({ idleMs: ms })),
});

const outlier = z.object({
  consecutive5xx: count,
  consecutiveGateway: count,
  consecutiveLocal: count,
  splitLocalErrors: z.boolean(),
  intervalMs: ms,
  baseEjectionMs: ms,
  maxEjectionMs: ms,
  maxEjectionPercent: percent,
  minHealthPercent: percent,
  successRate: z.exactOptional(
    z.object({ minHosts: count, minRequests: count, stdevFactor: factor }),
  ),
  failurePercentage: z.exactOptional(z.object({ percent, minHosts: count, minRequests: count })),
  latency: z.exactOptional(z.object({ factor, minMs: ms, minHosts: count })),
});

const accrual = z.object({
  maxFailures: count,
  minPenaltyMs: ms,
  maxPenaltyMs: ms,
  jitterRatio: z.number().min(0),
  successRate: z.exactOptional(
    z.object({ threshold: z.number().min(0).max(1), windowMs: ms, minRequests: count }),
  ),
});

const retryBudget = z.object({
  ratio: z.number().min(0),
  minPerSecond: z.number().min(0),
  ttlMs: ms,
  minConcurrent: z.exactOptional(count),
});

const locality = z.object({
  enabled: z.boolean(),
  hints: z.exactOptional(z.literal(true)),
  only: z.exactOptional(z.literal("host")),
  distribute: z.exactOptional(z.array(z.object({ from: text, to: z.record(text, percent) }))),
  failover: z.exactOptional(z.array(z.object({ from: text, to: text }))),
  failoverPriority: z.exactOptional(z.array(text)),
});

const settings = z.object({
  balancer: z.exactOptional(balancerSchema),
  connections: z.exactOptional(connections),
  outlier: z.exactOptional(outlier),
  accrual: z.exactOptional(accrual),
  retryBudget: z.exactOptional(retryBudget),
  retry: z.exactOptional(retrySchema),
  timeouts: z.exactOptional(timeoutsSchema),
  locality: z.exactOptional(locality),
  concurrency: z.exactOptional(z.object({ minLimit: count, maxLimit: count })),
  rateLimits: z.exactOptional(rateLimitsSchema),
  mtls: z.exactOptional(z.enum(["required", "disable"])),
  protocol: z.exactOptional(z.enum(["http", "http2", "grpc", "tls", "tcp"])),
});

export const trafficSchema = z.object({
  source: text,
  createdMs: z.number(),
  service: text,
  namespace: text,
  root: z.boolean(),
  base: z.exactOptional(z.literal(true)),
  clients: z.array(text).nullable(),
  settings,
  ports: z.record(text, settings),
  subsets: z.array(
    z.object({
      name: text,
      labels,
      settings: z.exactOptional(settings),
      ports: z.exactOptional(z.record(text, settings)),
    }),
  ),
});

export const scopeSchema = z.object({
  source: text,
  createdMs: z.number(),
  namespace: text.nullable(),
  labels,
  egress: z.array(text).nullable(),
  outside: z.enum(["allow", "refuse"]).nullable(),
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type * as z from "zod";
import type { Endpoint, Service } from "../../src/core/model.ts";
import type { ClientScope, RouteTable, TrafficPolicy } from "../../src/core/traffic.ts";
import { endpointSchema, serviceSchema } from "../../src/registry/record-schema.ts";
import { routeSchema } from "../../src/registry/route-schema.ts";
import { scopeSchema, trafficSchema } from "../../src/registry/traffic-schema.ts";

type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;
/** With every field required, so that one that only one side knows is seen. */
type Full<T> = T extends object ? { readonly [K in keyof T]-?: Full<T[K]> } : T;
type Mutual<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;

/** What a schema does not name it drops: a field of the model that is missing in the schema would be lost in the store. */
function agrees<Model, Schema extends z.ZodType>(
  _schema: Schema,
  ..._same: Mutual<Model, Frozen<z.infer<Schema>>> extends true
    ? Mutual<Full<Model>, Full<z.infer<Schema>>> extends true
      ? []
      : [never]
    : [never]
): void {}

agrees<RouteTable, typeof routeSchema>(routeSchema);
agrees<TrafficPolicy, typeof trafficSchema>(trafficSchema);
agrees<ClientScope, typeof scopeSchema>(scopeSchema);
agrees<Service, typeof serviceSchema>(serviceSchema);
agrees<Endpoint, typeof endpointSchema>(endpointSchema);

const table: RouteTable = {
  source: "VirtualService shop/reviews",
  createdMs: 1,
  protocol: "http",
  role: "route",
  services: ["shop/reviews", "host:*.example.com"],
  port: 80,
  clients: ["shop"],
  rank: 30,
  order: "listed",
  otherwise: "refuse",
  rules: [
    {
      name: "all",
      matches: [
        {
          path: { kind: "prefix", value: "/", ignoreCase: true },
          headers: [{ name: "x", match: { kind: "present" }, invert: true }],
          query: [{ name: "q", match: { kind: "regex", value: "a+" } }],
          sourceLabels: { app: "web" },
          destinationSubnets: ["10.0.0.0/8"],
        },
      ],
      action: {
        kind: "forward",
        backends: [
          {
            ...{ service: "shop/reviews", subset: "v1", weight: 90, port: 80 },
            requestHeaders: { set: [["a", "b"]], remove: ["c"] },
            failover: [{ service: null, missingStatus: 500 }],
          },
        ],
      },
      rewrite: { path: { kind: "regex", pattern: "a", substitution: "\\1" }, authority: "x" },
      cors: {
        ...{ allowOrigins: [{ kind: "exact", value: "*" }], allowMethods: ["GET"] },
        ...{ allowHeaders: [], exposeHeaders: [], maxAgeSeconds: -1 },
        ...{ allowCredentials: false, forwardUnmatched: true },
      },
      timeouts: { requestMs: 0, idleMs: 5 },
      retry: {
        ...{ attempts: 2, perTryMs: 100, on: ["5xx", "reset"], statuses: [[500, 503]] },
        ...{ backoff: { baseMs: 25, maxMs: 250 }, unsafe: false, avoidTried: true, bodyBytes: 1 },
      },
      fault: { delay: { ms: 5, percent: 0.5 }, abort: { status: 418, percent: 100 } },
      mirrors: [{ backend: { service: "shop/shadow" }, percent: 10 }],
      rateLimits: [
        {
          ...{ name: "n", requests: 1, periodMs: 1_000, burst: 1, per: [{ kind: "source" }] },
          ...{ matches: [{}], overrides: [{ sources: ["a/b"], requests: 2 }] },
        },
      ],
    },
    {
      name: "old",
      matches: [],
      action: { kind: "redirect", redirect: { status: 308, port: "default", scheme: "https" } },
    },
    { name: "", matches: [], action: { kind: "respond", status: 204, body: "" } },
  ],
};

const policy: TrafficPolicy = {
  source: "DestinationRule shop/reviews",
  createdMs: 2,
  service: "shop/reviews",
  namespace: "shop",
  root: false,
  clients: null,
  settings: {
    balancer: {
      policy: "ring-hash",
      hashOn: { kind: "cookie", name: "c", ttlSeconds: 60, path: "/" },
      slowStartMs: 30_000,
      slowStartMinPercent: 20,
      slowStartAggression: 1.5,
    },
    connections: { maxConnections: 1, maxPending: 1, tcpKeepalive: { idleMs: 60_000 } },
    outlier: {
      ...{ consecutive5xx: 5, consecutiveGateway: 0, consecutiveLocal: 5, splitLocalErrors: true },
      ...{ intervalMs: 10_000, baseEjectionMs: 30_000, maxEjectionMs: 300_000 },
      ...{ maxEjectionPercent: 10, minHealthPercent: 0 },
      successRate: { minHosts: 5, minRequests: 100, stdevFactor: 1.9 },
      failurePercentage: { percent: 85, minHosts: 5, minRequests: 50 },
      latency: { factor: 3, minMs: 100, minHosts: 3 },
    },
    accrual: {
      ...{ maxFailures: 7, minPenaltyMs: 1_000, maxPenaltyMs: 60_000, jitterRatio: 0.5 },
      successRate: { threshold: 0.8, windowMs: 30_000, minRequests: 5 },
    },
    retryBudget: { ratio: 0.2, minPerSecond: 10, ttlMs: 10_000, minConcurrent: 3 },
    locality: {
      ...{ enabled: true, failoverPriority: ["topology.kubernetes.io/region"] },
      distribute: [{ from: "r/z/*", to: { "r/z/*": 80, "r/y/*": 20 } }],
      failover: [{ from: "r1", to: "r2" }],
    },
    concurrency: { minLimit: 1, maxLimit: 100 },
    mtls: "disable",
  },
  ports: { "80": { timeouts: { requestMs: 1 } } },
  subsets: [{ name: "v1", labels: { version: "v1" }, settings: {}, ports: { "80": {} } }],
};

const scope: ClientScope = {
  ...{ source: "Sidecar shop/default", createdMs: 3, namespace: "shop", labels: { app: "web" } },
  ...{ egress: ["./*", "istio-system/*"], outside: "refuse" },
};

test("routes, traffic policies and scopes come through their schemas as they are", () => {
  assert.deepEqual(routeSchema.parse(JSON.parse(JSON.stringify(table))), table);
  assert.deepEqual(trafficSchema.parse(JSON.parse(JSON.stringify(policy))), policy);
  assert.deepEqual(scopeSchema.parse(JSON.parse(JSON.stringify(scope))), scope);
});

test("a table that no daemon can act on is not read", () => {
  const [first] = table.rules;
  const broken = [
    { ...table, protocol: "udp" },
    { ...table, rules: [{ ...first, matches: [{ path: { kind: "glob", value: "*" } }] }] },
    { ...table, rules: [{ ...first, action: { kind: "drop" } }] },
    { ...table, port: 70_000 },
  ];
  for (const each of broken) assert.equal(routeSchema.safeParse(each).success, false);
});

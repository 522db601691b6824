import * as z from "zod";
import { TRANSLATED_KINDS } from "../dialects/translator.ts";
import { balancerSchema } from "./balancer-schema.ts";
import { policySchema } from "./policy-schema.ts";
import type { RecordKind, StoredRecord } from "./records.ts";
import { routeSchema } from "./route-schema.ts";
import { scopeSchema, trafficSchema } from "./traffic-schema.ts";

/** The shapes of the model's records, as they stand in the store, on the wire and in the snapshot file. */
const strings = z.record(z.string(), z.string());
const revision = z.number().int().min(0);
const protocol = z.enum(["http", "http2", "grpc", "tls", "tcp"]);
const health = z.enum(["passing", "warning", "critical"]);

export const serviceSchema = z.object({
  name: z.string(),
  namespace: z.string(),
  addresses: z.array(z.string()),
  ports: z.array(
    z.object({ name: z.string(), port: z.number(), protocol: z.exactOptional(protocol) }),
  ),
  protocol: z.exactOptional(protocol),
  balancer: balancerSchema,
  meta: strings,
  mtls: z.exactOptional(z.literal("required")),
  hosts: z.exactOptional(z.array(z.string())),
  exportTo: z.exactOptional(z.array(z.string())),
  originalDestination: z.exactOptional(z.literal(true)),
});

export const endpointSchema = z.object({
  id: z.string(),
  service: z.string(),
  namespace: z.string(),
  address: z.string(),
  port: z.number(),
  portName: z.string(),
  weight: z.number(),
  zone: z.string(),
  host: z.string(),
  meta: strings,
  protocol: z.exactOptional(protocol),
  health,
  region: z.exactOptional(z.string()),
  resolve: z.exactOptional(z.literal("dns")),
  outside: z.exactOptional(z.literal(true)),
  workload: z.exactOptional(z.string()),
  hints: z.exactOptional(
    z.object({
      zones: z.exactOptional(z.array(z.string())),
      hosts: z.exactOptional(z.array(z.string())),
    }),
  ),
});

const workloadSchema = z.object({
  name: z.string(),
  namespace: z.string(),
  serviceAccount: z.string(),
  host: z.string(),
  addresses: z.array(z.string()),
  labels: z.exactOptional(strings),
  uid: z.exactOptional(z.string()),
});

const hostSchema = z.object({
  name: z.string(),
  address: z.string(),
  meshPort: z.number().int().min(1).max(65_535),
  away: z.exactOptional(z.literal(true)),
  zone: z.exactOptional(z.string()),
  region: z.exactOptional(z.string()),
});

const trustSchema = z.object({
  trustDomain: z.string(),
  anchors: z.array(z.string()),
  issuer: z.string(),
});

/** What a resource was translated to. */
const translated = z.object({
  kind: z.enum(TRANSLATED_KINDS),
  key: z.string(),
});

const resourceSchema = z.object({
  group: z.string(),
  kind: z.string(),
  namespace: z.string(),
  name: z.string(),
  content: z.record(z.string(), z.unknown()),
  createdMs: z.number(),
  generation: z.number().int().min(1),
  warnings: z.array(z.object({ path: z.string(), message: z.string() })),
  records: z.array(translated),
  provides: z.array(z.string()),
  needs: z.array(z.string()),
});

const historySchema = z.object({
  group: z.string(),
  kind: z.string(),
  namespace: z.string(),
  name: z.string(),
  revisions: z.array(
    z.object({
      generation: z.number().int().min(1),
      content: z.record(z.string(), z.unknown()).nullable(),
      createdMs: z.number(),
      atMs: z.number().nullable(),
      by: z.string(),
      cause: z.enum(["applied", "removed", "rolled back"]),
    }),
  ),
});

const probe = {
  intervalMs: z.number().min(1),
  timeoutMs: z.number().min(1),
  successBeforePassing: z.number().min(1),
  failuresBeforeWarning: z.number().min(1),
  failuresBeforeCritical: z.number().min(1),
};

const checkSpecSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("ttl"), ttlMs: z.number().min(1) }),
  z.object({
    kind: z.literal("http"),
    url: z.string(),
    method: z.string(),
    headers: z.record(z.string(), z.array(z.string()).readonly()),
    body: z.string(),
    followRedirects: z.boolean(),
    tlsSkipVerify: z.boolean(),
    tlsServerName: z.string(),
    ...probe,
  }),
  z.object({ kind: z.literal("tcp"), address: z.string(), port: z.number(), ...probe }),
  z.object({
    ...{ kind: z.literal("grpc"), address: z.string(), port: z.number(), service: z.string() },
    ...{ tls: z.boolean(), tlsSkipVerify: z.boolean(), tlsServerName: z.string(), ...probe },
  }),
]);

export const storedCheckSchema = z.object({
  id: z.string(),
  host: z.string(),
  endpoint: z.string(),
  name: z.string(),
  notes: z.string(),
  spec: checkSpecSchema,
  deregisterMs: z.number().min(0),
  status: health,
  output: z.string(),
});

/** Until version 0.1 resources were translated to nothing but policies, whose keys alone stood there. */
function withRecords(stored: unknown): unknown {
  if (typeof stored !== "object" || stored === null || !("policies" in stored)) return stored;
  const { policies, ...rest } = stored;
  const keys = z.array(z.string()).parse(policies);
  return { ...rest, records: keys.map((key) => ({ kind: "policy", key })) };
}

/** Key of the resource that brought the record; absent: it was registered. */
const resource = z.exactOptional(z.string());

const storedSchemas = {
  service: z.object({ service: serviceSchema, declared: z.boolean(), resource }),
  endpoint: z.object({
    endpoint: endpointSchema,
    instance: z.string(),
    tags: z.array(z.string()),
    weights: z.object({ passing: z.number(), warning: z.number() }),
    resource,
  }),
  workload: workloadSchema,
  check: storedCheckSchema,
  host: hostSchema,
  trust: trustSchema,
  resource: z.preprocess(withRecords, resourceSchema),
  history: historySchema,
  policy: policySchema,
  route: routeSchema,
  traffic: trafficSchema,
  scope: scopeSchema,
};

/** What is wrong with a value of this kind; null: it can be stored, and read back. */
export function problemOf(kind: RecordKind, value: unknown): string | null {
  const { error } = storedSchemas[kind].safeParse(value);
  return error === undefined ? null : z.prettifyError(error);
}

/** Every kind that a store holds. */
export const recordKind = z.enum(Object.keys(storedSchemas) as [RecordKind, ...RecordKind[]]);

const versioned = { key: z.string(), version: revision };

/** A change as daemons receive it. */
export const versionedChangeSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("service"), ...versioned, value: serviceSchema.nullable() }),
  z.object({ kind: z.literal("endpoint"), ...versioned, value: endpointSchema.nullable() }),
  z.object({ kind: z.literal("workload"), ...versioned, value: workloadSchema.nullable() }),
  z.object({ kind: z.literal("host"), ...versioned, value: hostSchema.nullable() }),
  z.object({ kind: z.literal("trust"), ...versioned, value: trustSchema.nullable() }),
  z.object({ kind: z.literal("policy"), ...versioned, value: policySchema.nullable() }),
  z.object({ kind: z.literal("route"), ...versioned, value: routeSchema.nullable() }),
  z.object({ kind: z.literal("traffic"), ...versioned, value: trafficSchema.nullable() }),
  z.object({ kind: z.literal("scope"), ...versioned, value: scopeSchema.nullable() }),
]);

/** A row of a store's file: its value still JSON. */
export interface RawRecord {
  readonly kind: RecordKind;
  readonly key: string;
  readonly revision: number;
  readonly created: number;
  readonly json: string;
}

/** Reads a stored record back. Throws, naming the record, where it is not what this version writes. */
export function decodeRecord({ kind, key, revision, created, json }: RawRecord): StoredRecord {
  try {
    const value: unknown = JSON.parse(json);
    const facts = { key, revision, created };
    switch (kind) {
      case "service":
        return { kind, ...facts, value: storedSchemas.service.parse(value) };
      case "endpoint":
        return { kind, ...facts, value: storedSchemas.endpoint.parse(value) };
      case "workload":
        return { kind, ...facts, value: storedSchemas.workload.parse(value) };
      case "check":
        return { kind, ...facts, value: storedSchemas.check.parse(value) };
      case "host":
        return { kind, ...facts, value: storedSchemas.host.parse(value) };
      case "trust":
        return { kind, ...facts, value: storedSchemas.trust.parse(value) };
      case "resource":
        return { kind, ...facts, value: storedSchemas.resource.parse(value) };
      case "history":
        return { kind, ...facts, value: storedSchemas.history.parse(value) };
      case "policy":
        return { kind, ...facts, value: storedSchemas.policy.parse(value) };
      case "route":
        return { kind, ...facts, value: storedSchemas.route.parse(value) };
      case "traffic":
        return { kind, ...facts, value: storedSchemas.traffic.parse(value) };
      case "scope":
        return { kind, ...facts, value: storedSchemas.scope.parse(value) };
    }
  } catch (cause) {
    throw new Error(`the stored ${kind} ${key} cannot be read`, { cause });
  }
}

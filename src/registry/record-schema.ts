import * as z from "zod";
import { BALANCER_POLICIES } from "../core/model.ts";
import { policySchema } from "./policy-schema.ts";
import type { RecordKind, StoredRecord } from "./records.ts";

/** The shapes of the model's records, as they stand in the store, on the wire and in the snapshot file. */
const strings = z.record(z.string(), z.string());
const revision = z.number().int().min(0);
const protocol = z.enum(["http", "http2", "grpc", "tls", "tcp"]);
const health = z.enum(["passing", "warning", "critical"]);
const hashOn = z.union([
  z.object({ kind: z.enum(["header", "cookie"]), name: z.string() }),
  z.object({ kind: z.literal("source") }),
]);

const serviceSchema = z.object({
  name: z.string(),
  namespace: z.string(),
  addresses: z.array(z.string()),
  ports: z.array(
    z.object({ name: z.string(), port: z.number(), protocol: z.exactOptional(protocol) }),
  ),
  protocol: z.exactOptional(protocol),
  balancer: z.object({
    policy: z.enum(BALANCER_POLICIES),
    hashOn: z.exactOptional(hashOn),
    slowStartMs: z.number().min(0),
  }),
  meta: strings,
  mtls: z.exactOptional(z.literal("required")),
});

const endpointSchema = z.object({
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
});

const workloadSchema = z.object({
  name: z.string(),
  namespace: z.string(),
  serviceAccount: z.string(),
  host: z.string(),
  addresses: z.array(z.string()),
  labels: z.exactOptional(strings),
});

const hostSchema = z.object({
  name: z.string(),
  address: z.string(),
  meshPort: z.number().int().min(1).max(65_535),
});

const trustSchema = z.object({
  trustDomain: z.string(),
  anchors: z.array(z.string()),
  issuer: z.string(),
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
  policies: z.array(z.string()),
  provides: z.array(z.string()),
  needs: z.array(z.string()),
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

const storedSchemas = {
  service: z.object({ service: serviceSchema, declared: z.boolean() }),
  endpoint: z.object({
    endpoint: endpointSchema,
    instance: z.string(),
    tags: z.array(z.string()),
    weights: z.object({ passing: z.number(), warning: z.number() }),
  }),
  workload: workloadSchema,
  check: storedCheckSchema,
  host: hostSchema,
  trust: trustSchema,
  resource: resourceSchema,
  policy: policySchema,
};

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
      case "policy":
        return { kind, ...facts, value: storedSchemas.policy.parse(value) };
    }
  } catch (cause) {
    throw new Error(`the stored ${kind} ${key} cannot be read`, { cause });
  }
}

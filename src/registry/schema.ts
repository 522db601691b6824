import * as z from "zod";
import { parseHostPort } from "../core/address.ts";
import {
  BALANCER_POLICIES,
  type BalancerConfig,
  DEFAULT_NAMESPACE,
  type Workload,
} from "../core/model.ts";
import {
  addressField,
  grpcTargetField,
  headersField,
  healthField,
  hostField,
  idField,
  labelsField,
  metaField,
  methodField,
  nameField,
  namespaceField,
  portField,
  portNameField,
  protocolField,
  tagsField,
  textField,
  urlField,
  weightField,
} from "./fields.ts";
import type { CheckInput, EndpointInput, ServiceInput } from "./inputs.ts";

/** Bodies of the registry's own API. Unknown fields are refused: a misspelt one must not pass for a default. */
const hashName = z.string().min(1).max(128);
const hashOn = z.union([
  z.strictObject({ kind: z.enum(["header", "query"]), name: hashName }),
  z.strictObject({
    kind: z.literal("cookie"),
    name: hashName,
    ttlSeconds: z.exactOptional(z.number().int().min(0)),
    path: z.exactOptional(z.string().min(1).max(1_024)),
  }),
  z.strictObject({ kind: z.literal("source") }),
]);

const servicePort = z.strictObject({
  name: portNameField.default(""),
  port: portField,
  protocol: z.exactOptional(protocolField),
});

export const serviceBody = z.strictObject({
  addresses: z.array(addressField).max(16).default([]),
  ports: z
    .array(servicePort)
    .max(64)
    .default([])
    .refine((ports) => new Set(ports.map((each) => each.name)).size === ports.length, {
      message: "port names must be unique",
    }),
  protocol: protocolField.optional(),
  balancer: z
    .strictObject({
      policy: z.enum(BALANCER_POLICIES).optional(),
      hashOn: hashOn.optional(),
      slowStartMs: z.number().int().min(0).optional(),
    })
    .default({}),
  meta: metaField.default({}),
  /** `required`: callers use mutual TLS between hosts or fail. */
  mtls: z.literal("required").optional(),
});

const intervalMs = z.number().int().min(100).max(86_400_000);
const probe = {
  intervalMs: intervalMs.default(10_000),
  timeoutMs: intervalMs.default(10_000),
  successBeforePassing: z.number().int().min(1).max(1_000).default(1),
  failuresBeforeWarning: z.number().int().min(1).max(1_000).optional(),
  failuresBeforeCritical: z.number().int().min(1).max(1_000).default(1),
};
const common = {
  id: idField.optional(),
  name: textField.optional(),
  notes: textField.default(""),
  status: healthField.default("critical"),
  deregisterMs: z.number().int().min(0).max(2_592_000_000).default(0),
};

const ttlCheck = z.strictObject({ ...common, ttlMs: intervalMs });
const httpCheck = z.strictObject({
  ...common,
  ...probe,
  http: urlField,
  method: methodField.default("GET"),
  headers: headersField.default({}),
  body: textField.default(""),
  followRedirects: z.boolean().default(false),
  tlsSkipVerify: z.boolean().default(false),
  tlsServerName: z.string().max(253).default(""),
});
const tcpCheck = z.strictObject({
  ...common,
  ...probe,
  tcp: z.string().refine((text) => parseHostPort(text, 0)?.port, { message: "must be HOST:PORT" }),
});

const grpcCheck = z.strictObject({
  ...common,
  ...probe,
  grpc: grpcTargetField,
  tls: z.boolean().default(false),
  tlsSkipVerify: z.boolean().default(false),
  tlsServerName: z.string().max(253).default(""),
});

const check = z.union([ttlCheck, httpCheck, tcpCheck, grpcCheck]).transform(toCheckInput);

export const endpointBody = z.strictObject({
  service: nameField,
  namespace: namespaceField.default(DEFAULT_NAMESPACE),
  address: addressField,
  port: portField,
  portName: portNameField.default(""),
  weight: weightField.default(1),
  /** Share while a check warns; absent: as `weight`. */
  warningWeight: weightField.optional(),
  zone: z.string().max(128).default(""),
  meta: metaField.default({}),
  tags: tagsField.default([]),
  protocol: protocolField.optional(),
  checks: z.array(check).max(32).default([]),
});

export const workloadBody = z.strictObject({
  serviceAccount: nameField.default("default"),
  host: hostField.optional(),
  addresses: z.array(addressField).min(1).max(16),
  labels: labelsField.optional(),
  uid: z.string().min(1).max(128).optional(),
});

const named = { name: nameField, namespace: namespaceField.default(DEFAULT_NAMESPACE) };

/** `POST /v1/mesh/apply`. */
export const applyBody = z.strictObject({
  services: z.array(serviceBody.extend(named)).max(10_000).default([]),
  endpoints: z
    .array(endpointBody.extend({ id: idField, host: hostField.optional() }))
    .max(20_000)
    .default([]),
  workloads: z.array(workloadBody.extend(named)).max(10_000).default([]),
});

/** One result of a check, as daemons report it over HTTP or the watch. */
export const checkResult = z.strictObject({
  /** `host/check-id`. */
  check: z.string().min(1).max(600),
  status: healthField,
  output: z.string().max(8_192).default(""),
});
export type CheckResult = z.infer<typeof checkResult>;

/** `PUT /v1/mesh/health`. */
export const healthBody = z.strictObject({
  host: hostField,
  results: z.array(checkResult).max(1_000),
});

function toCheckInput(
  input: z.infer<typeof ttlCheck | typeof httpCheck | typeof tcpCheck | typeof grpcCheck>,
): CheckInput {
  const { id, name, notes, status, deregisterMs } = input;
  const facts = { id, name, notes, status, deregisterMs };
  if ("ttlMs" in input) return { ...facts, spec: { kind: "ttl", ttlMs: input.ttlMs } };
  const { intervalMs: every, timeoutMs, successBeforePassing, failuresBeforeCritical } = input;
  const timing = {
    intervalMs: every,
    timeoutMs,
    successBeforePassing,
    failuresBeforeWarning: input.failuresBeforeWarning ?? failuresBeforeCritical,
    failuresBeforeCritical,
  };
  if ("tcp" in input) {
    const { host, port } = parseHostPort(input.tcp, 0) ?? { host: "", port: 0 };
    return { ...facts, spec: { kind: "tcp", address: host, port, ...timing } };
  }
  if ("grpc" in input) {
    const { grpc, tls, tlsSkipVerify, tlsServerName } = input;
    return {
      ...facts,
      spec: { kind: "grpc", ...grpc, tls, tlsSkipVerify, tlsServerName, ...timing },
    };
  }
  const { http: url, method, headers, body, followRedirects, tlsSkipVerify, tlsServerName } = input;
  const request = { url, method, headers, body, followRedirects, tlsSkipVerify, tlsServerName };
  return { ...facts, spec: { kind: "http", ...request, ...timing } };
}

/** A declared service from a body of our own API. */
export function toServiceInput(
  key: { readonly namespace: string; readonly name: string },
  body: z.infer<typeof serviceBody>,
  fallback: BalancerConfig,
): ServiceInput {
  const {
    policy = fallback.policy,
    slowStartMs = fallback.slowStartMs,
    hashOn: on,
  } = body.balancer;
  return {
    ...key,
    addresses: body.addresses,
    ports: body.ports,
    protocol: body.protocol,
    balancer: { policy, slowStartMs, ...(on === undefined ? {} : { hashOn: on }) },
    meta: body.meta,
    mtls: body.mtls,
  };
}

/** An endpoint from a body of our own API. */
export function toEndpointInput(
  place: { readonly host: string; readonly instance: string },
  body: z.infer<typeof endpointBody>,
): EndpointInput {
  const { weight, warningWeight = weight, ...rest } = body;
  return {
    ...rest,
    ...place,
    protocol: body.protocol,
    weights: { passing: weight, warning: warningWeight },
    replaceChecks: true,
    implied: {
      ...{ protocol: body.protocol, policy: undefined, mtls: undefined },
      ...{ port: undefined, addresses: [] },
    },
  };
}

/** A workload from a body of our own API. */
export function toWorkload(
  key: { readonly namespace: string; readonly name: string },
  body: z.infer<typeof workloadBody>,
  ownHost: string,
): Workload {
  const { serviceAccount, addresses, host = ownHost, labels, uid } = body;
  const { name, namespace } = key;
  return {
    ...{ name, namespace, serviceAccount, host, addresses },
    ...(labels === undefined ? {} : { labels }),
    ...(uid === undefined ? {} : { uid }),
  };
}

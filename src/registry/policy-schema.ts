import * as z from "zod";

/** The shapes of `src/core/policy.ts`, as they stand in the store, on the wire and in the snapshot file. */
const strings = z.array(z.string());
const lists = z.exactOptional(strings);
const ports = z.exactOptional(z.array(z.number().int().min(1).max(65_535)));
const mode = z.enum(["strict", "permissive", "disable", "unset"]);

const base = {
  source: z.string(),
  createdMs: z.number(),
  scope: z.object({
    namespace: z.string().nullable(),
    labels: z.record(z.string(), z.string()),
    serviceAccount: z.exactOptional(z.string()),
    service: z.exactOptional(z.string()),
    exceptServices: lists,
  }),
};

const sourceMatch = z.object({
  principals: lists,
  notPrincipals: lists,
  namespaces: lists,
  notNamespaces: lists,
  serviceAccounts: lists,
  notServiceAccounts: lists,
  trustDomains: lists,
  notTrustDomains: lists,
  ipBlocks: lists,
  notIpBlocks: lists,
  remoteIpBlocks: lists,
  notRemoteIpBlocks: lists,
  requestPrincipals: lists,
  notRequestPrincipals: lists,
});

const operationMatch = z.object({
  hosts: lists,
  notHosts: lists,
  ports,
  notPorts: ports,
  methods: lists,
  notMethods: lists,
  paths: lists,
  notPaths: lists,
  pathRegexes: lists,
  headerRegexes: z.exactOptional(z.record(z.string(), z.string())),
});

const rule = z.object({
  from: z.array(sourceMatch),
  to: z.array(operationMatch),
  when: z.array(z.object({ key: z.string(), values: strings, notValues: strings })),
});

const effect = z.enum(["allow", "deny"]);

const jwtRule = z.object({
  issuer: z.string(),
  audiences: strings,
  jwks: z.string().nullable(),
  jwksUri: z.string(),
  timeoutMs: z.number().int().min(1),
  places: z.object({
    headers: z.array(z.object({ name: z.string(), prefix: z.string() })),
    params: strings,
    cookies: strings,
  }),
  forwardOriginalToken: z.boolean(),
  outputPayloadToHeader: z.string(),
  outputClaimToHeaders: z.array(z.object({ header: z.string(), claim: z.string() })),
});

export const policySchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("peer"),
    ...base,
    mode,
    ports: z.record(z.string(), mode),
  }),
  z.object({
    kind: z.literal("authorization"),
    ...base,
    action: z.enum(["allow", "deny", "audit"]),
    dryRun: z.boolean(),
    rules: z.array(rule),
  }),
  z.object({
    kind: z.literal("intentions"),
    ...base,
    rules: z.array(rule.extend({ effect })),
    otherwise: effect,
  }),
  z.object({
    kind: z.literal("request-authentication"),
    ...base,
    rules: z.array(jwtRule),
  }),
]);

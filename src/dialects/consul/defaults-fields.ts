import { isIP } from "node:net";
import * as z from "zod";
import { namespaceName } from "../envelope.ts";
import { regexField } from "../regex-field.ts";
import { differently, honoured, ineffective, refused } from "../support.ts";
import { portField } from "../value-fields.ts";
import { goDuration, only } from "./chain-fields.ts";
import { configEntryKind } from "./config-entry.ts";
import { pathText, unset } from "./http-fields.ts";
import { partitionField, serviceName } from "./intention-fields.ts";

const MAX_OVERRIDES = 128;
const MAX_ROUTES = 64;
const SIDECARS = "there are no sidecar proxies: each host has one";
const CAPTURE = "what is captured, the daemon's settings say";
const ENVOYS = "this is not Envoy";
const FOUND_OUT =
  "the protocol is found out from a connection's first bytes, or said by the registration (`protocol`)";

const count = z.number().int().min(0).max(1_000_000);

/** Absent where it is 0: Consul takes that for what is not set. */
const milliseconds = z
  .number()
  .int()
  .min(0)
  .max(86_400_000)
  .transform((ms) => (ms === 0 ? undefined : ms));

const limitsField = z.strictObject({
  maxConnections: honoured(count, "of all workloads of a host together").optional(),
  maxPendingRequests: honoured(count, "of all workloads of a host together").optional(),
  maxConcurrentRequests: honoured(count, "of all workloads of a host together").optional(),
});

const passiveHealthCheckField = z.strictObject({
  interval: honoured(goDuration, "default: 10s").optional(),
  maxFailures: honoured(count, "default: 5").optional(),
  enforcingConsecutive5xx: differently(
    z.number().int().min(0).max(100),
    "0 switches ejection for failures in a row off, all else is 100",
  ).optional(),
  maxEjectionPercent: honoured(z.number().int().min(0).max(100), "default: 10").optional(),
  baseEjectionTime: honoured(goDuration, "default: 30s").optional(),
});

const upstream = {
  protocol: ineffective(z.string(), FOUND_OUT),
  meshGateway: ineffective(z.unknown(), "there are no mesh gateways"),
  envoyListenerJSON: refused(ENVOYS),
  envoyClusterJSON: refused(ENVOYS),
  balanceOutboundConnections: ineffective(z.string(), SIDECARS),
};

const overrideField = z.strictObject({
  name: honoured(serviceName),
  namespace: honoured(z.union([unset, namespaceName]), "default: the entry's").optional(),
  partition: partitionField,
  peer: only("there are no peers"),
  connectTimeoutMs: honoured(milliseconds).optional(),
  limits: limitsField.optional(),
  passiveHealthCheck: passiveHealthCheckField.optional(),
  ...upstream,
});
export type Override = z.infer<typeof overrideField>;

const FOR_ALL =
  "it says what one caller does with all of its upstreams; here settings are those of a service for all its callers: name the upstreams under overrides";
const defaultsField = z.strictObject({
  name: ineffective(z.literal(""), "defaults have no name"),
  connectTimeoutMs: ineffective(z.unknown(), FOR_ALL),
  limits: ineffective(z.unknown(), FOR_ALL),
  passiveHealthCheck: ineffective(z.unknown(), FOR_ALL),
  ...upstream,
});

const perSecond = z.number().int().min(1).max(10_000_000);
const burst = honoured(perSecond, "default: `requestsPerSecond`").optional();
const rateRouteField = z
  .strictObject({
    pathExact: honoured(z.union([unset, pathText])).optional(),
    pathPrefix: honoured(z.union([unset, pathText])).optional(),
    pathRegex: honoured(z.union([unset, regexField]), "RE2 syntax, for the whole path").optional(),
    requestsPerSecond: honoured(perSecond),
    requestsMaxBurst: burst,
  })
  .refine(
    ({ pathExact, pathPrefix, pathRegex }) =>
      [pathExact, pathPrefix, pathRegex].filter(Boolean).length === 1,
    { message: "give one of pathExact, pathPrefix and pathRegex" },
  );

const PER_HOST = "for all instances of a host together";
const instanceLevelField = z
  .strictObject({
    requestsPerSecond: differently(
      perSecond,
      `${PER_HOST}; requests that a route names count too`,
    ).optional(),
    requestsMaxBurst: burst,
    routes: z.array(rateRouteField).max(MAX_ROUTES).optional(),
  })
  .superRefine(({ requestsPerSecond, requestsMaxBurst, routes = [] }, context) => {
    const refuse = (message: string) => context.addIssue({ code: "custom", message });
    if (requestsPerSecond === undefined && routes.length === 0) {
      refuse("give requestsPerSecond, or routes");
    }
    if (requestsPerSecond === undefined && requestsMaxBurst !== undefined) {
      refuse("requestsMaxBurst needs requestsPerSecond");
    }
  });
export type InstanceLevel = z.infer<typeof instanceLevelField>;

export const mutualTlsField = differently(
  z.literal(["", "strict", "permissive"]),
  "`strict` and `permissive` as Istio's PeerAuthentication has them; without it that is asked, where Consul means `strict`",
);

const addressField = z
  .string()
  .max(253)
  .refine((text) => isIP(text) !== 0 || isHostName(text), "must be an IP address or a host name");

function isHostName(text: string): boolean {
  return /^(?=.*[a-z])[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i.test(text);
}

/** Absent where it is empty, which is how Consul writes what is not set. */
export const protocolField = differently(
  z
    .literal(["", "tcp", "http", "http2", "grpc"])
    .transform((protocol) => (protocol === "" ? undefined : protocol)),
  "where the registration declares none; without it, it is found out from a connection's first bytes, where Consul means `tcp`",
).optional();

const destinationField = z.strictObject({
  addresses: differently(
    z
      .array(addressField)
      .min(1, "must have at least one address")
      .max(32)
      .refine((list) => new Set(list).size === list.length, "an address is given twice"),
    "each host dials them itself, without a terminating gateway; names are resolved there",
  ),
  port: honoured(portField),
});
export type Destination = z.infer<typeof destinationField>;

/** Fields that service-defaults and proxy-defaults share. */
export const commonDefaults = {
  mode: ineffective(z.string(), CAPTURE),
  transparentProxy: ineffective(z.unknown(), CAPTURE),
  mutualTLSMode: mutualTlsField.optional(),
  meshGateway: ineffective(z.unknown(), "there are no mesh gateways"),
  expose: ineffective(z.unknown(), "health checks reach the instances without a detour"),
  envoyExtensions: refused(`${ENVOYS}, and has none of its extensions`),
};

/** Consul's service-defaults: what holds for a service, and for the upstreams of one. */
export const serviceDefaultsKind = configEntryKind({
  kind: "service-defaults",
  resourceKind: "ServiceDefaults",
  fields: {
    protocol: protocolField,
    ...commonDefaults,
    externalSNI: refused("there are no terminating gateways"),
    maxInboundConnections: ineffective(
      count,
      "limits are kept where calls come from: upstreamConfig.overrides[].limits.maxConnections",
    ),
    balanceInboundConnections: ineffective(z.string(), SIDECARS),
    localConnectTimeoutMs: differently(
      milliseconds,
      "of the caller's host, where no resolver and no override says another",
    ).optional(),
    localRequestTimeoutMs: differently(
      milliseconds,
      "kept by the caller's host, where no resolver says another",
    ).optional(),
    rateLimits: z.strictObject({ instanceLevel: instanceLevelField.optional() }).optional(),
    upstreamConfig: z
      .strictObject({
        defaults: defaultsField.optional(),
        overrides: z.array(overrideField).max(MAX_OVERRIDES).optional(),
      })
      .optional(),
    destination: destinationField.optional(),
  },
  check({ upstreamConfig, destination }, context) {
    if (upstreamConfig === undefined || destination === undefined) return;
    const message = "cannot stand beside upstreamConfig";
    context.addIssue({ code: "custom", path: ["destination"], message });
  },
});
export type ServiceDefaults = NonNullable<ReturnType<typeof serviceDefaultsKind.read>>["fields"];

import * as z from "zod";
import { differently, honoured, ineffective } from "../support.ts";
import {
  goDuration,
  noSamenessGroup,
  remoteFields,
  subsetName,
  targetFields,
} from "./chain-fields.ts";
import { configEntryKind } from "./config-entry.ts";
import { unset } from "./http-fields.ts";
import { labelsOfFilter } from "./subset-filter.ts";

const MAX_SUBSETS = 64;
const MAX_TARGETS = 32;
const ENVOYS = "a setting of Envoy's balancer";

const filterField = z
  .string()
  .max(2_048)
  .transform((filter, context) => {
    const found = labelsOfFilter(filter);
    if ("labels" in found) return found.labels;
    context.addIssue({ code: "custom", message: found.reason });
    return z.NEVER;
  });

const subsetField = z.strictObject({
  filter: differently(
    filterField,
    "equalities of `Service.Meta`, joined by `and`; others are refused",
  ).default({}),
  onlyPassing: ineffective(
    z.boolean(),
    "an instance in warning has the weight for it: give the instances `Weights: {Warning: 0}`",
  ),
});

const redirectField = z
  .strictObject({ ...targetFields, ...remoteFields, samenessGroup: noSamenessGroup })
  .superRefine(({ service, serviceSubset, namespace }, context) => {
    const refuse = (message: string) => context.addIssue({ code: "custom", message });
    if (service !== undefined) return;
    if (serviceSubset !== undefined) refuse("serviceSubset needs a service");
    else if (namespace !== undefined) refuse("namespace needs a service");
    else refuse("names no place to go to");
  });

const failoverTarget = z.strictObject({ ...targetFields, ...remoteFields });
const failoverField = z
  .strictObject({
    service: targetFields.service,
    serviceSubset: targetFields.serviceSubset,
    namespace: targetFields.namespace,
    datacenters: differently(
      z.array(z.never({ error: "there is one datacenter: name services under targets" })),
      "refused: there is one datacenter",
    ).optional(),
    targets: z.array(failoverTarget).max(MAX_TARGETS).optional(),
    samenessGroup: noSamenessGroup,
    policy: z
      .strictObject({
        mode: differently(
          z.literal(["", "default"], {
            error: "only default: targets are tried as they are listed",
          }),
          "only `default`: targets are tried as they are listed",
        ).optional(),
        regions: ineffective(
          z.array(z.string()),
          "for the mode order-by-locality, which is refused",
        ),
      })
      .optional(),
  })
  .superRefine(({ service, serviceSubset, namespace, targets = [] }, context) => {
    const refuse = (message: string) => context.addIssue({ code: "custom", message });
    const given = [service, serviceSubset, namespace].some((each) => each !== undefined);
    if (given && targets.length > 0) refuse("give targets, or one service with its subset");
    if (!given && targets.length === 0) refuse("give a service, a subset or targets");
  });

const hashPolicyField = z
  .strictObject({
    field: honoured(z.literal(["", "header", "cookie", "query_parameter"])).optional(),
    fieldValue: honoured(z.string().max(256)).optional(),
    cookieConfig: z
      .strictObject({
        session: honoured(z.boolean()).optional(),
        ttl: honoured(goDuration).optional(),
        path: honoured(z.string().max(1_024)).optional(),
      })
      .optional(),
    sourceIP: honoured(z.boolean()).optional(),
    terminal: ineffective(z.boolean(), "one policy is used, so that it is always the last"),
  })
  .superRefine(({ field, fieldValue, cookieConfig, sourceIP }, context) => {
    const refuse = (message: string) => context.addIssue({ code: "custom", message });
    if (sourceIP === true && (field || fieldValue)) refuse("sourceIP cannot stand beside field");
    if (sourceIP !== true && !field) refuse("give field, or sourceIP: true");
    if (field && !fieldValue) refuse("field needs fieldValue, the name of what is hashed");
    if (cookieConfig !== undefined && field !== "cookie")
      refuse("cookieConfig needs field: cookie");
    if (cookieConfig?.session === true && cookieConfig.ttl !== undefined) {
      refuse("a cookie for the session has no ttl");
    }
  });
export type HashPolicy = z.infer<typeof hashPolicyField>;

const POLICIES = ["", "random", "round_robin", "least_request", "ring_hash", "maglev"] as const;
const loadBalancerField = z
  .strictObject({
    policy: honoured(z.literal(POLICIES), "default: the daemon's").optional(),
    leastRequestConfig: ineffective(z.unknown(), `${ENVOYS}: two endpoints are compared`),
    ringHashConfig: ineffective(z.unknown(), ENVOYS),
    hashPolicies: differently(
      z.array(hashPolicyField).max(16),
      "the first counts: `header`, `cookie` or `query_parameter` with its `fieldValue`, or `sourceIP`; where a request has it not, its source address",
    ).optional(),
  })
  .superRefine(({ policy, hashPolicies = [] }, context) => {
    if (hashPolicies.length === 0 || policy === "ring_hash" || policy === "maglev") return;
    const message = "hashPolicies need the policy ring_hash or maglev";
    context.addIssue({ code: "custom", path: ["hashPolicies"], message });
  });

/** Consul's service-resolver: subsets of a service, and where its requests go instead. */
export const serviceResolverKind = configEntryKind({
  kind: "service-resolver",
  resourceKind: "ServiceResolver",
  fields: {
    defaultSubset: honoured(z.union([unset, subsetName])).optional(),
    subsets: z
      .record(subsetName, subsetField)
      .refine((map) => Object.keys(map).length <= MAX_SUBSETS, `at most ${MAX_SUBSETS} subsets`)
      .default({}),
    redirect: redirectField.optional(),
    failover: z.record(z.union([z.literal("*"), subsetName]), failoverField).default({}),
    connectTimeout: honoured(goDuration).optional(),
    requestTimeout: honoured(
      goDuration,
      "of requests for which no route of a service-router says another",
    ).optional(),
    prioritizeByLocality: z
      .strictObject({
        mode: differently(
          z.literal(["", "none", "failover"]),
          "`failover`: the nearest instances first, also of the same host and zone",
        ).optional(),
      })
      .optional(),
    loadBalancer: loadBalancerField.optional(),
  },
  check({ defaultSubset, subsets, redirect, failover }, context) {
    const refuse = (path: PropertyKey[], message: string) =>
      context.addIssue({ code: "custom", path, message });
    const isKnown = (name: string | undefined) =>
      name === undefined || Object.hasOwn(subsets, name);
    if (!isKnown(defaultSubset)) {
      refuse(["defaultSubset"], `there is no subset ${defaultSubset} among subsets`);
    }
    const others = [defaultSubset, ...Object.keys(subsets), ...Object.keys(failover)];
    if (redirect !== undefined && others.some((each) => each !== undefined)) {
      refuse(["redirect"], "cannot stand beside defaultSubset, subsets and failover");
    }
    for (const [name, { service, serviceSubset }] of Object.entries(failover)) {
      if (name !== "*" && !isKnown(name)) {
        refuse(["failover", name], `there is no subset ${name} among subsets`);
      }
      if (service === undefined && !isKnown(serviceSubset)) {
        const message = `there is no subset ${serviceSubset} among subsets`;
        refuse(["failover", name, "serviceSubset"], message);
      }
    }
  },
});
export type ResolverFields = NonNullable<ReturnType<typeof serviceResolverKind.read>>["fields"];

import * as z from "zod";
import type { RateLimitRule } from "../../core/traffic.ts";
import { basePolicy } from "../base-policy.ts";
import { namespaceName, resourceSchema } from "../envelope.ts";
import { differently, honoured } from "../support.ts";
import { defineTranslator, type Work } from "../translator.ts";
import { textField } from "../value-fields.ts";

const SECOND_MS = 1_000;
const MAX_PER_SECOND = 10_000_000;
const MAX_OVERRIDES = 128;
const ONLY_SERVICES =
  "only a Service (group core): which workloads a Server selects is Kubernetes' knowledge, and limits are kept for services";

const limitField = z.strictObject({
  requestsPerSecond: differently(
    z.number().int().min(1).max(MAX_PER_SECOND),
    "on each host for all endpoints there together, where Linkerd counts for each pod",
  ),
});

const clientRef = z.strictObject({
  kind: differently(
    z.literal("ServiceAccount", { error: "only ServiceAccount" }),
    "only `ServiceAccount`",
  ),
  group: differently(z.literal(["", "core"]), "only `core`").optional(),
  name: honoured(textField),
  namespace: honoured(namespaceName, "default: the resource's own").optional(),
});

const overrideField = z.strictObject({
  requestsPerSecond: differently(
    z.number().int().min(1).max(MAX_PER_SECOND),
    "on each host for all clients of one override together, where Linkerd counts for each pod",
  ),
  clientRefs: z.array(clientRef).min(1, "must name a client").max(64),
});

const schema = resourceSchema(
  z
    .strictObject({
      targetRef: z.strictObject({
        kind: differently(z.literal("Service", { error: ONLY_SERVICES }), ONLY_SERVICES),
        group: differently(
          z.literal(["", "core"], { error: ONLY_SERVICES }),
          "only `core`",
        ).optional(),
        name: honoured(textField),
      }),
      total: limitField.optional(),
      identity: limitField.optional(),
      overrides: z.array(overrideField).max(MAX_OVERRIDES).optional(),
    })
    .refine(
      ({ total, identity, overrides = [] }) =>
        total !== undefined || identity !== undefined || overrides.length > 0,
      { message: "give total, identity or overrides" },
    ),
);
type Resource = z.infer<typeof schema>;

/** Linkerd's HTTPLocalRateLimitPolicy. */
export const httpLocalRateLimitPolicy = defineTranslator<Resource>({
  dialect: "Linkerd",
  group: "policy.linkerd.io",
  kind: "HTTPLocalRateLimitPolicy",
  notes: [
    "Kept where the endpoints are, whatever the caller's host; a burst may be as large as a second has requests.",
    "The caller's own limit is counted first, then `total`, so that a flood that is refused takes nothing from the others; Linkerd asks for `total` first. Callers whose identity is not proved are told apart by workload, and share one where that is not known.",
    "Of several policies for one Service the oldest counts, and the others are warned of.",
  ],
  forms: [{ versions: ["v1alpha1"], schema }],
  provides: ({ metadata, spec }) => [topicOf(metadata.namespace, spec.targetRef.name)],
  records(work) {
    const { namespace } = work.name;
    const { name } = work.resource.spec.targetRef;
    const [oldest] = work.context.about(topicOf(namespace, name));
    if (oldest !== undefined && oldest.key !== work.key) {
      const message = `no effect: ${oldest.key} is older and has the same target`;
      work.warn(["spec", "targetRef"], message);
      return [];
    }
    const settings = { rateLimits: limitsOf(work) };
    const value = basePolicy(work, { service: `${namespace}/${name}`, namespace, settings });
    return [{ kind: "traffic", value }];
  },
});

const topicOf = (namespace: string, name: string) => `rate limit of ${namespace}/${name}`;

function limitsOf(work: Work<Resource>): RateLimitRule[] {
  const { total, identity, overrides = [] } = work.resource.spec;
  const ruleOf = (part: string, requests: number): RateLimitRule => ({
    name: `${work.source} ${part}`,
    ...{ requests, periodMs: SECOND_MS, burst: requests, per: [] },
  });
  const rules = total === undefined ? [] : [ruleOf("total", total.requestsPerSecond)];
  if (identity === undefined && overrides.length === 0) return rules;
  // Whom no override names is not limited where there is no limit for identities: more than this no host serves.
  const own = ruleOf("identity", identity?.requestsPerSecond ?? MAX_PER_SECOND);
  const exceptions = overrides.map(({ requestsPerSecond, clientRefs }) => ({
    sources: clientRefs.map((ref) => `${ref.namespace ?? work.name.namespace}/${ref.name}`),
    requests: requestsPerSecond,
  }));
  const perSource = { ...own, per: [{ kind: "source" as const }] };
  return [...rules, exceptions.length === 0 ? perSource : { ...perSource, overrides: exceptions }];
}

import * as z from "zod";
import type { TrafficSettings } from "../../core/traffic.ts";
import { basePolicy } from "../base-policy.ts";
import { resourceSchema } from "../envelope.ts";
import { differently, honoured, ineffective } from "../support.ts";
import { defineTranslator, type Work } from "../translator.ts";
import { textField } from "../value-fields.ts";
import { durationField, objectName, sentName } from "./fields.ts";
import { isService, kindOf } from "./parents.ts";

const HOUR_MS = 3_600_000;

const intervalField = durationField.refine((ms) => ms >= 1_000 && ms <= HOUR_MS, {
  message: "must be at least 1s and at most 1h",
});

const retryConstraint = z.strictObject({
  budget: z
    .strictObject({
      percent: honoured(z.number().int().min(0).max(100), "default 20").default(20),
      interval: honoured(intervalField, "default 10s").default(10_000),
    })
    .default({ percent: 20, interval: 10_000 }),
  minRetryRate: z
    .strictObject({
      count: honoured(z.number().int().min(1).max(1_000_000), "default 10").default(10),
      interval: honoured(intervalField, "default 1s").default(1_000),
    })
    .default({ count: 10, interval: 1_000 }),
});

const sessionPersistence = z.strictObject({
  sessionName: honoured(sentName.max(128), "name of the cookie or the header"),
  type: differently(
    z.enum(["Cookie", "Header"]),
    "`Cookie` (default), `Header`: requests with the same value go to the same endpoint by consistent hashing; an endpoint that comes or goes moves some of them",
  ).default("Cookie"),
  absoluteTimeout: differently(durationField, "life of a permanent cookie").optional(),
  idleTimeout: ineffective(durationField, "nobody keeps a table of sessions"),
  cookieConfig: z
    .strictObject({
      lifetimeType: honoured(z.enum(["Session", "Permanent"]), "default Session").default(
        "Session",
      ),
    })
    .optional(),
});

const schema = resourceSchema(
  z.strictObject({
    targetRefs: z
      .array(
        z.strictObject({
          group: honoured(z.string().max(253), '`""` with the kind Service'),
          kind: differently(textField, "`Service`; others have no effect, and a warning says so"),
          name: honoured(objectName, "of the policy's own namespace"),
        }),
      )
      .min(1, "must not be empty")
      .max(16),
    retryConstraint: retryConstraint.optional(),
    sessionPersistence: sessionPersistence.optional(),
  }),
);
type Resource = z.infer<typeof schema>;

/** Gateway API's experimental policy for how Services are called. */
export const backendTrafficPolicy = defineTranslator<Resource>({
  dialect: "Gateway API",
  group: "gateway.networking.x-k8s.io",
  kind: "XBackendTrafficPolicy",
  notes: [
    "`retryConstraint` is a budget of each host for the Service; over it a failure is passed on instead of being retried.",
    "Holds beneath what a DestinationRule or the like says of the same Service.",
  ],
  forms: [{ versions: ["v1alpha1"], schema }],
  records(work) {
    const settings = settingsOf(work);
    const { namespace } = work.name;
    return work.resource.spec.targetRefs.flatMap(({ group, kind, name }, index) => {
      if (isService(group, kind)) {
        const value = basePolicy(work, { service: `${namespace}/${name}`, namespace, settings });
        return [{ kind: "traffic" as const, value }];
      }
      work.warn(
        ["spec", "targetRefs", index, "kind"],
        `no effect: only Services are known, no ${kindOf(group, kind)}`,
      );
      return [];
    });
  },
});

function settingsOf(work: Work<Resource>): TrafficSettings {
  const { retryConstraint: retries, sessionPersistence: sessions } = work.resource.spec;
  return {
    ...(retries === undefined ? {} : { retryBudget: budgetOf(retries) }),
    ...(sessions === undefined ? {} : { balancer: balancerOf(work, sessions) }),
  };
}

/** The least count is per its own interval, which the model has per second. */
function budgetOf({ budget, minRetryRate }: z.infer<typeof retryConstraint>) {
  return {
    ratio: budget.percent / 100,
    minPerSecond: (minRetryRate.count * 1_000) / minRetryRate.interval,
    ttlMs: budget.interval,
  };
}

function balancerOf(work: Work<Resource>, sessions: z.infer<typeof sessionPersistence>) {
  const { sessionName, type, absoluteTimeout, cookieConfig } = sessions;
  const isPermanent = cookieConfig?.lifetimeType === "Permanent";
  if (isPermanent && (absoluteTimeout === undefined || type === "Header")) {
    const reason =
      type === "Header" ? "is for the type Cookie" : "Permanent needs an absoluteTimeout";
    work.refuse(["spec", "sessionPersistence", "cookieConfig"], reason);
  }
  if (!isPermanent && absoluteTimeout !== undefined) {
    const message = "no effect: it is the life of a cookie with the lifetimeType Permanent";
    work.warn(["spec", "sessionPersistence", "absoluteTimeout"], message);
  }
  const ttlSeconds = isPermanent ? Math.ceil((absoluteTimeout ?? 0) / 1_000) : 0;
  return {
    ...work.context.balancer,
    policy: "ring-hash" as const,
    hashOn:
      type === "Header"
        ? { kind: "header" as const, name: sessionName.toLowerCase() }
        : { kind: "cookie" as const, name: sessionName, ttlSeconds, path: "/" },
  };
}

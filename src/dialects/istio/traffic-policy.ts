import * as z from "zod";
import type { RetryBudgetRule, TrafficSettings } from "../../core/traffic.ts";
import { differently, honoured, refused } from "../support.ts";
import type { Work } from "../translator.ts";
import { durationIn, portField } from "../value-fields.ts";
import { connectionPoolField, toConnectionLimits } from "./connection-pool.ts";
import { loadBalancerField, toBalancer, toLocality } from "./load-balancer.ts";
import { outlierDetectionField, toOutlierPolicy } from "./outlier-detection.ts";
import { present } from "./present.ts";

const noOrigination =
  "the mesh begins no TLS of its own to endpoints outside: let the application speak TLS (HTTPS), which is carried as it is";

const tlsField = z.strictObject({
  mode: differently(
    z.literal(["DISABLE", "ISTIO_MUTUAL"], {
      error: ({ input }) =>
        input === "SIMPLE" || input === "MUTUAL"
          ? noOrigination
          : "must be DISABLE or ISTIO_MUTUAL (SIMPLE and MUTUAL are refused)",
    }),
    `\`ISTIO_MUTUAL\`: never in the clear to another host; \`DISABLE\`: always; \`SIMPLE\` and \`MUTUAL\` are refused: ${noOrigination}`,
  ),
  clientCertificate: refused(noOrigination),
  privateKey: refused(noOrigination),
  caCertificates: refused(noOrigination),
  caCrl: refused(noOrigination),
  credentialName: refused(noOrigination),
  insecureSkipVerify: refused(noOrigination),
  sni: refused(noOrigination),
  subjectAltNames: refused(
    "identities of workloads come from the registry: an AuthorizationPolicy says who may be called by whom",
  ),
});

const settingsFields = {
  loadBalancer: loadBalancerField.optional(),
  connectionPool: connectionPoolField.optional(),
  outlierDetection: outlierDetectionField.optional(),
  tls: tlsField.optional(),
};

const portLevelField = z.strictObject({
  port: z.strictObject({ number: honoured(portField, "of the service") }),
  ...settingsFields,
});

export const trafficPolicyField = z.strictObject({
  ...settingsFields,
  portLevelSettings: z.array(portLevelField).max(64).optional(),
  retryBudget: z
    .strictObject({
      percent: differently(
        z.number().min(0).max(100),
        "of the requests within `budgetInterval`, and not of those in flight; default: 20",
      ).default(20),
      minRetryConcurrency: honoured(z.number().int().min(0).max(1_000_000), "default: 3").default(
        3,
      ),
      budgetInterval: honoured(durationIn(1), "default: 10s").default(10_000),
    })
    .optional(),
  tunnel: refused("the mesh opens no tunnels through foreign proxies"),
  proxyProtocol: refused("the PROXY protocol is not spoken to endpoints"),
});

type SettingsInput = Omit<z.infer<typeof portLevelField>, "port">;

export interface PolicySettings {
  readonly settings: TrafficSettings;
  readonly ports: Readonly<Record<string, TrafficSettings>>;
}

export function toSettings(
  policy: z.infer<typeof trafficPolicyField> | undefined,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): PolicySettings {
  const { portLevelSettings = [], retryBudget, ...rest } = policy ?? {};
  const ports: Record<string, TrafficSettings> = {};
  for (const [index, { port, ...level }] of portLevelSettings.entries()) {
    const place = [...path, "portLevelSettings", index];
    const name = String(port.number);
    if (name in ports) work.refuse([...place, "port", "number"], `${name} is given twice`);
    ports[name] = ofOneLevel(level, work, place);
  }
  const settings = ofOneLevel(rest, work, path);
  if (retryBudget === undefined) return { settings, ports };
  return { settings: { ...settings, retryBudget: toBudget(retryBudget) }, ports };
}

function ofOneLevel(
  { loadBalancer, connectionPool, outlierDetection, tls }: SettingsInput,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): TrafficSettings {
  const at = (name: string) => [...path, name];
  return present({
    balancer: loadBalancer && toBalancer(loadBalancer, work, at("loadBalancer")),
    connections: connectionPool && toConnectionLimits(connectionPool, work, at("connectionPool")),
    outlier: outlierDetection && toOutlierPolicy(outlierDetection, work, at("outlierDetection")),
    locality: loadBalancer && toLocality(loadBalancer, work, at("loadBalancer")),
    mtls: tls && (tls.mode === "DISABLE" ? ("disable" as const) : ("required" as const)),
  });
}

function toBudget(
  budget: NonNullable<z.infer<typeof trafficPolicyField>["retryBudget"]>,
): RetryBudgetRule {
  return {
    ratio: budget.percent / 100,
    minPerSecond: 0,
    ttlMs: budget.budgetInterval,
    minConcurrent: budget.minRetryConcurrency,
  };
}

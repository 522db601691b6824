import * as z from "zod";
import { isTrustDomain } from "../core/identity.ts";

/** A structure that Kubernetes defines: handed on as it is. */
const structure = (text: string) => z.record(z.string(), z.unknown()).default({}).describe(text);
const items = (text: string) =>
  z.array(z.record(z.string(), z.unknown())).default([]).describe(text);
const texts = (text: string) => z.record(z.string(), z.string()).default({}).describe(text);
const seconds = (fallback: number, text: string) =>
  z.number().int().min(1).max(3_600).default(fallback).describe(text);

/** RFC 1123 label, as namespaces are named. */
export const namespaceValue = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, "a name of a namespace");

const image = (version: string) =>
  z
    .strictObject({
      repository: z
        .string()
        .min(1)
        .default("hostmesh")
        .describe("Where your build of the image is."),
      tag: z
        .string()
        .min(1)
        .default(version)
        .describe("Its tag; not used where there is a digest."),
      digest: z
        .string()
        .regex(/^(?:sha256:[0-9a-f]{64})?$/, "sha256: and 64 hexadecimal digits")
        .default("")
        .describe("Its digest, which names the very bytes: sha256:..."),
      pullPolicy: z.enum(["IfNotPresent", "Always", "Never"]).default("IfNotPresent"),
    })
    .prefault({});

const placement = {
  nodeSelector: texts("Labels that a node must have, besides kubernetes.io/os: linux."),
  affinity: structure("Affinity of the pods."),
  podLabels: texts("More labels of the pods."),
  podAnnotations: texts("More annotations of the pods."),
  extraEnv: items("More environment variables; HOSTMESH_... are settings."),
};

const registry = z
  .strictObject({
    replicas: z
      .number()
      .int()
      .min(1)
      .max(9)
      .default(2)
      .describe("How many serve; each reads the cluster itself."),
    settings: structure(
      "Settings of the registry (docs/configuration.md). What the manifests give as options and environment variables wins.",
    ).prefault({
      kubernetes: { enrol: "labelled", recogniseLabels: [] },
      telemetry: { logFormat: "json" },
    }),
    resources: structure("Requests and limits.").prefault({
      requests: { cpu: "100m", memory: "256Mi" },
      limits: { memory: "1Gi" },
    }),
    priorityClassName: z
      .string()
      .default("system-cluster-critical")
      .describe("Priority class of the pods."),
    tolerations: items("Taints that do not keep the pods away."),
    topologySpreadConstraints: items(
      "How replicas are spread, besides one to a node where there are enough.",
    ),
    terminationGracePeriodSeconds: seconds(30, "From the wish to end a pod to its end by force."),
    podDisruptionBudget: z
      .strictObject({
        enabled: z.boolean().default(true).describe("Keep one replica while nodes are drained."),
      })
      .prefault({}),
    networkPolicy: z
      .strictObject({
        enabled: z
          .boolean()
          .default(false)
          .describe("Let only these reach the registry's TLS port."),
        from: items(
          "Peers of a NetworkPolicy: the nodes' addresses (ipBlock), as daemons come from there. Empty: all.",
        ),
      })
      .prefault({}),
    ...placement,
  })
  .prefault({});

const daemon = z
  .strictObject({
    settings: structure(
      "Settings of every daemon (docs/configuration.md). What the manifests give as options and environment variables wins.",
    ).prefault({ capture: { onDeath: "open" }, telemetry: { logFormat: "json" } }),
    user: z
      .number()
      .int()
      .min(1)
      .max(2_147_483_647)
      .default(1_000)
      .describe(
        "User and group of the data path, which has no privilege; 1000 is the image's own.",
      ),
    resources: structure(
      "Requests and limits; a limit of CPU would stall every container of the node.",
    ).prefault({
      requests: { cpu: "200m", memory: "256Mi" },
      limits: { memory: "2Gi" },
    }),
    priorityClassName: z
      .string()
      .default("system-node-critical")
      .describe("Priority class of the pods."),
    resourceQuota: z
      .strictObject({
        enabled: z
          .boolean()
          .default(true)
          .describe("Some clusters admit system priority classes only where a quota names them."),
      })
      .prefault({}),
    tolerations: items(
      "Taints that do not keep the pods away: all, as every node has workloads.",
    ).prefault([
      { operator: "Exists", effect: "NoSchedule" },
      { operator: "Exists", effect: "NoExecute" },
      { key: "CriticalAddonsOnly", operator: "Exists" },
    ]),
    maxUnavailable: z
      .union([z.number().int().min(1), z.string().regex(/^[1-9]\d?%$/, "a number or a percentage")])
      .default(1)
      .describe(
        "Nodes whose daemon is replaced at a time. A surge is impossible: both would have the same ports.",
      ),
    preStopSeconds: seconds(
      5,
      "From giving capture back to the stop: other hosts turn elsewhere meanwhile.",
    ),
    terminationGracePeriodSeconds: seconds(
      50,
      "More than preStopSeconds and timeouts.drainMs together.",
    ),
    ...placement,
  })
  .prefault({});

const monitor = (text: string) =>
  z
    .strictObject({
      enabled: z.boolean().default(false).describe(text),
      labels: texts("Labels that your Prometheus selects monitors by."),
      interval: z.string().default("30s").describe("Between scrapes."),
      scrapeTimeout: z.string().default("10s").describe("Of one scrape."),
    })
    .prefault({});

/** Every value of an installation. `version` is the program's own. */
export function valuesSchema(version: string) {
  return z.strictObject({
    image: image(version).describe("The image of both programs."),
    imagePullSecrets: items("Secrets for a private registry: [{ name: ... }]."),
    commonLabels: texts("More labels of every object."),
    captureMode: z
      .enum(["tproxy", "redirect", "explicit"])
      .default("tproxy")
      .describe(
        "How connections reach the daemon. explicit captures nothing and needs no privilege: programs use http_proxy=http://hostmesh-proxy.NAMESPACE:4140.",
      ),
    trustDomain: z
      .string()
      .refine(isTrustDomain, "a trust domain such as cluster.local")
      .default("cluster.local")
      .describe("Trust domain of all identities."),
    registry: registry.describe("The registry."),
    daemon: daemon.describe("The daemon of every node."),
    operators: z
      .strictObject({
        group: z
          .string()
          .min(1)
          .default("hostmesh-operators")
          .describe("Group whose members may read logs and forward ports of the mesh's pods."),
      })
      .prefault({})
      .describe("People who operate the mesh."),
    podMonitor: monitor(
      "PodMonitors of the Prometheus operator for daemons and registry, whose CRDs must be there.",
    ).describe("Metrics, besides the annotations prometheus.io/..."),
    prometheusRule: z
      .strictObject({
        enabled: z
          .boolean()
          .default(false)
          .describe("A PrometheusRule of the Prometheus operator, whose CRDs must be there."),
        labels: texts("Labels that your Prometheus selects rules by."),
      })
      .prefault({})
      .describe("Alerts; the same as manifests/monitoring/prometheus-rules.yaml."),
    grafanaDashboards: z
      .strictObject({
        enabled: z
          .boolean()
          .default(false)
          .describe("A ConfigMap with the dashboards, for Grafana's sidecar."),
        labels: z
          .record(z.string(), z.string())
          .default({ grafana_dashboard: "1" })
          .describe("Labels that your Grafana looks for."),
      })
      .prefault({})
      .describe("Dashboards; the same as manifests/monitoring/grafana."),
  });
}

export type Values = z.infer<ReturnType<typeof valuesSchema>>;

/** The values that hold where nobody gives any. */
export function defaultValues(version: string): Values {
  return valuesSchema(version).parse({});
}

type Tree = Readonly<Record<string, unknown>>;

export function isTree(part: unknown): part is Tree {
  return typeof part === "object" && part !== null && !Array.isArray(part);
}

/** `over` on `base`, as Helm merges values: maps entry by entry, anything else is replaced, null removes. */
export function mergeValues(base: Tree, over: Tree): Tree {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, part] of Object.entries(over)) {
    if (key === "__proto__") throw new RangeError("there is no such value");
    const below = merged[key];
    if (part === null) delete merged[key];
    else merged[key] = isTree(part) && isTree(below) ? mergeValues(below, part) : part;
  }
  return merged;
}

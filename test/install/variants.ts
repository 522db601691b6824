import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { DEFAULT_NAMESPACE, installObjects, readValues } from "../../src/install/manifests.ts";
import type { InstallObject } from "../../src/install/resolve.ts";

/** The project's folder. */
export const ROOT = join(import.meta.dirname, "../..");

export const VERSION = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))).version;

/** Values that between them take every branch of the manifests. */
export const VARIANTS: Readonly<Record<string, object>> = {
  default: {},
  explicit: { captureMode: "explicit" },
  redirect: { captureMode: "redirect", daemon: { user: 1_000_660_000, maxUnavailable: "10%" } },
  everything: {
    image: { repository: "registry.example:5000/hostmesh", digest: `sha256:${"0a".repeat(32)}` },
    imagePullSecrets: [{ name: "pull" }],
    commonLabels: { team: "mesh", "example.com/cost-centre": "12" },
    trustDomain: "prod.example",
    registry: {
      replicas: 3,
      settings: {
        kubernetes: { enrol: "all", recogniseLabels: ["istio"] },
        registry: { pingMs: 2_000_000 },
      },
      networkPolicy: { enabled: true, from: [{ ipBlock: { cidr: "10.0.0.0/8" } }] },
      nodeSelector: { pool: "system" },
      tolerations: [{ key: "system", operator: "Exists" }],
      affinity: { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
      topologySpreadConstraints: [
        {
          ...{ maxSkew: 1, topologyKey: "topology.kubernetes.io/zone" },
          ...{ whenUnsatisfiable: "ScheduleAnyway", labelSelector: { matchLabels: { a: "b" } } },
        },
      ],
      podLabels: { tier: "control" },
      podAnnotations: { "example.com/note": 'it\'s: "quoted"' },
      extraEnv: [{ name: "NODE_OPTIONS", value: "--max-old-space-size=512" }],
    },
    daemon: {
      settings: { timeouts: { drainMs: 20_000 } },
      extraEnv: [{ name: "HOSTMESH_LIMITS_HEAD_BYTES", value: "32768" }],
      podLabels: { tier: "data" },
    },
    operators: { group: "oidc:operators" },
    podMonitor: { enabled: true, labels: { release: "prometheus" } },
  },
  bare: {
    registry: {
      ...{ replicas: 1, priorityClassName: "", resources: { limits: null, requests: null } },
      settings: { kubernetes: null, telemetry: { logFormat: null } },
      podDisruptionBudget: { enabled: false },
    },
    daemon: {
      ...{ priorityClassName: "", tolerations: [], resourceQuota: { enabled: false } },
    },
  },
};

/** The objects that `hostmesh install` makes of these values. */
export function objectsOf(values: object, namespace = DEFAULT_NAMESPACE): InstallObject[] {
  return installObjects({ version: VERSION, namespace, values: readValues(VERSION, values) });
}

import {
  all,
  choice,
  digest,
  entriesOf,
  isSet,
  type Manifest,
  optional,
  type TemplateMap,
  value,
  yaml,
} from "../template.ts";
import { image, metadata, PORTS, podLabels, REGISTRY, selectorLabels } from "./names.ts";
import { podMonitor } from "./pod-monitor.ts";

/** The audience and lifetime of the token with which the registry calls the API server: those of any pod's token. */
const API_TOKEN: TemplateMap = {
  name: "api",
  projected: {
    defaultMode: 0o440,
    sources: [
      { serviceAccountToken: { path: "token", expirationSeconds: 3_607 } },
      { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
      {
        downwardAPI: {
          items: [{ path: "namespace", fieldRef: { fieldPath: "metadata.namespace" } }],
        },
      },
    ],
  },
};

/** The plain port keeps to loopback: whoever reaches it is an operator. So the kubelet asks the TLS port. */
const ASK = { path: "/healthz", port: "registry-tls", scheme: "HTTPS" };

/** The registry: a few equal replicas, any of which serves any daemon. */
export function registryManifests(version: string): Manifest[] {
  return [
    config(version),
    service(version),
    deployment(version),
    budget(version),
    policy(version),
    podMonitor("registry", version),
  ];
}

function config(version: string): Manifest {
  return {
    file: "registry-config",
    object: {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: metadata(REGISTRY, "registry", version),
      data: { "hostmesh.yaml": yaml("registry.settings") },
    },
  };
}

function service(version: string): Manifest {
  return {
    file: "registry-service",
    object: {
      apiVersion: "v1",
      kind: "Service",
      metadata: metadata(REGISTRY, "registry", version),
      spec: {
        selector: selectorLabels("registry"),
        // Where daemons prove who they are, follow the registry and renew their certificates.
        ports: [
          {
            name: "https-registry",
            port: PORTS.registryTls,
            targetPort: "registry-tls",
            appProtocol: "https",
          },
        ],
      },
    },
  };
}

function deployment(version: string): Manifest {
  return {
    file: "registry-deployment",
    object: {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: metadata(REGISTRY, "registry", version),
      spec: {
        replicas: value("registry.replicas"),
        strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
        selector: { matchLabels: selectorLabels("registry") },
        template: {
          metadata: {
            labels: podLabels("registry"),
            annotations: {
              "checksum/config": digest("registry.settings"),
              "prometheus.io/scrape": "true",
              "prometheus.io/port": String(PORTS.registryMetrics),
              "prometheus.io/path": "/metrics",
              ...entriesOf("registry.podAnnotations"),
            },
          },
          spec: podSpec(),
        },
      },
    },
  };
}

function podSpec(): TemplateMap {
  return {
    serviceAccountName: REGISTRY,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    imagePullSecrets: optional("imagePullSecrets"),
    priorityClassName: choice(
      isSet("registry.priorityClassName"),
      value("registry.priorityClassName"),
    ),
    terminationGracePeriodSeconds: value("registry.terminationGracePeriodSeconds"),
    nodeSelector: { "kubernetes.io/os": "linux", ...entriesOf("registry.nodeSelector") },
    affinity: optional("registry.affinity"),
    tolerations: optional("registry.tolerations"),
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: "kubernetes.io/hostname",
        whenUnsatisfiable: "ScheduleAnyway",
        labelSelector: { matchLabels: selectorLabels("registry") },
      },
      all("registry.topologySpreadConstraints"),
    ],
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 1_000,
      runAsGroup: 1_000,
      fsGroup: 1_000,
      seccompProfile: { type: "RuntimeDefault" },
    },
    containers: [container()],
    volumes: [
      { name: "config", configMap: { name: REGISTRY } },
      API_TOKEN,
      // Nothing is kept here: what the registry serves it reads from the cluster at its start.
      { name: "data", emptyDir: {} },
      { name: "tmp", emptyDir: {} },
    ],
  };
}

function container(): TemplateMap {
  return {
    name: "registry",
    image,
    imagePullPolicy: value("image.pullPolicy"),
    args: [
      ...["registry", "--config", "/etc/hostmesh/hostmesh.yaml", "--source", "kubernetes"],
      ...["--data", "/var/lib/hostmesh"],
    ],
    env: [
      field("HOSTMESH_HOST", "metadata.name"),
      field("HOSTMESH_KUBERNETES_NAMESPACE", "metadata.namespace"),
      { name: "HOSTMESH_IDENTITY_TRUST_DOMAIN", value: value("trustDomain") },
      field("HOSTMESH_REGISTRY_REPLICA_ADDRESS", "status.podIP"),
      all("registry.extraEnv"),
    ],
    ports: [
      { name: "registry-tls", containerPort: PORTS.registryTls },
      { name: "metrics", containerPort: PORTS.registryMetrics },
    ],
    // The ports are opened when the cluster has been read once: five minutes for a very large one.
    startupProbe: { httpGet: ASK, periodSeconds: 1, timeoutSeconds: 2, failureThreshold: 300 },
    readinessProbe: { httpGet: ASK, periodSeconds: 5, timeoutSeconds: 2 },
    livenessProbe: { httpGet: ASK, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 },
    resources: optional("registry.resources"),
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
    volumeMounts: [
      { name: "config", mountPath: "/etc/hostmesh", readOnly: true },
      { name: "api", mountPath: "/var/run/secrets/kubernetes.io/serviceaccount", readOnly: true },
      { name: "data", mountPath: "/var/lib/hostmesh" },
      { name: "tmp", mountPath: "/tmp" },
    ],
  };
}

/** A variable that a pod's own field fills. */
export function field(name: string, fieldPath: string): TemplateMap {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

function budget(version: string): Manifest {
  return {
    file: "registry-disruption-budget",
    when: isSet("registry.podDisruptionBudget.enabled"),
    object: {
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata: metadata(REGISTRY, "registry", version),
      // Not minAvailable, which would forbid the drain of a node where there is one replica.
      spec: { maxUnavailable: 1, selector: { matchLabels: selectorLabels("registry") } },
    },
  };
}

function policy(version: string): Manifest {
  return {
    file: "registry-network-policy",
    when: isSet("registry.networkPolicy.enabled"),
    object: {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: metadata(REGISTRY, "registry", version),
      spec: {
        podSelector: { matchLabels: selectorLabels("registry") },
        policyTypes: ["Ingress"],
        ingress: [
          {
            ports: [{ port: "registry-tls", protocol: "TCP" }],
            from: optional("registry.networkPolicy.from"),
          },
          // Prometheus: where is not known, and there is nothing to change there.
          { ports: [{ port: "metrics", protocol: "TCP" }] },
          // The replicas ask each other what their daemons see.
          {
            ports: [{ port: "registry-tls", protocol: "TCP" }],
            from: [{ podSelector: { matchLabels: selectorLabels("registry") } }],
          },
        ],
      },
    },
  };
}

import type { TestContext } from "node:test";
import type { ClusterRules } from "../../../src/dialects/translator.ts";
import { KubeApi } from "../../../src/kubernetes/api/kube-api.ts";
import { KubernetesSource } from "../../../src/kubernetes/source/kubernetes-source.ts";
import type { RegistryOptions } from "../../../src/registry/registry.ts";
import { KubeApiServer } from "../../helpers/kube-api-server.ts";
import { keepingLog, testClient, testRegistry } from "../../registry/setup.ts";

export const RULES: ClusterRules = {
  ...{ enrol: "labelled", recogniseLabels: [], meshNamespace: "hostmesh-system" },
};

type Fields = Readonly<Record<string, unknown>>;

export const IN = { "hostmesh.io/inject": "enabled" };

export function namespaceOf(name: string, labels: Record<string, string> = IN) {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
}

export function nodeOf(name: string, zone = "zone-a", region = "here") {
  const labels = {
    "topology.kubernetes.io/zone": zone,
    "topology.kubernetes.io/region": region,
  };
  return { apiVersion: "v1", kind: "Node", metadata: { name, labels }, spec: {} };
}

export interface PodOptions {
  readonly node?: string;
  readonly account?: string;
  readonly namespace?: string;
  readonly metadata?: Fields;
  readonly spec?: Fields;
  readonly status?: Fields;
}

/** A pod that runs, of namespace `shop` on `node-1`. */
export function podOf(name: string, ip: string, options: PodOptions = {}) {
  const { node = "node-1", account = "web", namespace = "shop" } = options;
  return {
    ...{ apiVersion: "v1", kind: "Pod" },
    metadata: { name, namespace, uid: `uid-of-${name}`, ...options.metadata },
    spec: {
      ...{ nodeName: node, serviceAccountName: account },
      containers: [{ name: "main", image: "registry.example/main:1" }],
      ...options.spec,
    },
    status: {
      ...{ phase: "Running", podIP: ip, podIPs: [{ ip }], hostIP: "192.0.2.1" },
      startTime: "2026-01-01T00:00:00Z",
      conditions: [{ type: "Ready", status: "True" }],
      ...options.status,
    },
  };
}

/** The daemon of a node. */
export function daemonOf(node: string, hostIP: string, name = `hostmesh-${node}`) {
  const labels = { "app.kubernetes.io/name": "hostmesh", "app.kubernetes.io/component": "daemon" };
  const ports = [{ name: "mesh", containerPort: 15_008, hostPort: 15_008 }];
  return podOf(name, hostIP, {
    ...{ node, namespace: "hostmesh-system", account: "hostmesh-daemon", metadata: { labels } },
    spec: { hostNetwork: true, containers: [{ name: "daemon", ports }] },
    status: { hostIP },
  });
}

export function serviceOf(name: string, clusterIP: string, spec: Fields = {}) {
  return {
    ...{ apiVersion: "v1", kind: "Service", metadata: { name, namespace: "shop" } },
    spec: {
      ...{ clusterIP, clusterIPs: [clusterIP], selector: { app: name } },
      ...{ ipFamilies: ["IPv4"], ipFamilyPolicy: "SingleStack", sessionAffinity: "None" },
      ...{ internalTrafficPolicy: "Cluster", type: "ClusterIP" },
      ports: [{ name: "http", port: 80, protocol: "TCP", targetPort: 8080 }],
      ...spec,
    },
    status: { loadBalancer: {} },
  };
}

/** As the controller of slices writes them, for pods of `podOf`. */
export function sliceOf(
  name: string,
  service: string,
  endpoints: readonly (Fields & { readonly ip: string; readonly pod: string })[],
) {
  return {
    ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4" },
    metadata: {
      ...{ name, namespace: "shop", generateName: `${service}-` },
      labels: {
        "kubernetes.io/service-name": service,
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
      },
      annotations: {
        "endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z",
      },
      ownerReferences: [
        { apiVersion: "v1", kind: "Service", name: service, uid: "of-the-service" },
      ],
    },
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
    endpoints: endpoints.map(({ ip, pod, ...more }) => ({
      addresses: [ip],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: "node-1",
      targetRef: { kind: "Pod", name: pod, namespace: "shop", uid: `uid-of-${pod}` },
      ...more,
    })),
  };
}

/** A client of this API server. */
export async function openApi(t: TestContext, { kubeconfig }: KubeApiServer): Promise<KubeApi> {
  const api = await KubeApi.open({ kubeconfig, context: "", log: keepingLog() });
  t.after(() => api.close());
  return api;
}

export interface ClusterLabOptions {
  readonly rules?: Partial<ClusterRules>;
  readonly registry?: Partial<RegistryOptions>;
  /** What the cluster has from the beginning. */
  readonly objects?: readonly Parameters<KubeApiServer["apply"]>[0][];
}

/** An API server, a registry that reads it, and a daemon's client of that, which holds what it is told. */
export async function clusterLab(t: TestContext, options: ClusterLabOptions = {}) {
  const server = await KubeApiServer.start(t);
  for (const object of options.objects ?? []) server.apply(object);
  const log = keepingLog();
  const api = await openApi(t, server);
  const source = new KubernetesSource({ api, rules: { ...RULES, ...options.rules } });
  const registry = await testRegistry(t, { source, log, ...options.registry });
  const { client, records, updates } = await testClient(t, [registry.url]);
  await client.start();
  return { server, registry, records, updates, client, log };
}

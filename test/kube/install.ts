import type { KubeObject } from "./objects.ts";

export const MESH_NAMESPACE = "hostmesh-system";

const READ = ["get", "list", "watch"];
const RBAC = "rbac.authorization.k8s.io/v1";

/** The mesh in a cluster of the lab, with as few rights as the registry can do with. */
export function meshObjects(): KubeObject[] {
  const namespace = MESH_NAMESPACE;
  const accounts = ["hostmesh-registry", "hostmesh-daemon"].map((name) => ({
    ...{ apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace } },
  }));
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
    ...accounts,
    ...registryRights(),
    daemonSet(),
  ];
}

function registryRights(): KubeObject[] {
  const [name, namespace] = ["hostmesh-registry", MESH_NAMESPACE];
  const subjects = [{ kind: "ServiceAccount", name, namespace }];
  const core = ["services", "pods", "nodes", "namespaces", "serviceaccounts", "endpoints"];
  const groups = [
    ...["networking.istio.io", "security.istio.io", "gateway.networking.k8s.io", "linkerd.io"],
    ...["split.smi-spec.io", "access.smi-spec.io", "specs.smi-spec.io", "policy.linkerd.io"],
  ];
  const ofCluster = [
    { apiGroups: [""], resources: core, verbs: READ },
    { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: READ },
    {
      ...{ apiGroups: ["apiextensions.k8s.io"], resources: ["customresourcedefinitions"] },
      verbs: READ,
    },
    { apiGroups: groups, resources: ["*"], verbs: [...READ, "update", "patch"] },
    { apiGroups: ["", "events.k8s.io"], resources: ["events"], verbs: ["create", "patch"] },
    { apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"], verbs: ["create"] },
  ];
  const ownRules = [
    {
      ...{ apiGroups: [""], resources: ["secrets", "configmaps"] },
      verbs: [...READ, "create", "update", "patch", "delete"],
    },
    {
      ...{ apiGroups: ["coordination.k8s.io"], resources: ["leases"] },
      verbs: [...READ, "create", "update", "patch", "delete"],
    },
  ];
  const apiGroup = "rbac.authorization.k8s.io";
  return [
    { apiVersion: RBAC, kind: "ClusterRole", metadata: { name }, rules: ofCluster },
    {
      ...{ apiVersion: RBAC, kind: "ClusterRoleBinding", metadata: { name }, subjects },
      roleRef: { apiGroup, kind: "ClusterRole", name },
    },
    { apiVersion: RBAC, kind: "Role", metadata: { name, namespace }, rules: ownRules },
    {
      ...{ apiVersion: RBAC, kind: "RoleBinding", metadata: { name, namespace }, subjects },
      roleRef: { apiGroup, kind: "Role", name },
    },
  ];
}

function daemonSet(): KubeObject {
  const labels = {
    "app.kubernetes.io/name": "hostmesh",
    "app.kubernetes.io/component": "daemon",
  };
  const metadata = { name: "hostmesh-daemon", namespace: MESH_NAMESPACE, labels };
  const spec = {
    ...{ serviceAccountName: "hostmesh-daemon", automountServiceAccountToken: false },
    ...{ hostNetwork: true, terminationGracePeriodSeconds: 20 },
    // Nobody takes the taint of new nodes away here.
    tolerations: [{ operator: "Exists" }],
    containers: [
      {
        ...{ name: "daemon", image: "hostmesh-daemon" },
        ports: [{ name: "mesh", containerPort: 15_008 }],
      },
    ],
    volumes: [
      tokenVolume("hostmesh"),
      { name: "trust", configMap: { name: "hostmesh-trust", optional: true } },
    ],
  };
  return {
    ...{ apiVersion: "apps/v1", kind: "DaemonSet", metadata },
    spec: {
      selector: { matchLabels: labels },
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1 } },
      template: { metadata: { labels }, spec },
    },
  };
}

/** A kubelet gets tokens only for audiences that a volume of the pod names. */
export function tokenVolume(audience: string): object {
  const serviceAccountToken = { path: "token", audience, expirationSeconds: 3_600 };
  return { name: `token-${audience}`, projected: { sources: [{ serviceAccountToken }] } };
}

/** What a test wants of a pod; its account is made with it. */
export interface PodWish {
  readonly name: string;
  readonly namespace?: string;
  readonly account?: string;
  readonly node?: string;
  readonly image: "server" | "client" | "prober";
  /** Of `pod-app.ts` after its name, or of `prober.ts`. */
  readonly args?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export function podObject({ name, namespace = "default", node, ...more }: PodWish): KubeObject {
  const { labels = { app: name }, annotations = {} } = more;
  const metadata = { name, namespace, labels, annotations };
  const place = node === undefined ? {} : { nodeSelector: { "kubernetes.io/hostname": node } };
  return { apiVersion: "v1", kind: "Pod", metadata, spec: { ...podSpec(more), ...place } };
}

function podSpec({
  image,
  account = "default",
  args = [],
}: Pick<PodWish, "image" | "account" | "args">) {
  return {
    ...{ serviceAccountName: account, terminationGracePeriodSeconds: 10 },
    containers: [{ name: "app", image, args, ports: [{ containerPort: 8_080 }] }],
  };
}

/** A Deployment with the usual rolling update. `version` in the template makes another one of it. */
export function deploymentObject(
  wish: PodWish & { readonly replicas: number; readonly version: string },
): KubeObject {
  const { name, namespace = "default", replicas, version } = wish;
  const labels = { app: name };
  return {
    ...{ apiVersion: "apps/v1", kind: "Deployment", metadata: { name, namespace } },
    spec: {
      ...{ replicas, selector: { matchLabels: labels } },
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: { metadata: { labels: { ...labels, version } }, spec: podSpec(wish) },
    },
  };
}

/** An AuthorizationPolicy for the pods with this label `app`: only these principals, or nobody. */
export function allowObject(
  app: string,
  namespace: string,
  principals: readonly string[],
): KubeObject {
  const rules = principals.length === 0 ? [] : [{ from: [{ source: { principals } }] }];
  return {
    ...{ apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy" },
    metadata: { name: `allow-${app}`, namespace },
    spec: { selector: { matchLabels: { app } }, action: "ALLOW", rules },
  };
}

export function accountObject(name: string, namespace = "default"): KubeObject {
  return { apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace } };
}

/** Port 80, which leads to 8080 of the pods with the label `app`. */
export function serviceObject(name: string, namespace = "default"): KubeObject {
  const ports = [{ name: "http", port: 80, targetPort: 8_080 }];
  const spec = { selector: { app: name }, ports, ipFamilyPolicy: "PreferDualStack" };
  return { apiVersion: "v1", kind: "Service", metadata: { name, namespace }, spec };
}

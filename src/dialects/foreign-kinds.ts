import { translators } from "./translators.ts";

/** Kinds of Kubernetes itself that say nothing to a mesh, but stand beside its resources in many a file. */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  "": [
    ...["ConfigMap", "Endpoints", "Event", "LimitRange", "Namespace", "Node", "PersistentVolume"],
    ...["PersistentVolumeClaim", "Pod", "PodTemplate", "ReplicationController", "ResourceQuota"],
    ...["Secret", "Service", "ServiceAccount"],
  ],
  "admissionregistration.k8s.io": [
    ...["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"],
    ...["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"],
  ],
  "apiextensions.k8s.io": ["CustomResourceDefinition"],
  "apiregistration.k8s.io": ["APIService"],
  apps: ["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"],
  autoscaling: ["HorizontalPodAutoscaler"],
  batch: ["CronJob", "Job"],
  "cert-manager.io": ["Certificate", "CertificateRequest", "ClusterIssuer", "Issuer"],
  "certificates.k8s.io": ["CertificateSigningRequest"],
  "coordination.k8s.io": ["Lease"],
  "discovery.k8s.io": ["EndpointSlice"],
  "monitoring.coreos.com": ["PodMonitor", "PrometheusRule", "ServiceMonitor"],
  "networking.k8s.io": ["Ingress", "IngressClass", "NetworkPolicy"],
  "node.k8s.io": ["RuntimeClass"],
  policy: ["PodDisruptionBudget", "PodSecurityPolicy"],
  "rbac.authorization.k8s.io": ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"],
  "scheduling.k8s.io": ["PriorityClass"],
  "storage.k8s.io": ["CSIDriver", "StorageClass", "VolumeAttachment"],
};

const NOT_OF_MESH = "not a resource of the mesh";
const NO_GATEWAY = "there is no ingress gateway: the mesh carries what is called within it";
const NO_GRANTS = "none is needed: routes may refer to Services of other namespaces";

/** Kinds of the dialects' own groups that there is nothing to do for, and why. */
const IDLE: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "gateway.networking.k8s.io": {
    Gateway: NO_GATEWAY,
    GatewayClass: NO_GATEWAY,
    ReferenceGrant: NO_GRANTS,
  },
  "networking.istio.io": { Gateway: NO_GATEWAY },
};

/** A resource that is left alone. */
export interface ForeignResource {
  readonly kind: string;
  /** As far as it is said. */
  readonly namespace: string;
  readonly name: string;
  readonly reason: string;
}

/** Is it of a kind that others act on, and nobody here? Null: it is ours, or unknown. */
export function foreignResource(resource: unknown): ForeignResource | null {
  if (typeof resource !== "object" || resource === null) return null;
  const fields = new Map<string, unknown>(Object.entries(resource));
  const [apiVersion, kind] = [fields.get("apiVersion"), fields.get("kind")];
  if (typeof apiVersion !== "string" || typeof kind !== "string") return null;
  const slash = apiVersion.indexOf("/");
  const group = slash === -1 ? "" : apiVersion.slice(0, slash);
  const reason = reasonFor(group, kind);
  if (reason === null) return null;
  // Kubernetes' first group has no name in apiVersion; its translators may call it "core".
  const groups = group === "" ? ["", "core"] : [group];
  const isOurs = translators.some((each) => each.kind === kind && groups.includes(each.group));
  if (isOurs) return null;
  const metadata = new Map<string, unknown>(Object.entries(fields.get("metadata") ?? {}));
  const text = (name: string) => String(metadata.get(name) ?? "");
  return { kind, namespace: text("namespace"), name: text("name"), reason };
}

function reasonFor(group: string, kind: string): string | null {
  const idle = Object.hasOwn(IDLE, group) ? new Map(Object.entries(IDLE[group] ?? {})) : null;
  const isForeign = Object.hasOwn(FOREIGN, group) && FOREIGN[group]?.includes(kind) === true;
  return idle?.get(kind) ?? (isForeign ? NOT_OF_MESH : null);
}

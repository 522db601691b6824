import { HOST_NAMESPACE, SYSTEM_NAMESPACE } from "../../core/identity.ts";
import type { ClusterRules } from "../translator.ts";

/** Label of pods and namespaces, and annotation of pods: `enabled` or `disabled`. */
export const INJECT = "hostmesh.io/inject";
const LINKERD_INJECT = "linkerd.io/inject";
const ISTIO_MODE = "istio.io/dataplane-mode";
const ISTIO_INJECTION = "istio-injection";
const ISTIO_REVISION = "istio.io/rev";
const ISTIO_INJECT = "sidecar.istio.io/inject";

/** Annotations of a pod that say whether it is part of the mesh. */
export const ENROLMENT_ANNOTATIONS: readonly string[] = [INJECT, LINKERD_INJECT, ISTIO_INJECT];

/** Labels and annotations of an object. */
export interface Marks {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export const NO_MARKS: Marks = { labels: {}, annotations: {} };

/** What decides whether a pod is part of the mesh. */
export interface PodMarks extends Marks {
  readonly namespace: string;
  readonly hostNetwork: boolean;
}

/** Kubernetes' own: what runs there must run for the mesh to start. */
const CLUSTER_NAMESPACE = "kube-system";

/**
 * Is a pod part of the mesh? What the pod says itself goes before what its namespace says, and our own label before those
 * of other meshes. A pod with the host's network has no address of its own, hence no identity; the mesh does not carry its
 * own pods, and those of kube-system only where they say so themselves.
 */
export function isEnrolled(pod: PodMarks, namespace: Marks, rules: ClusterRules): boolean {
  if (pod.hostNetwork || isOfMesh(pod.namespace, rules)) return false;
  if (pod.annotations[INJECT] === "disabled") return false;
  const own = said(pod.labels[INJECT]) ?? saidElsewhere(pod, namespace, rules);
  if (own !== null) return own;
  if (pod.namespace === CLUSTER_NAMESPACE) return false;
  const inherited = said(namespace.labels[INJECT]) ?? saidOfNamespace(namespace, rules);
  return inherited ?? rules.enrol === "all";
}

/** A namespace whose names are the mesh's own, or where the mesh itself runs. */
export function isOfMesh(namespace: string, { meshNamespace }: ClusterRules): boolean {
  return [meshNamespace, SYSTEM_NAMESPACE, HOST_NAMESPACE].includes(namespace);
}

function said(value: string | undefined): boolean | null {
  if (value === "enabled") return true;
  return value === "disabled" ? false : null;
}

function saidElsewhere(
  { labels, annotations }: Marks,
  namespace: Marks,
  { recogniseLabels }: ClusterRules,
): boolean | null {
  if (recogniseLabels.includes("istio")) {
    const inject = labels[ISTIO_INJECT] ?? annotations[ISTIO_INJECT];
    // Its injection and its ambient mode have marks of their own: a pod without the one may be there by the other.
    if (labels[ISTIO_MODE] === "ambient") return true;
    // Only as a label, and not where the namespace is out: its webhook is asked about no other pods.
    if (labels[ISTIO_INJECT] === "true" && namespace.labels[ISTIO_INJECTION] !== "disabled") {
      return true;
    }
    if (labels[ISTIO_MODE] === "none" || inject === "false") return false;
  }
  return recogniseLabels.includes("linkerd") ? said(annotations[LINKERD_INJECT]) : null;
}

function saidOfNamespace(
  { labels, annotations }: Marks,
  { recogniseLabels }: ClusterRules,
): true | null {
  const isInjected =
    labels[ISTIO_INJECTION] === "enabled" ||
    // Whichever revision it names.
    (labels[ISTIO_REVISION] !== undefined && labels[ISTIO_INJECTION] !== "disabled");
  const isOfIstio = isInjected || labels[ISTIO_MODE] === "ambient";
  if (recogniseLabels.includes("istio") && isOfIstio) return true;
  const isOfLinkerd = annotations[LINKERD_INJECT] === "enabled";
  return recogniseLabels.includes("linkerd") && isOfLinkerd ? true : null;
}

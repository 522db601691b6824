const REPLICA_SET = "pod-template-hash";
/** Of a StatefulSet or a DaemonSet. */
const REVISION = "controller-revision-hash";
const SET_POD = "statefulset.kubernetes.io/pod-name";
/** What the API server adds to names that it makes (`generateName`): five letters and digits. */
const GENERATED = /-[a-z0-9]{5}$/;

/**
 * What has made a pod, as far as its name and labels tell: a Deployment's or ReplicaSet's pod is `NAME-HASH-xxxxx`, a
 * StatefulSet's `NAME-0`, a DaemonSet's `NAME-xxxxx`. Whatever else is its own workload.
 */
export function workloadName(pod: string, labels: Readonly<Record<string, string>>): string {
  const hash = labels[REPLICA_SET];
  if (hash !== undefined) {
    const at = pod.lastIndexOf(`-${hash}-`);
    return at > 0 ? pod.slice(0, at) : pod;
  }
  if (labels[SET_POD] === pod) return pod.replace(/-\d+$/, "");
  return labels[REVISION] === undefined ? pod : pod.replace(GENERATED, "");
}

import { until } from "../helpers/until.ts";
import type { KubeLab } from "./kube-lab.ts";
import { type KubeObject, pathOfObject } from "./objects.ts";

/** Waits until a Deployment is what its newest spec says, and nothing of older ones is left. */
export async function rolledOut(lab: KubeLab, deployment: KubeObject): Promise<void> {
  const isDone = async () => {
    lab.checkKubelets();
    const now = await lab.cluster.admin.get(pathOfObject(deployment));
    if (now === null) return false;
    const { metadata, status, spec } = now;
    if (status?.observedGeneration !== metadata.generation) return false;
    const counts = [status.replicas, status.updatedReplicas, status.availableReplicas];
    if (counts.some((count) => count !== spec.replicas)) return false;
    const selector = encodeURIComponent(`app=${metadata.name}`);
    const query = `?labelSelector=${selector}`;
    const pods = await lab.cluster.admin.list("v1", "Pod", query);
    return pods.items.length === spec.replicas;
  };
  const what = `the rollout of ${deployment.metadata.name}`;
  await until(isDone, { timeoutMs: 60_000, what });
}

import { Informer } from "./informer.ts";
import type { KubeClient } from "./kube-client.ts";
import { type KubeObject, pathOfObject } from "./objects.ts";

interface Term {
  readonly matchFields?: readonly { readonly key: string; readonly values: readonly string[] }[];
}

/**
 * Plays the scheduler: a pod goes to the node that the DaemonSet controller names for it or that its selector chooses,
 * else to the one with the fewest pods.
 */
export class Scheduler {
  readonly #client: KubeClient;
  readonly #nodes: Informer;
  readonly #pods: Informer;
  readonly #waiting = new Map<string, KubeObject>();
  /** Pods that were bound here, so that the count does not wait for the server's word. */
  readonly #bound = new Map<string, string>();

  constructor(client: KubeClient) {
    this.#client = client;
    this.#nodes = new Informer(client, { apiVersion: "v1", kind: "Node" }, () => this.#bindAll());
    this.#pods = new Informer(client, { apiVersion: "v1", kind: "Pod" }, (pod, gone) => {
      const uid = pod.metadata.uid ?? "";
      const node: string | undefined = pod["spec"].nodeName;
      if (gone || pod.metadata.deletionTimestamp !== undefined) this.#bound.delete(uid);
      else if (node !== undefined) this.#bound.set(uid, node);
      if (gone || node !== undefined) this.#waiting.delete(uid);
      else this.#waiting.set(uid, pod);
      this.#bindAll();
    });
  }

  async stop(): Promise<void> {
    await Promise.all([this.#nodes.stop(), this.#pods.stop()]);
  }

  #bindAll(): void {
    for (const [uid, pod] of this.#waiting) {
      const node = this.#choose(pod);
      if (node === undefined) continue;
      this.#waiting.delete(uid);
      this.#bound.set(uid, node);
      this.#bind(pod, node);
    }
  }

  #bind(pod: KubeObject, node: string): void {
    const body = {
      ...{ apiVersion: "v1", kind: "Binding", metadata: { name: pod.metadata.name } },
      target: { apiVersion: "v1", kind: "Node", name: node },
    };
    const retry = () => void this.#waiting.set(pod.metadata.uid ?? "", pod);
    this.#client.call("POST", pathOfObject(pod, "binding"), body).catch(retry);
  }

  #choose(pod: KubeObject): string | undefined {
    const selector: Record<string, string> = pod["spec"].nodeSelector ?? {};
    const terms: Term[] | undefined =
      pod["spec"].affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
        ?.nodeSelectorTerms;
    const fits = ({ metadata: { name, labels = {} } }: KubeObject) =>
      Object.entries(selector).every(([key, value]) => labels[key] === value) &&
      (terms?.some((term) => namesNode(term, name)) ?? true);
    const count = (name: string) => [...this.#bound.values()].filter((one) => one === name).length;
    const names = [...this.#nodes.objects.values()]
      .filter(fits)
      .map(({ metadata }) => metadata.name);
    return names.sort((a, b) => count(a) - count(b) || a.localeCompare(b))[0];
  }
}

function namesNode({ matchFields = [] }: Term, name: string): boolean {
  return matchFields.every(({ key, values }) => key !== "metadata.name" || values.includes(name));
}

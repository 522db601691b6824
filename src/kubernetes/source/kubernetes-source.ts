import type { ClusterRules } from "../../dialects/translator.ts";
import type { ResourceSettings } from "../../registry/plan-resource.ts";
import type { RunningSource, Source, SourceParts } from "../../registry/source.ts";
import type { KubeApi } from "../api/kube-api.ts";
import type { Leader } from "../leader.ts";
import { startStatus } from "../status/start-status.ts";
import { ClusterKinds } from "./cluster-kinds.ts";
import { ClusterWriter, keyOfObject } from "./cluster-writer.ts";

/** How often it is looked whether everything has been read. */
const LOOK_MS = 20;
/** Of what is refused or not known, the status names so many. */
const MAX_NAMED = 100;

export interface KubernetesSourceOptions {
  /** Left open at the end: it is the caller's. */
  readonly api: KubeApi;
  readonly rules: ClusterRules;
  /** Who tells in the status of each object what the mesh makes of it, and by Events; absent: nobody. */
  readonly status?: {
    readonly leader: Pick<Leader, "isLeader" | "subscribe">;
    /** Name of this replica. */
    readonly instance: string;
  };
}

/** A Kubernetes cluster as what fills the registry. */
export class KubernetesSource implements Source {
  readonly place = "Kubernetes: change it there (kubectl)";
  readonly resources: Partial<ResourceSettings>;
  readonly #options: KubernetesSourceOptions;

  constructor(options: KubernetesSourceOptions) {
    this.#options = options;
    // Kubernetes keeps no histories either: what is wanted back is applied again from where it is kept.
    this.resources = { cluster: options.rules, historyPerResource: 0 };
  }

  async start(parts: SourceParts, stop: AbortSignal): Promise<RunningSource> {
    const { api, rules, status } = this.#options;
    const { clock, log } = parts;
    const target = new ClusterWriter({ ...parts, rules });
    const kinds = new ClusterKinds({
      ...{ ...parts, api, keyOf: keyOfObject },
      take: (object, list) => target.take(object, list),
      remove: (key) => target.remove(key),
    });
    const close = async () => {
      await kinds.stop();
      await target.close();
    };
    log.info("reading the cluster", { server: api.server });
    const startMs = clock.now();
    kinds.start();
    try {
      await complete(kinds, parts, stop);
      await target.flush();
    } catch (error) {
      await close();
      throw error;
    }
    const tookMs = Math.round(clock.now() - startMs);
    log.info("the cluster is read", { ...countsOf(parts), refused: target.refused.size, tookMs });
    if (status === undefined) return running({ api, kinds, target, close });
    const { refused } = target;
    const told = startStatus({ ...parts, ...status, api, refused });
    return running({
      ...{ api, kinds, target, leader: status.leader },
      async close() {
        await told.close();
        await close();
      },
    });
  }
}

/** Resolves when everything was told once; however long that takes: nobody is served before. */
async function complete(
  kinds: ClusterKinds,
  { timers }: SourceParts,
  stop: AbortSignal,
): Promise<void> {
  while (!kinds.isComplete()) {
    stop.throwIfAborted();
    await new Promise<void>((resolve) => {
      timers.after(LOOK_MS, resolve);
    });
  }
}

function countsOf({ catalog }: SourceParts): Record<string, number> {
  const kinds = ["service", "endpoint", "workload", "resource"] as const;
  return Object.fromEntries(kinds.map((kind) => [`${kind}s`, catalog.count(kind)]));
}

interface RunningParts {
  readonly api: KubeApi;
  readonly kinds: ClusterKinds;
  readonly target: ClusterWriter;
  /** Absent: nobody leads, as nothing is written. */
  readonly leader?: Pick<Leader, "isLeader">;
  close(): Promise<void>;
}

function running({ api, kinds, target, leader, close }: RunningParts): RunningSource {
  const isSynced = () => [...kinds.states().values()].every(({ sinceMs }) => sinceMs === 0);
  let written = { reach: kinds.seen(), position: kinds.changed() };
  const look = () => {
    // While something is being written nobody knows how much of what was seen is in it.
    if (target.isSettled) written = { reach: kinds.seen(), position: kinds.changed() };
    return written;
  };
  const position = () => look().position;
  return {
    close,
    isSynced,
    position,
    reach: () => look().reach,
    refused: () => target.refused.all(),
    status() {
      const states = [...kinds.states()];
      const lost = states.filter(([, { sinceMs }]) => sinceMs > 0);
      return {
        kind: "kubernetes",
        server: api.server,
        isLeader: leader?.isLeader() ?? null,
        synced: isSynced(),
        notSyncedMs: Math.max(0, ...lost.map(([, { sinceMs }]) => Math.round(sinceMs))),
        kinds: Object.fromEntries(states),
        position: position(),
        refusedCount: target.refused.size,
        refused: [...target.refused.all()]
          .slice(0, MAX_NAMED)
          .map(({ key, issues }) => ({ key, issues })),
        unknownFields: target.unknownFields(MAX_NAMED),
      };
    },
  };
}

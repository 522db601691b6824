import { hostname } from "node:os";
import { processClock, wallClock } from "../core/clock.ts";
import type { IdentityOptions } from "../registry/identity/open-identity.ts";
import type { Log } from "../registry/log.ts";
import { processTimers } from "../registry/timers.ts";
import { KubeApi } from "./api/kube-api.ts";
import { clusterIdentity } from "./enrolment/cluster-identity.ts";
import { Leader } from "./leader.ts";

/** The Lease of the registries. */
const LEASE = "hostmesh-registry";

export interface JoinClusterOptions {
  /** As of the settings `kubernetes.*`. */
  readonly kubeconfig: string;
  readonly context: string;
  readonly namespace: string;
  /** What the daemons' tokens must be made for. */
  readonly audience: string;
  /** Who this registry is among its replicas. Default: the pod's name, which is its host name. */
  readonly replica?: string;
  readonly log: Log;
}

/** What a registry on Kubernetes has from its cluster, apart from what it serves. */
export interface JoinedCluster {
  readonly api: KubeApi;
  readonly leader: Leader;
  /** Name of this replica. */
  readonly replica: string;
  /** Goes into the registry's identity, in front of what settings say. */
  readonly identity: Pick<IdentityOptions, "store" | "tokenReview" | "published" | "isHost">;
  /** After the registry: gives the Lease back, and ends the connections. */
  close(): Promise<void>;
}

/**
 * Makes a registry one of the cluster's replicas: they share the authority in a Secret, one of them leads, and daemons are
 * judged by the cluster. Rejects where the configuration cannot be used; nothing is asked of the cluster yet.
 */
export async function joinCluster(options: JoinClusterOptions): Promise<JoinedCluster> {
  const { kubeconfig, context, namespace, audience, replica = hostname(), log } = options;
  const api = await KubeApi.open({ kubeconfig, context, log });
  const parts = { timers: processTimers, clock: processClock, random: Math.random, log };
  const leader = new Leader({
    ...{ api, namespace, name: LEASE, identity: replica, wall: wallClock },
    ...parts,
  });
  const cluster = clusterIdentity({
    ...{ api, namespace, audience, isLeader: () => leader.isLeader() },
    ...parts,
  });
  leader.subscribe(() => cluster.leadershipChanged());
  leader.start();
  return {
    ...{ api, leader, replica, identity: cluster.options },
    async close() {
      await cluster.close();
      await leader.stop();
      await api.close();
    },
  };
}

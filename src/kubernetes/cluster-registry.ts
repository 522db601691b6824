import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { processClock, wallClock } from "../core/clock.ts";
import type { Log } from "../registry/log.ts";
import { processTimers } from "../registry/timers.ts";
import { KubeApi } from "./api/kube-api.ts";
import { type ClusterIdentity, clusterIdentity } from "./enrolment/cluster-identity.ts";
import { Leader } from "./leader.ts";

/** Of the Lease by which one replica leads. */
const LEASE = "hostmesh-registry";

export interface ClusterRegistryOptions {
  readonly kubeconfig: string;
  readonly context: string;
  /** `kubernetes.namespace`. */
  readonly namespace: string;
  /** What the daemons' tokens must be made for. */
  readonly audience: string;
  readonly log: Log;
}

/** What a replica of the registry shares with the others through the cluster. */
export interface ClusterRegistry {
  readonly identity: ClusterIdentity["options"];
  readonly leader: Leader;
  /** Gives the leadership back. */
  close(): Promise<void>;
}

/** Stands for election, and brings what the authority of a mesh on Kubernetes needs. */
export async function openClusterRegistry(
  options: ClusterRegistryOptions,
): Promise<ClusterRegistry> {
  const { kubeconfig, context, namespace, audience, log } = options;
  const api = await KubeApi.open({ kubeconfig, context, log });
  const parts = { timers: processTimers, clock: processClock, random: Math.random, log };
  const leader = new Leader({
    ...{ api, namespace, name: LEASE, wall: wallClock, ...parts },
    // In a pod the host's name is the pod's. A replica that starts anew is another candidate.
    identity: `${hostname()}_${randomBytes(8).toString("hex")}`,
  });
  const isLeader = () => leader.isLeader();
  const identity = clusterIdentity({ api, namespace, audience, isLeader, ...parts });
  leader.subscribe(() => identity.leadershipChanged());
  leader.start();
  return {
    leader,
    identity: identity.options,
    async close() {
      await identity.close();
      await leader.stop();
      await api.close();
    },
  };
}

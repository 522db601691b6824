import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { IdentityOptions } from "../../registry/identity/open-identity.ts";
import type { Log } from "../../registry/log.ts";
import type { Timers } from "../../registry/timers.ts";
import { findObject } from "../api/find-object.ts";
import type { KubeApi } from "../api/kube-api.ts";
import { type ApiResource, pathOf } from "../api/objects.ts";
import { SecretPrivateStore } from "../secrets/secret-private-store.ts";
import { TrustConfigMap } from "../secrets/trust-config-map.ts";
import { CALL_MS, ClusterTokenReview } from "./cluster-token-review.ts";

/** Secret of the authority, ConfigMap of what is trusted, and the daemons' account, all in the mesh's namespace. */
const AUTHORITY_SECRET = "hostmesh-ca";
const TRUST_CONFIG_MAP = "hostmesh-trust";
const DAEMON_ACCOUNT = "hostmesh-daemon";
const NODES: ApiResource = {
  ...{ group: "", version: "v1", kind: "Node", plural: "nodes", namespaced: false },
};

export interface ClusterIdentityOptions {
  readonly api: KubeApi;
  /** `kubernetes.namespace`. */
  readonly namespace: string;
  /** What tokens must be made for. */
  readonly audience: string;
  /** Does this registry lead? Only the leader writes the ConfigMap. */
  isLeader(): boolean;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface ClusterIdentity {
  /** For the registry's identity; its store is closed by the registry. */
  readonly options: Pick<IdentityOptions, "store" | "tokenReview" | "published" | "isHost">;
  /** This registry has become the leader, or is it no longer. */
  leadershipChanged(): void;
  close(): Promise<void>;
}

/** An API server that cannot be asked must not cost hosts their certificates. */
function isNode(api: KubeApi, name: string): Promise<boolean> {
  const found = findObject(api, { path: pathOf(NODES, undefined, name), timeoutMs: CALL_MS });
  return found.then(
    (node) => node !== undefined,
    () => true,
  );
}

/** How a registry on Kubernetes keeps its authority, judges daemons, and tells them whom to trust. */
export function clusterIdentity(options: ClusterIdentityOptions): ClusterIdentity {
  const { api, namespace, audience, timers, clock, random, log } = options;
  const trust = new TrustConfigMap({
    ...{ api, namespace, name: TRUST_CONFIG_MAP, timers, log },
    isLeader: () => options.isLeader(),
  });
  const reviewer = new ClusterTokenReview(api);
  return {
    options: {
      store: new SecretPrivateStore({
        ...{ api, namespace, name: AUTHORITY_SECRET, timers, clock, random, log },
      }),
      tokenReview: { reviewer, audience, namespace, serviceAccount: DAEMON_ACCOUNT },
      published: ({ anchors }) => trust.publish(anchors),
      isHost: (host) => isNode(api, host),
    },
    leadershipChanged: () => trust.look(),
    close: () => trust.close(),
  };
}

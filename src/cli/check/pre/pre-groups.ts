import { execRunner } from "../../../../iptables/runner.ts";
import type { CaptureSpec } from "../../../../iptables/spec.ts";
import type { Config } from "../../../config/schema.ts";
import { isRootOnLinux } from "../../capture.ts";
import { type CheckGroup, type Finding, failure, skipped } from "../finding.ts";
import { portOwners } from "../listeners.ts";
import { collectCluster } from "./cluster-facts.ts";
import { clusterFindings } from "./cluster-findings.ts";
import { openCluster } from "./cluster-reader.ts";
import { collectNode, type NodeSources } from "./collect-node.ts";
import {
  firewallFindings,
  portFindings,
  routingFindings,
  sysctlFindings,
} from "./host-findings.ts";
import { kernelFindings } from "./kernel-findings.ts";
import { kubeProxyFindings } from "./kube-proxy-findings.ts";
import { meshFindings } from "./mesh-findings.ts";
import type { NodeFacts } from "./node-facts.ts";
import { podNetworkFindings } from "./pod-network-findings.ts";

/** kube-proxy says its mode there, on loopback, to whoever asks. */
const PROXY_MODE_URL = "http://127.0.0.1:10249/proxyMode";
const PROXY_MODE_MS = 1_000;

export interface ClusterChoice {
  /** Empty: KUBECONFIG, the pod's account, or the home folder's. */
  readonly kubeconfig: string;
  readonly context: string;
  /** Where the mesh is to be installed. */
  readonly namespace: string;
}

/** The checks of the node that this runs on. `isRunning`: there is a daemon already, whose ports these are. */
export function nodeGroups(
  config: Config,
  spec: CaptureSpec,
  isRunning: boolean,
  sources: NodeSources = thisNode(),
): CheckGroup[] {
  if (process.platform !== "linux") {
    return [group("node", () => Promise.resolve([skipped("nodes run Linux; this host does not")]))];
  }
  const ports = portsOf(config);
  let collected: Promise<NodeFacts> | null = null;
  const look = (title: string, judge: (facts: NodeFacts) => Finding[]): CheckGroup =>
    group(title, async () => {
      collected ??= collectNode(spec, [...ports.daemon, ...ports.registry], sources);
      return judge(await collected);
    });
  return [
    look("node: kernel and tools", (facts) => kernelFindings(facts, spec.mode)),
    look("node: kube-proxy", (facts) => kubeProxyFindings(facts, spec.mode)),
    look("node: network of the pods", (facts) => podNetworkFindings(facts, spec.mode)),
    look("node: other meshes", meshFindings),
    look("node: routing", (facts) => routingFindings(facts, spec)),
    look("node: system settings", sysctlFindings),
    look("node: firewall", firewallFindings),
    look("node: ports", (facts) => portFindings(facts, ports, isRunning)),
  ];
}

/** The checks of the cluster, with the account of the kubeconfig. */
export function clusterGroup({ kubeconfig, context, namespace }: ClusterChoice): CheckGroup {
  return group("cluster", async () => {
    const named = kubeconfig !== "" || context !== "";
    try {
      const api = await openCluster(kubeconfig, context);
      try {
        return clusterFindings(await collectCluster(api, namespace), namespace);
      } finally {
        await api.close();
      }
    } catch (error) {
      const text = reasonOf(error);
      if (!named && /no cluster is known/.test(text)) {
        return [skipped(`${text}; name one with --kubeconfig`)];
      }
      return [
        failure(
          `the API server cannot be asked: ${text}`,
          "Look at the kubeconfig, its context and the network.",
        ),
      ];
    }
  });
}

function portsOf({ ports, mesh, registry }: Config) {
  const { explicit, outbound, admin, metrics, ready } = ports;
  return {
    daemon: [admin, outbound, mesh.inboundPort, mesh.port, metrics, ready, explicit].filter(
      Boolean,
    ),
    registry: [registry.port, registry.tlsPort].filter(Boolean),
  };
}

function thisNode(): NodeSources {
  return {
    runner: execRunner(),
    isRoot: isRootOnLinux(),
    owners: portOwners,
    askProxyMode: async () => {
      try {
        const answer = await fetch(PROXY_MODE_URL, { signal: AbortSignal.timeout(PROXY_MODE_MS) });
        return answer.ok ? (await answer.text()).trim() : null;
      } catch {
        return null;
      }
    },
  };
}

function group(title: string, run: () => Promise<readonly Finding[]>): CheckGroup {
  return { title, run };
}

/** undici's errors say little themselves; their causes do. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error ? `${error.message} (${cause.message})` : error.message;
}

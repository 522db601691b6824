import { Command, Option } from "commander";
import { beginDashboard, refuseOpenDashboard } from "../../../daemon/dashboard.ts";
import { registryEtcd } from "../../../daemon/registry-etcd.ts";
import { outsideAddress, registryIdentity } from "../../../daemon/registry-identity.ts";
import { beginRegistryMetrics } from "../../../daemon/registry-metrics.ts";
import { shutdownSignals } from "../../../daemon/shutdown-signals.ts";
import type { Config } from "../../config/schema.ts";
import type { RunningDashboard } from "../../dashboard/server/start-dashboard.ts";
import type { JoinedCluster } from "../../kubernetes/join-cluster.ts";
import type { Log } from "../../registry/log.ts";
import type { RunningRegistry } from "../../registry/registry.ts";
import type { Source } from "../../registry/source.ts";
import { createLog } from "../../telemetry/log.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import { startFailure } from "../start-failure.ts";

/** `hostmesh registry`. */
export function registryCommand(onExit: (code: number) => void): Command {
  const command = new Command("registry")
    .summary("run the registry")
    .description(
      "Runs the registry: services, endpoints and workloads in one SQLite file or in etcd, an HTTP API (Consul's calls included), the watch that daemons follow, and the authority that gives hosts and workloads their certificates. With --source kubernetes it reads a cluster instead of keeping a file.",
    )
    .option("--host <name>", "name of the registry's own host (default: the system's)")
    .addOption(
      new Option("--source <source>", "what fills the registry").choices(["store", "kubernetes"]),
    )
    .option(
      "--kubeconfig <file>",
      "how the cluster is reached (default: as kubectl, in a pod by its account)",
    )
    .option("--context <name>", "context of the kubeconfig (default: its current one)")
    .action(async (flags: SettingsFlags) => {
      await runRegistry(readSettings(flags));
      onExit(EXIT.ok);
    });
  addSettingsOptions(command, ["data", "store"]);
  return describeCommand(command, {
    examples: [
      "hostmesh registry",
      "hostmesh registry --data /var/lib/hostmesh --set registry.bind=0.0.0.0",
      "hostmesh registry --store etcd --set registry.etcdEndpoints=https://10.0.0.1:2379,https://10.0.0.2:2379",
      "hostmesh registry --source kubernetes --context staging",
      'curl -X PUT http://127.0.0.1:15010/v1/agent/service/register -d \'{"Name":"catalog","Port":8080}\'',
    ],
    notes: [
      "Whoever reaches the plain port (registry.bind) is an operator: it is for this host. Daemons of other hosts come to the TLS port (registry.tlsBind) with a join token, see hostmesh identity token.",
    ],
  });
}

async function runRegistry(config: Config): Promise<void> {
  const { logLevel, logFormat } = config.telemetry;
  const log = createLog({ level: logLevel, format: logFormat });
  refuseOpenly(config);
  const { stop, force } = shutdownSignals(log);
  const stopped = aborted(stop);
  const cluster = await joinedCluster(config, log);
  try {
    const registry = await start(config, cluster, { stop, log }).catch((error: unknown) => {
      // A cluster that was waited for may never have come.
      if (stop.aborted) return null;
      throw error;
    });
    const dashboard = registry && (await serveDashboard(config, registry, log));
    const metrics = registry && (await beginRegistryMetrics(config, registry, dashboard, log));
    await stopped;
    const close = async () => {
      await metrics?.close();
      await dashboard?.close();
      await registry?.close();
    };
    await Promise.race([close(), aborted(force)]);
  } finally {
    await Promise.race([cluster?.close(), aborted(force)]);
  }
}

function refuseOpenly(config: Config): void {
  try {
    refuseOpenDashboard(config);
  } catch (reason) {
    throw startFailure(reason);
  }
}

async function serveDashboard(
  config: Config,
  registry: RunningRegistry,
  log: Log,
): Promise<RunningDashboard | null> {
  try {
    return await beginDashboard(config, registry, log);
  } catch (reason) {
    await registry.close();
    throw startFailure(reason);
  }
}

async function start(
  config: Config,
  cluster: JoinedCluster | null,
  parts: { readonly stop: AbortSignal; readonly log: Log },
): Promise<RunningRegistry> {
  const { startRegistry } = await import("../../registry/registry.ts");
  const { bind, port, virtualCidr4, virtualCidr6, pingMs, historyPerResource } = config.registry;
  const identity = registryIdentity(config);
  const etcd = registryEtcd(config);
  const source = cluster === null ? null : await sourceOf(config, cluster);
  return startRegistry({
    dataDir: config.dataDir,
    bind,
    port,
    host: config.host,
    nodeAddress: outsideAddress(bind),
    virtualCidr4,
    virtualCidr6,
    pingMs,
    balancer: { policy: config.balance.policy, slowStartMs: config.balance.slowStartMs },
    resources: { trustDomain: config.identity.trustDomain, historyPerResource },
    ...(identity === null ? {} : { identity: { ...cluster?.identity, ...identity } }),
    ...(etcd === null ? {} : { etcd }),
    ...(source === null ? {} : { source }),
    ...parts,
  });
}

/** Null: the registry keeps what it is told. The client of the API is large, and loaded by those who need it. */
async function joinedCluster(
  { registry, kubernetes }: Config,
  log: Log,
): Promise<JoinedCluster | null> {
  if (registry.source === "store") return null;
  if (registry.store === "etcd") {
    const remedy = "leave out --store: replicas share the cluster";
    throw new CliError("a registry that reads Kubernetes keeps nothing in etcd", {
      ...{ remedy, exitCode: EXIT.usage },
    });
  }
  const { joinCluster } = await import("../../kubernetes/join-cluster.ts");
  const { kubeconfig, context, namespace } = kubernetes;
  return joinCluster({
    ...{ kubeconfig, context, namespace, log },
    audience: registry.tokenReviewAudience,
  });
}

async function sourceOf({ kubernetes }: Config, cluster: JoinedCluster): Promise<Source> {
  const { KubernetesSource } = await import("../../kubernetes/source/kubernetes-source.ts");
  const { namespace: meshNamespace, enrol, recogniseLabels, writeStatus } = kubernetes;
  const { api, leader, replica: instance } = cluster;
  return new KubernetesSource({
    api,
    rules: { enrol, recogniseLabels, meshNamespace },
    ...(writeStatus === "on" ? { status: { leader, instance } } : {}),
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

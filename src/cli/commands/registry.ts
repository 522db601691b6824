import { Command, Option } from "commander";
import { outsideAddress, registryIdentity } from "../../../daemon/registry-identity.ts";
import { shutdownSignals } from "../../../daemon/shutdown-signals.ts";
import type { Config } from "../../config/schema.ts";
import type { ClusterRegistry } from "../../kubernetes/cluster-registry.ts";
import type { Source } from "../../registry/source.ts";
import { createLog, type Log } from "../../telemetry/log.ts";
import { EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";

/** `hostmesh registry`. */
export function registryCommand(onExit: (code: number) => void): Command {
  const command = new Command("registry")
    .summary("run the registry")
    .description(
      "Runs the registry: services, endpoints and workloads in one SQLite file, an HTTP API (Consul's calls included), the watch that daemons follow, and the authority that gives hosts and workloads their certificates. With --source kubernetes it reads a cluster instead of keeping a file.",
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
  addSettingsOptions(command, ["data"]);
  return describeCommand(command, {
    examples: [
      "hostmesh registry",
      "hostmesh registry --data /var/lib/hostmesh --set registry.bind=0.0.0.0",
      "hostmesh registry --source kubernetes --context staging",
      'curl -X PUT http://127.0.0.1:15010/v1/agent/service/register -d \'{"Name":"catalog","Port":8080}\'',
    ],
    notes: [
      "Whoever reaches the plain port (registry.bind) is an operator: it is for this host. Daemons of other hosts come to the TLS port (registry.tlsBind) with a join token, see hostmesh identity token.",
    ],
  });
}

async function runRegistry(config: Config): Promise<void> {
  const { startRegistry } = await import("../../registry/registry.ts");
  const { logLevel, logFormat } = config.telemetry;
  const { bind, port, virtualCidr4, virtualCidr6, pingMs, historyPerResource } = config.registry;
  const log = createLog({ level: logLevel, format: logFormat });
  const { stop, force } = shutdownSignals(log);
  const stopped = aborted(stop);
  const source = await sourceOf(config);
  const cluster = await clusterOf(config, log);
  const own = registryIdentity(config);
  const identity = own && { ...own, ...cluster?.identity };
  const starting = startRegistry({
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
    ...(identity === null ? {} : { identity }),
    ...(source === null ? {} : { source }),
    ...{ stop, log },
  });
  const registry = await starting.catch((error: unknown) => {
    // A cluster that was waited for may never have come.
    if (stop.aborted) return null;
    throw error;
  });
  if (registry === null) return;
  await stopped;
  const closing = registry.close().then(() => cluster?.close());
  await Promise.race([closing, aborted(force)]);
}

/** Null: this registry shares its authority with nobody. */
async function clusterOf(
  { identity, registry, kubernetes }: Config,
  log: Log,
): Promise<ClusterRegistry | null> {
  if (registry.source === "store" || identity.mode === "off") return null;
  const { openClusterRegistry } = await import("../../kubernetes/cluster-registry.ts");
  const { kubeconfig, context, namespace } = kubernetes;
  const audience = registry.tokenReviewAudience;
  return openClusterRegistry({ kubeconfig, context, namespace, audience, log });
}

/** Null: the registry keeps what it is told. The client of the API is large, and loaded by those who need it. */
async function sourceOf({ registry, kubernetes }: Config): Promise<Source | null> {
  if (registry.source === "store") return null;
  const { KubernetesSource } = await import("../../kubernetes/source/kubernetes-source.ts");
  const { kubeconfig, context, namespace: meshNamespace, enrol, recogniseLabels } = kubernetes;
  return new KubernetesSource({
    ...{ kubeconfig, context },
    rules: { enrol, recogniseLabels, meshNamespace },
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

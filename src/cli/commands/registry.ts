import { Command } from "commander";
import { registryEtcd } from "../../../daemon/registry-etcd.ts";
import { outsideAddress, registryIdentity } from "../../../daemon/registry-identity.ts";
import { shutdownSignals } from "../../../daemon/shutdown-signals.ts";
import type { Config } from "../../config/schema.ts";
import { createLog } from "../../telemetry/log.ts";
import { EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";

/** `hostmesh registry`. */
export function registryCommand(onExit: (code: number) => void): Command {
  const command = new Command("registry")
    .summary("run the registry")
    .description(
      "Runs the registry: services, endpoints and workloads in one SQLite file or in etcd, an HTTP API (Consul's calls included), the watch that daemons follow, and the authority that gives hosts and workloads their certificates.",
    )
    .option("--host <name>", "name of the registry's own host (default: the system's)")
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
  const identity = registryIdentity(config);
  const etcd = registryEtcd(config);
  const registry = await startRegistry({
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
    ...(etcd === null ? {} : { etcd }),
    log,
  });
  await stopped;
  await Promise.race([registry.close(), aborted(force)]);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

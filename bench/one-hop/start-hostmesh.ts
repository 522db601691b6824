import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { packageVersion } from "../../daemon/package-version.ts";
import { fetchThrough } from "../lib/fetch-through.ts";
import { freePorts } from "../lib/free-ports.ts";
import { pinned } from "../lib/pinning.ts";
import { registryCall } from "../lib/registry-call.ts";
import type { Workbench } from "../lib/workbench.ts";
import { type Contestant, SERVICE } from "./contestant.ts";

const CLI = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const START_MS = 30_000;

/**
 * `hostmesh up` of this checkout with one worker and otherwise its defaults, and the service with one endpoint for each
 * upstream port, registered as Consul's agents do. Registry, guardian and generation are one tree of processes.
 */
export async function startHostmesh(
  bench: Workbench,
  upstreams: readonly number[],
  cpu: number | null,
): Promise<Contestant> {
  const [explicit = 0, admin = 0, metrics = 0, ready = 0, registry = 0] = await freePorts(5);
  const settings = [
    ...["workers=1", `registry.port=${registry}`, "timeouts.drainMs=1000"],
    ...[`ports.explicit=${explicit}`, `ports.admin=${admin}`],
    ...[`ports.metrics=${metrics}`, `ports.ready=${ready}`, "ports.metricsBind=127.0.0.1"],
  ];
  const data = join(bench.folder, "hostmesh-data");
  const args = ["up", "--capture", "explicit", "--data", data, "--host", "bench"];
  const flags = settings.flatMap((setting) => ["--set", setting]);
  const command = pinned([process.execPath, CLI, ...args, ...flags], cpu);
  const pid = bench.start("hostmesh", command, environment());
  const isUp = async () =>
    (await fetchThrough(registry, "registry", "/v1/mesh/status")).status === 200;
  await bench.until("hostmesh", isUp, START_MS);
  for (const [at, port] of upstreams.entries()) {
    await registryCall(`http://127.0.0.1:${registry}`, "PUT", "/v1/agent/service/register", {
      ID: `${SERVICE}-${at}`,
      Name: SERVICE,
      Address: "127.0.0.1",
      Port: port,
    });
  }
  return {
    name: "hostmesh",
    version: packageVersion(),
    port: explicit,
    pid,
    warmUpSeconds: 6,
    connectTo: `${SERVICE}:80`,
  };
}

/** Without HOSTMESH_ variables: the defaults are measured, and not what somebody set in their shell. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("HOSTMESH_"));
  return Object.fromEntries(kept);
}

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { fetchThrough } from "../lib/fetch-through.ts";
import { freePorts } from "../lib/free-ports.ts";
import { pinned } from "../lib/pinning.ts";
import type { Workbench } from "../lib/workbench.ts";

const CLI = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const START_MS = 30_000;
export const SERVICE = "web";

/** How the daemon is started, and where its one endpoint is. */
export interface FreshDaemonOptions {
  readonly name: string;
  readonly warmUpMs: number | null;
  readonly upstream: number;
  readonly cpu: number | null;
}

/**
 * Starts `hostmesh up` with one worker and resolves with its explicit port once it is ready and has answered one request.
 * `warmUpMs` null: the setting's default.
 */
export async function freshDaemon(bench: Workbench, options: FreshDaemonOptions): Promise<number> {
  const { name, warmUpMs, upstream, cpu } = options;
  const [explicit = 0, admin = 0, metrics = 0, ready = 0, registry = 0] = await freePorts(5);
  const data = join(bench.folder, name);
  await mkdir(data);
  const records = join(data, "records.yaml");
  const endpoint = { id: "bench/1", service: SERVICE, address: "127.0.0.1", port: upstream };
  await writeFile(records, stringify({ services: [{ name: SERVICE }], endpoints: [endpoint] }));
  const settings = [
    ...["workers=1", `registry.port=${registry}`, "timeouts.drainMs=500"],
    ...[`ports.explicit=${explicit}`, `ports.admin=${admin}`],
    ...[`ports.metrics=${metrics}`, `ports.ready=${ready}`, "ports.metricsBind=127.0.0.1"],
    ...(warmUpMs === null ? [] : [`timeouts.warmUpMs=${warmUpMs}`]),
  ].flatMap((setting) => ["--set", setting]);
  const args = [
    "up",
    "--capture",
    "explicit",
    "--data",
    data,
    "--host",
    "bench",
    "--file",
    records,
  ];
  bench.start(name, pinned([process.execPath, CLI, ...args, ...settings], cpu));
  const answers = async () => (await fetchThrough(explicit, SERVICE, "/")).status === 200;
  await bench.until(name, answers, START_MS);
  return explicit;
}

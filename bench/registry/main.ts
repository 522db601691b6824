import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { registryCall } from "../lib/registry-call.ts";

/**
 * Size of the registry: 10,000 services with 100,000 endpoints, one real client, 1,000 simulated watchers.
 * `node bench/registry/main.ts [SERVICES] [ENDPOINTS] [WATCHERS]`; see docs/scale.md.
 */
const [services = 10_000, endpoints = 100_000, watchers = 1_000] = process.argv
  .slice(2)
  .map(Number);
const WATCHER_PROCESSES = 4;
const CHANGES = 20;
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const dataDir = await mkdtemp(join(tmpdir(), "hostmesh-bench-"));
const children: ChildProcess[] = [];

function start(name: string, args: readonly string[]): ChildProcess {
  const child = fork(here(name), args, { execArgv: ["--expose-gc"] });
  children.push(child);
  return child;
}

/** The fields of the next message of a child; throws what the child reports as an error. */
async function message(child: ChildProcess): Promise<Map<string, unknown>> {
  const [received] = await once(child, "message");
  const found = new Map<string, unknown>(Object.entries(received));
  if (found.has("error")) throw new Error(String(found.get("error")));
  return found;
}

const megabytes = (bytes: unknown) => `${(Number(bytes) / 1e6).toFixed(0)} MB`;
const seconds = (ms: unknown) => `${(Number(ms) / 1e3).toFixed(2)} s`;

const statusReply = z.object({
  epoch: z.string(),
  revision: z.number(),
  services: z.number(),
  endpoints: z.number(),
});

async function fill(url: string): Promise<number> {
  const begin = performance.now();
  const batch = 2_000;
  for (let first = 0; first < endpoints; first += batch) {
    await registryCall(url, "POST", "/v1/mesh/apply", {
      endpoints: Array.from({ length: Math.min(batch, endpoints - first) }, (_, offset) => {
        const index = first + offset;
        return {
          id: `instance-${index}`,
          host: `host-${index % 1_000}`,
          service: `service-${index % services}`,
          namespace: `team-${(index % services) % 50}`,
          address: `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`,
          port: 8_080,
          zone: `zone-${index % 3}`,
          protocol: "http",
          meta: { version: "1.2.3" },
        };
      }),
    });
  }
  return performance.now() - begin;
}

async function memory(registry: ChildProcess): Promise<Map<string, unknown>> {
  registry.send({ ask: "memory" });
  return message(registry);
}

async function changesToAll(url: string, groups: readonly ChildProcess[]) {
  const times: number[] = [];
  for (let index = 0; index < CHANGES; index++) {
    const arrived = Promise.all(groups.map((group) => message(group)));
    const begin = Number(process.hrtime.bigint()) / 1e6;
    await registryCall(url, "PUT", "/v1/mesh/endpoints/host-1/changing", {
      ...{ service: "service-1", namespace: "team-1", address: "10.200.0.1" },
      port: 10_000 + index,
    });
    const ends = (await arrived).map((each) => Number(each.get("atMs")));
    times.push(Math.max(...ends) - begin);
  }
  return times.sort((a, b) => a - b);
}

async function run(): Promise<void> {
  const registry = start("registry.ts", [dataDir]);
  const started = await message(registry);
  const url = String(started.get("url"));
  const empty = await memory(registry);
  console.log(`node ${process.version}, ${availableParallelism()} CPUs (${cpus()[0]?.model})`);
  console.log(`filled by batches of 2,000 in ${seconds(await fill(url))}`);
  const full = await memory(registry);
  const status = statusReply.parse(await registryCall(url, "GET", "/v1/mesh/status"));
  console.log(`services ${status.services}, endpoints ${status.endpoints}`);
  console.log(
    `registry rss ${megabytes(empty.get("rss"))} empty, ${megabytes(full.get("rss"))} full`,
  );
  console.log(
    `registry heap ${megabytes(empty.get("heapUsed"))} empty, ${megabytes(full.get("heapUsed"))} full`,
  );
  const synced = await message(start("client.ts", [url, dataDir]));
  console.log(`full sync of ${synced.get("records")} records in ${seconds(synced.get("syncMs"))}`);
  console.log(
    `client rss ${megabytes(synced.get("before"))} before, ${megabytes(synced.get("rss"))} after`,
  );
  console.log(`client heap ${megabytes(synced.get("heapUsed"))}`);
  console.log(`client longest stall ${Number(synced.get("longestMs")).toFixed(0)} ms`);
  const groups = Array.from({ length: WATCHER_PROCESSES }, () =>
    start("watchers.ts", [url, String(watchers / WATCHER_PROCESSES)]),
  );
  const ready = Promise.all(groups.map((group) => message(group)));
  for (const group of groups) group.send({ epoch: status.epoch, revision: status.revision });
  await ready;
  const times = await changesToAll(url, groups);
  const at = (share: number) =>
    `${(times[Math.floor((times.length - 1) * share)] ?? 0).toFixed(1)} ms`;
  console.log(
    `one change to ${watchers} watchers, from request to the last: median ${at(0.5)}, worst ${at(1)}`,
  );
  const after = await memory(registry);
  console.log(`registry rss with ${watchers} watchers ${megabytes(after.get("rss"))}`);
}

try {
  await run();
} finally {
  const ended = children.map((child) => once(child, "exit"));
  for (const child of children) child.kill();
  await Promise.all(ended);
  await rm(dataDir, { recursive: true, force: true });
}

import assert from "node:assert/strict";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { LoadJob, LoadResult } from "../../bench/model.ts";
import { percentilesOf } from "../../bench/result/latency.ts";
import { until } from "../helpers/until.ts";
import { Mesh, type MeshContainer, type MeshHost } from "./helpers/mesh.ts";
import { skipReason } from "./helpers/privilege.ts";
import { Program } from "./helpers/program.ts";
import { must } from "./helpers/shell.ts";

const GENERATOR = fileURLToPath(new URL("../../bench/load/main.ts", import.meta.url));
const UPSTREAM = fileURLToPath(new URL("../../bench/upstream/main.ts", import.meta.url));
const ROUNDS = 4;
const PEERS = 4;
/** The load goes on for so much longer than what is measured beside it. */
const MARGIN_SECONDS = 1.6;
const SECONDS = 1;
const [PROXY_CPU, LOAD_CPU] = ["0", "1"];
/** Before everything else on its CPU: what is measured shall wait in the proxy and nowhere else. */
const URGENT = ["chrt", "--rr", "10"];

/** Latencies in milliseconds. */
interface Round {
  readonly p50: number;
  readonly p99: number;
  /** Requests per second of all that ran beside, and the lowest p50 among them. */
  readonly beside: number;
  readonly besideP50: number;
}

const show = ({ p50, p99, beside, besideP50 }: Round) =>
  `${p50.toFixed(2)}/${p99.toFixed(2)} ms (${beside.toFixed(0)}/s at ${besideP50.toFixed(2)} ms)`;

const NO_REASON = skipReason();
const skip = NO_REASON || (availableParallelism() < 2 ? "the proxy needs a CPU of its own" : false);

/** Hundreds of connections of one container against a few of several: the same saturated worker, another owner of its load. */
describe("a container beside a flood", { skip }, () => {
  let mesh: Mesh;
  let host: MeshHost;
  let modest: MeshContainer;
  let flood: MeshContainer;
  const peers: MeshContainer[] = [];
  const addresses = new Map<string, string>();

  before(async () => {
    mesh = await Mesh.create();
    host = await mesh.host("a", { veth: "unnumbered", ipv6: false });
    modest = await host.container("modest", { address4: "10.1.0.2" });
    flood = await host.container("flood", { address4: "10.1.0.3" });
    for (let at = 0; at < PEERS; at += 1) {
      peers.push(await host.container(`peer${at}`, { address4: `10.1.0.${10 + at}` }));
    }
    await mesh.startRegistry(host);
    await mesh.apply({ workloads: [modest, flood, ...peers].map(({ workload }) => workload) });
    await service("measured", "10.1.0.4", URGENT);
    await service("beside", "10.1.0.5", []);
    const daemon = await host.startDaemon({ capture: "tproxy", set: ["workers=1"] });
    await host.untilCaptured(modest, flood, ...peers);
    for (const pid of [daemon.pid, ...daemon.children]) {
      await must("taskset", ["-a", "-c", "-p", PROXY_CPU as string, String(pid)]);
    }
  });
  after(() => mesh?.destroy());

  /** Starts a service in a container of its own. */
  async function service(
    name: string,
    address4: string,
    priority: readonly string[],
  ): Promise<void> {
    const at = await host.container(name, { address4 });
    const command = [...priority, process.execPath, UPSTREAM, address4, "1"];
    const server = pinned(at, command);
    await server.said(/\[\d+\]/);
    const port = Number(/\[(\d+)\]/.exec(server.output)?.[1]);
    await mesh.apply({
      services: [{ name, ports: [{ name: "", port: 80 }] }],
      endpoints: [host.endpoint(name, name, at, port)],
    });
    addresses.set(name, (await mesh.addressesOf(name)).v4);
  }

  function pinned({ container }: MeshContainer, command: readonly string[]): Program {
    return new Program(container.namespace, "taskset", ["-c", LOAD_CPU as string, ...command]);
  }

  /** Runs a load in a container; resolves `counting` when its counted time begins. */
  function run(
    from: MeshContainer,
    name: string,
    load: Pick<LoadJob, "connections" | "rate" | "seconds">,
    priority: readonly string[] = [],
  ): { counting: Promise<void>; result: Promise<LoadResult> } {
    const target = { host: addresses.get(name) ?? "", port: 80, authority: name, connect: false };
    const fixed = { protocol: "http1", bodyBytes: 115, warmUpSeconds: 0.2, vary: true } as const;
    const program = pinned(from, [...priority, process.execPath, GENERATOR]);
    program.child.stdin?.end(JSON.stringify({ ...fixed, ...load, targets: [target] }));
    const counting = Promise.withResolvers<void>();
    const result = Promise.withResolvers<LoadResult>();
    createInterface({ input: program.child.stdout! }).on("line", (line) => {
      const told: { event: string; result?: LoadResult } = JSON.parse(line);
      if (told.event === "counting") counting.resolve();
      if (told.result !== undefined) result.resolve(told.result);
    });
    once(program.child, "exit").then(() => result.reject(new Error(program.output)));
    result.promise.catch(counting.reject);
    return { counting: counting.promise, result: result.promise };
  }

  /** What the modest one sees beside these: its own p50 and p99, and theirs, with their requests per second. */
  async function measure(others: readonly MeshContainer[], connections: number): Promise<Round> {
    const load = { connections, rate: null, seconds: SECONDS + MARGIN_SECONDS };
    const running = others.map((one) => run(one, "beside", load));
    await Promise.all(running.map(({ counting }) => counting));
    const own = { connections: 8, rate: 500, seconds: SECONDS };
    const { histogram, errors } = await run(modest, "measured", own, URGENT).result;
    assert.deepEqual(errors, {});
    let beside = 0;
    let besideP50 = Number.POSITIVE_INFINITY;
    for (const { result } of running) {
      const { histogram, requests, seconds, errors } = await result;
      assert.deepEqual(errors, {});
      beside += requests / seconds;
      besideP50 = Math.min(besideP50, percentilesOf(histogram).p50);
    }
    const { p50, p99 } = percentilesOf(histogram);
    return { p50, p99, beside, besideP50 };
  }

  test("does not wait behind its hundreds of connections", async (t) => {
    await until(
      async () => (await modest.http(`http://${addresses.get("measured")}/115`)).status === 200,
    );
    const fair: Round[] = [];
    const flooded: Round[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      fair.push(await measure(peers, 8));
      flooded.push(await measure([flood], 300));
    }
    t.diagnostic(`p50/p99 beside well-behaved: ${fair.map(show).join(", ")}`);
    t.diagnostic(`p50/p99 beside a flood: ${flooded.map(show).join(", ")}`);
    assert.ok((await host.metric("hostmesh_turn_waits_total")) > 100, "the flood had to wait");
    // Without turns the modest one stands in the flood's line: its wait is 0.4 to 0.8 of the flood's on this kind of
    // machine, with them 0.1 to 0.2. A slow machine slows both, so that their ratio is no time. The bound of 20 % is
    // held against the queue itself, in virtual time, by test/proxy/routing/policy/fair-queue.test.ts.
    const shares = flooded.map(({ p50, besideP50 }) => p50 / besideP50).sort((a, b) => a - b);
    t.diagnostic(`share of the flood's own p50: ${shares.map((s) => s.toFixed(2)).join(", ")}`);
    assert.ok((shares[1] as number) < 0.4, `waits ${shares} of what the flood waits`);
  });
});

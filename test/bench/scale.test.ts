import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { build, encodeIntoCompressedBase64 } from "hdr-histogram-js";
import { parse } from "yaml";
import { envoyConfig } from "../../bench/contestants/envoy-config.ts";
import { findHaproxy } from "../../bench/contestants/haproxy-program.ts";
import { findNginx } from "../../bench/contestants/nginx-program.ts";
import type { Program } from "../../bench/contestants/program.ts";
import type { ProxyPlan } from "../../bench/contestants/relay.ts";
import { routingMesh } from "../../bench/micro/routing-mesh.ts";
import type { Sample } from "../../bench/model.ts";
import { largeProgram } from "../../bench/scale/large-program.ts";
import { runScale, type ScaleOptions } from "../../bench/scale/run-scale.ts";
import { loadOf, pointName, pointsOf } from "../../bench/scale/scale-point.ts";
import { toRow } from "../../bench/scale/to-row.ts";

const onLinux = { skip: process.platform === "linux" ? false : "needs /proc" };
const ENDPOINTS = [1, 2, 3].map((at) => ({ host: `127.1.0.${at}`, port: 20_001 }));
const EXTENT = { endpoints: ENDPOINTS, serverConnections: 515 };

function planIn(scratch: string): ProxyPlan {
  const listen = { host: "127.0.0.1", port: 21_000 };
  const routes = [{ authority: "web-0", to: ENDPOINTS[0] ?? listen }];
  const wires = { accepts: "http1", dials: "http1" } as const;
  return {
    ...{ role: "host proxy", scratch, workers: 1, connections: 64, credentials: null },
    place: { host: "a", netns: null, address: "127.0.0.1" },
    relays: [{ name: "services", listen, ...wires, routes }],
  };
}

function sample(given: Partial<Sample> & { micros?: number; requests?: number }): Sample {
  const { micros = 10, requests = 1_000, ...rest } = given;
  const histogram = build({ numberOfSignificantValueDigits: 3 });
  histogram.recordValueWithCount(2_000, 1_000);
  return {
    contestant: "hostmesh",
    workload: {
      protocol: "http1",
      bodyBytes: 115,
      connections: 64,
      streams: 1,
      call: "unary",
      messages: 1,
      rate: null,
      services: 10,
    },
    round: 0,
    load: {
      ...{ requests, bodyBytes: 115 * requests, seconds: 2, errors: {}, lateP99Micros: null },
      ...{ histogram: encodeIntoCompressedBase64(histogram), cpuMs: 1, connectionsOpened: 0 },
    },
    cpu: { userMs: (micros * requests) / 2e3, systemMs: (micros * requests) / 2e3 },
    ...{ contextSwitches: 1, pssBytes: { a: 100, b: 0 }, rssBytes: { a: 200, b: 0 } },
    ...{ openConnections: null, handshakes: { tcp: 0, tls: 0 }, loadBusy: 1, proxyBusy: 1 },
    ...{ foreignShare: 0, isCpuShared: false, bottleneck: "proxy", problems: [] },
    ...rest,
  };
}

test("one thing grows and everything else stays", () => {
  const [few, many] = pointsOf("services", [1_000, 10, 10]);
  assert.deepEqual([few?.value, many?.value], [10, 1_000]);
  assert.deepEqual(many, {
    ...{ dimension: "services", value: 1_000, services: 1_000, called: 1_000 },
    ...{ endpointsEach: 1, active: 64, idle: 0, workers: 1 },
  });
  const [three, known] = pointsOf("known", [1_000, 3]);
  assert.deepEqual([three?.services, three?.called], [3, 3]);
  assert.deepEqual([known?.services, known?.called], [1_000, 10]);
  assert.ok(known !== undefined && pointName(known) === "1000 known services");
  const [endpoints] = pointsOf("endpoints", [100]);
  assert.deepEqual([endpoints?.services, endpoints?.endpointsEach], [1, 100]);
  const [connections] = pointsOf("connections", [100]);
  assert.deepEqual([connections?.active, connections?.idle], [64, 100]);
  assert.ok(connections !== undefined && pointName(connections) === "100 idle connections");
});

test("workers go up to the CPUs, whatever points are asked for", () => {
  const counts = (cpus: number) =>
    pointsOf("workers", [10, 100], cpus).map(({ workers }) => workers);
  assert.deepEqual(counts(1), [1]);
  assert.deepEqual(counts(2), [1, 2]);
  assert.deepEqual(counts(6), [1, 2, 3, 4, 6]);
  assert.deepEqual(counts(96), [1, 2, 3, 4, 8, 16]);
});

test("a row has the spread of all rounds, and every problem with its round", () => {
  const [point] = pointsOf("services", [10]);
  assert.ok(point !== undefined);
  const row = toRow(point, "http1", [
    sample({ micros: 10 }),
    sample({ micros: 14, round: 1, problems: ["3 × reset"], bottleneck: "load" }),
    sample({ micros: 12, round: 2, requests: 4_000 }),
  ]);
  assert.deepEqual(row?.cpuMicrosPerRequest, { median: 12, min: 10, max: 14 });
  assert.deepEqual(row?.throughput, { median: 500, min: 500, max: 2_000 });
  assert.ok(Math.abs((row?.p99Ms.median ?? 0) - 2) < 0.01);
  assert.deepEqual(row?.problems, ["round 2: 3 × reset"]);
  assert.deepEqual([row?.bottleneck, row?.pssBytes], ["proxy", 100]);
  assert.equal(toRow(point, "http1", [sample({ requests: 0 })]), null);
  assert.equal(toRow(point, "http1", []), null);
});

async function accepted(found: Program | { reason: string }, flags: readonly string[]) {
  if ("reason" in found) return found.reason;
  const folder = await mkdtemp(join(tmpdir(), "scale-test-"));
  try {
    const plan = planIn(folder);
    const file = join(folder, "config");
    const text = largeProgram(found, EXTENT).config(plan);
    await writeFile(file, text);
    const [path = ""] = found.command(file, plan);
    const { status, stderr } = spawnSync(path, [...flags, file], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    return text;
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("nginx accepts many endpoints, of which it takes the less loaded of two", async (t) => {
  const found = await findNginx();
  if ("reason" in found) return t.skip(found.reason);
  const text = await accepted(found, ["-e", "stderr", "-t", "-c"]);
  assert.match(
    text,
    /random two least_conn;\n {4}server 127\.1\.0\.1:20001;\n {4}server 127\.1\.0\.2/,
  );
  assert.match(text, /\bkeepalive 515;/);
  assert.equal(text.match(/^ {4}server 127/gm)?.length, 3);
});

test("HAProxy accepts many endpoints and may use all its descriptors", async (t) => {
  const found = await findHaproxy();
  if ("reason" in found) return t.skip(found.reason);
  const text = await accepted(found, ["-c", "-f"]);
  assert.match(text, /balance random\(2\)\n {2}server web-0-0 127\.1\.0\.1:20001 pool-max-conn -1/);
  assert.equal(text.match(/pool-purge-delay 1h/g)?.length, 3);
  assert.match(text, /no strict-limits/);
});

test("Envoy gets many endpoints in its only cluster", () => {
  const program: Program = {
    ...{ peer: "envoy", version: "1", ending: "yaml", config: envoyConfig, command: () => [] },
  };
  const text = largeProgram(program, EXTENT).config(planIn("/tmp/x"));
  assert.match(text, /^# /);
  const [cluster] = parse(text).static_resources.clusters;
  assert.equal(cluster.lb_policy, "LEAST_REQUEST");
  assert.equal(cluster.load_assignment.endpoints[0].lb_endpoints.length, 3);
});

test("a configuration that is not as expected is refused, and not measured as it is", () => {
  const program: Program = {
    ...{ peer: "nginx", version: "1", ending: "conf", config: () => "other", command: () => [] },
  };
  assert.throws(() => largeProgram(program, EXTENT).config(planIn("/tmp/x")), /has nothing like/);
});

test("the mesh of the micro-benchmark routes every name to its own service", () => {
  const { clients, head, plane, services } = routingMesh(300, 2, 1);
  const [client] = clients;
  for (const service of services) {
    head.host = service.name;
    const found = client?.router.route(head);
    assert.ok(found?.kind === "cluster" && found.cluster.service === service);
    const picked = found.cluster.balancer.pick(PICK);
    assert.ok(picked !== null && service.endpoints.includes(picked));
  }
  assert.equal(plane.services.size, 300);
});

const PICK = { hash: -1, tried: [] };

const OPTIONS: ScaleOptions = {
  protocol: "http1",
  ...{ peers: ["hostmesh", "envoy"], envoyBinary: "/nowhere/envoy", points: [3] },
  dimensions: ["endpoints", "connections"],
  ...{ seconds: 0.3, settleSeconds: 0.1, repeat: 2, warmUpSeconds: 1 },
};

test("hostmesh is measured at each point, and who is absent is missing", onLinux, async () => {
  const configFolder = await mkdtemp(join(tmpdir(), "scale-test-"));
  const lines: string[] = [];
  try {
    const { signal } = new AbortController();
    const context = { signal, configFolder, onProgress: (line: string) => void lines.push(line) };
    const { rows, missing, notes, isComplete } = await runScale(context, OPTIONS);
    assert.deepEqual(
      missing.map(({ name }) => name),
      ["envoy"],
    );
    assert.ok(isComplete && notes.length > 0);
    assert.deepEqual(
      rows.map(({ contestant, dimension, value }) => [contestant, dimension, value]),
      OPTIONS.dimensions.map((dimension) => ["hostmesh", dimension, 3]),
    );
    for (const row of rows) {
      assert.ok(row.throughput.min > 0 && row.cpuMicrosPerRequest.min > 0 && row.pssBytes > 1e7);
    }
    const folder = join(configFolder, "hostmesh-with-3-endpoints");
    const records = JSON.parse(await readFile(join(folder, "registry.records.json"), "utf8"));
    const addresses = records.endpoints.map(({ address }: { address: string }) => address);
    assert.equal(new Set(addresses).size, 3);
    assert.ok(lines.some((line) => line.includes("3 endpoints: hostmesh, round 2/2")));
  } finally {
    await rm(configFolder, { recursive: true });
  }
});

test("over HTTP/2 as many requests are under way on fewer connections", onLinux, async (t) => {
  assert.deepEqual(loadOf("http1", 64), { connections: 64, streams: 1 });
  assert.deepEqual(loadOf("http2", 64), { connections: 8, streams: 8 });
  const found = await findHaproxy();
  if ("reason" in found) return t.skip(found.reason);
  const configFolder = await mkdtemp(join(tmpdir(), "scale-test-"));
  try {
    const { signal } = new AbortController();
    const context = { signal, configFolder, onProgress: () => undefined };
    const { rows, missing, notes } = await runScale(context, {
      ...OPTIONS,
      ...{ protocol: "http2", peers: ["haproxy"], dimensions: ["endpoints", "connections"] },
    });
    assert.deepEqual(missing, []);
    assert.deepEqual(
      rows.map(({ dimension, protocol, problems }) => [dimension, protocol, problems]),
      OPTIONS.dimensions.map((dimension) => [dimension, "http2", []]),
    );
    assert.match(notes[0] ?? "", /HTTP\/2, 115 bytes, 8 connections of 8 streams/);
    const file = join(configFolder, "haproxy-with-3-endpoints", "host-proxy.cfg");
    const config = await readFile(file, "utf8");
    assert.match(config, /bind \S+ proto h2$/m);
    assert.equal(config.match(/^ {2}server .* proto h2$/gm)?.length, 3);
  } finally {
    await rm(configFolder, { recursive: true });
  }
});

test("a run that is broken off before the first point rejects", onLinux, async () => {
  const stop = new AbortController();
  stop.abort();
  const context = { signal: stop.signal, configFolder: tmpdir(), onProgress: () => undefined };
  await assert.rejects(runScale(context, { ...OPTIONS, peers: ["hostmesh"] }), {
    name: "AbortError",
  });
});

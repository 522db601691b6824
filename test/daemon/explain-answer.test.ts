import assert from "node:assert/strict";
import { test } from "node:test";
import { explainAnswer } from "../../daemon/explain/explain-answer.ts";
import type { GenerationStart } from "../../daemon/generation-messages.ts";
import { makeCompiler } from "../../daemon/make-compiler.ts";
import { layout, MAIN_THREAD, openMemory } from "../../daemon/memory.ts";
import { configSchema } from "../../src/config/schema.ts";
import { processClock } from "../../src/core/clock.ts";
import type { Change } from "../../src/core/model.ts";
import type { Policy } from "../../src/core/policy.ts";
import type { TrafficPolicy } from "../../src/core/traffic.ts";
import { endpoint, memoryLog, put, service, workload } from "./fixtures.ts";

const LIMITS = { endpoints: 64, workloads: 16, metricSeries: 64, services: 32, rateBuckets: 32 };

function setup(extra: readonly Change[] = []) {
  const config = configSchema.parse({ host: "node-a", limits: LIMITS });
  const memory = layout(config, 2);
  const own = openMemory(memory, MAIN_THREAD, config);
  const start = {
    config,
    ownAddresses: ["127.0.0.1"],
    ownPorts: [4140],
  } as unknown as GenerationStart;
  const compiler = makeCompiler(start, memory, own, memoryLog().log);
  const changes: Change[] = [
    put(service("web", { addresses: ["240.240.0.7"], ports: [{ name: "", port: 80 }] })),
    put(endpoint("node-a/web-1", "web", { address: "10.1.0.5" })),
    put(endpoint("node-b/web-2", "web", { address: "10.2.0.5" })),
    put(workload("web-1", "node-a", ["10.1.0.5"])),
    put(workload("shopper", "node-a", ["10.1.0.9"])),
    {
      kind: "host",
      key: "node-b",
      value: { name: "node-b", address: "192.0.2.2", meshPort: 15008 },
    },
    put(workload("web-2", "node-b", ["10.2.0.5"])),
    ...extra,
  ];
  compiler.apply({ revision: 12, full: true, changes });
  const identity = { credentials: () => ({ trustDomain: "cluster.local" }) };
  const parts = {
    ...{ config, mode: "tproxy", compiler, clock: processClock, memory, start },
    identity,
  } as unknown as Parameters<typeof explainAnswer>[0];
  return { parts, own, compiler, memory };
}

const ASKED = { source: "default/shopper", destination: "http://web", path: "/api" };

test("a daemon explains from its own state, and changes nothing of it", async () => {
  const deny: Policy = {
    ...{ kind: "authorization", source: "AuthorizationPolicy default/no-api", createdMs: 1 },
    ...{ scope: { namespace: "default", labels: {} }, action: "deny", dryRun: false },
    rules: [{ from: [], to: [{ paths: ["/api*"] }], when: [] }],
  };
  const limits: TrafficPolicy = {
    ...{ source: "DestinationRule default/web", createdMs: 1, service: "default/web" },
    ...{ namespace: "default", root: false, clients: null, ports: {}, subsets: [] },
    settings: {
      connections: { maxRequests: 1 },
      balancer: { policy: "least-request", slowStartMs: 0 },
    },
  };
  const { parts, own, compiler, memory } = setup([
    { kind: "policy", key: "p", value: deny },
    { kind: "traffic", key: "t", value: limits },
  ]);
  const [web] = [...compiler.services()];
  const remote = web?.endpoints.find(({ local }) => !local);
  assert.ok(remote !== undefined);
  own.endpoints.eject(remote.slot, processClock.now() + 60_000, 1);
  const before = Buffer.from(memory.buffer).toString("base64");
  for (let turn = 0; turn < 3; turn++) {
    const { host, revision, steps, outcome, endpoints } = await explainAnswer(parts, ASKED);
    assert.deepEqual([host, revision], ["node-a", 12]);
    const step = (stage: string) => steps.find((each) => each.stage === stage);
    assert.match(step("source")?.decision ?? "", /^default\/shopper, spiffe:/);
    assert.match(step("destination")?.because ?? "", /^240\.240\.0\.7:80: /);
    assert.equal(step("limits")?.resource, "DestinationRule default/web");
    assert.equal(step("endpoints")?.resource, "DestinationRule default/web");
    assert.match(endpoints[1]?.excluded ?? "", /^ejected by this host for \d+ s more$/);
    assert.equal(step("authorisation")?.resource, "AuthorizationPolicy default/no-api");
    assert.deepEqual(
      [outcome.kind, outcome.status, outcome.error],
      ["refused", 403, "ACCESS_DENIED"],
    );
  }
  assert.equal(Buffer.from(memory.buffer).toString("base64"), before);
});

test("another host's endpoint is reached by mutual TLS, and that host is named to be asked next", async () => {
  const { parts, own, compiler } = setup();
  const [web] = [...compiler.services()];
  const local = web?.endpoints.find((one) => one.local);
  assert.ok(local !== undefined);
  own.endpoints.eject(local.slot, processClock.now() + 60_000, 1);
  const { steps, outcome } = await explainAnswer(parts, ASKED);
  const transport = steps.find(({ stage }) => stage === "transport");
  assert.equal(transport?.decision, "mutual TLS to 192.0.2.2:15008");
  assert.equal(outcome.next?.host, "node-b");
  assert.deepEqual(
    [outcome.next?.request.destination, outcome.next?.request.fromIdentity],
    ["http://10.2.0.5:8080", "spiffe://cluster.local/ns/default/sa/shopper"],
  );
});

test("the host of the endpoint judges what comes from another host", async () => {
  const strict: Policy = {
    ...{ kind: "authorization", source: "AuthorizationPolicy default/only-ann", createdMs: 1 },
    ...{ scope: { namespace: "default", labels: {} }, action: "allow", dryRun: false },
    rules: [{ from: [{ principals: ["cluster.local/ns/default/sa/ann"] }], to: [], when: [] }],
  };
  const { parts } = setup([{ kind: "policy", key: "p", value: strict }]);
  const asked = { destination: "http://10.1.0.5:8080", path: "/" };
  const from = (name: string) => `spiffe://cluster.local/ns/default/sa/${name}`;
  const ann = await explainAnswer(parts, { ...asked, fromIdentity: from("ann") });
  assert.deepEqual([ann.outcome.kind, ann.outcome.endpoint?.id], ["forward", "node-a/web-1"]);
  const bob = await explainAnswer(parts, { ...asked, fromIdentity: from("bob") });
  assert.deepEqual([bob.outcome.kind, bob.outcome.error], ["refused", "ACCESS_DENIED"]);
  const stranger = await explainAnswer(parts, { ...asked, source: "192.0.2.99" });
  assert.equal(stranger.outcome.error, "ACCESS_DENIED");
  assert.match(
    stranger.steps.at(-1)?.details[0] ?? "",
    /^mutual TLS at port 8080 of default\/web-1: permissive/,
  );
});

test("opaque connections are explained, and hostile questions are refused", async () => {
  const { parts } = setup([put(service("db", { protocol: "tcp", addresses: ["240.240.0.9"] }))]);
  const db = await explainAnswer(parts, { ...ASKED, destination: "tcp://db:5432" });
  assert.deepEqual(
    [db.outcome.kind, db.outcome.status, db.outcome.error],
    ["refused", null, "NO_ENDPOINT"],
  );
  const outside = await explainAnswer(parts, { ...ASKED, destination: "tcp://192.0.2.77:5432" });
  assert.equal(outside.outcome.kind, "outside");
  const hostile = [null, 1, [], {}, { ...ASKED, path: "x".repeat(9_000) }, { ...ASKED, more: 1 }];
  for (const each of hostile) await assert.rejects(explainAnswer(parts, each), RangeError);
  const headers = Array.from({ length: 101 }, () => ["a", "b"]);
  await assert.rejects(explainAnswer(parts, { ...ASKED, headers }), RangeError);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { layout, openMemory } from "../../daemon/memory.ts";
import { processClock } from "../../src/core/clock.ts";
import type { ExplainRequest } from "../../src/core/explanation.ts";
import type { DataService, DataUpdate } from "../../src/core/snapshot.ts";
import type { RouteRule } from "../../src/core/traffic.ts";
import { applyUpdate } from "../../src/proxy/apply-update.ts";
import { explainRequest } from "../../src/proxy/explain/explain-request.ts";
import { makePlane } from "../../src/proxy/make-plane.ts";
import { endpoint, planeLab, service, workload } from "../helpers/plane.ts";
import { ask, everything, named, table } from "../helpers/route-lab.ts";

const CALLER = workload(0, "shopper", "127.0.0.1");

/** Explains over a plane of its own with the same services as a lab's. */
function explainer(lab: Awaited<ReturnType<typeof planeLab>>, services: DataService[]) {
  return async (more: Partial<ExplainRequest>) => {
    const { config } = lab;
    const plane = makePlane({
      config,
      ...openMemory(layout(config, 1), 0, config),
      recorder: {
        ...{
          exchange() {},
          opened() {},
          started() {},
          event() {},
          detection() {},
          http2() {},
          retry() {},
        },
        ejection() {},
      },
      watch: { texts: false, details: false },
      ...{ clock: processClock, random: () => 0, destination: null },
      ...{ ownAddresses: [], ownPorts: [], log() {} },
    });
    const update: DataUpdate = {
      ...{ revision: 4, full: true, services, workloads: [CALLER] },
      ...{ removedServices: [], removedWorkloads: [] },
    };
    applyUpdate(plane, update);
    const request = { source: "default/shopper", destination: "web", method: "GET", path: "/" };
    try {
      const facts = { workloads: [CALLER], says: () => "DestinationRule default/web" };
      return await explainRequest(plane, facts, { ...request, headers: [], ...more });
    } finally {
      plane.pools.close();
      plane.deadlines.close();
      plane.alarms.close();
    }
  };
}

const EVERYBODY = { clients: null, settings: {}, ports: {} };

const RULES: readonly RouteRule[] = [
  everything({
    name: "beta",
    matches: [
      {
        path: { kind: "prefix", value: "/api" },
        headers: [{ name: "x-user", match: { kind: "exact", value: "ann" } }],
      },
    ],
    action: { kind: "forward", backends: [{ service: "default/web", subset: "v2", weight: 1 }] },
    rewrite: { path: { kind: "prefix", value: "/v2" } },
    timeouts: { requestMs: 1_500 },
  }),
  everything({
    matches: [{ path: { kind: "exact", value: "/old" } }],
    action: { kind: "redirect", redirect: { path: { kind: "full", value: "/new" }, status: 301 } },
  }),
  everything({
    name: "broken",
    matches: [{ path: { kind: "prefix", value: "/broken" } }],
    action: { kind: "respond", status: 418, body: "no" },
  }),
  everything({
    name: "faulty",
    matches: [{ path: { kind: "prefix", value: "/faulty" } }],
    fault: { abort: { status: 451, percent: 100 } },
    action: { kind: "forward", backends: [{ service: "default/web", subset: "v1", weight: 1 }] },
  }),
  everything({
    name: "never",
    matches: [{ path: { kind: "prefix", value: "/never" } }],
    fault: { abort: { status: 451, percent: 0 } },
    action: { kind: "forward", backends: [{ service: "default/web", subset: "v1", weight: 1 }] },
  }),
  everything({
    name: "lost",
    matches: [{ path: { kind: "prefix", value: "/lost" } }],
    action: { kind: "forward", backends: [{ service: "default/nobody", weight: 1 }] },
  }),
  everything({
    name: "rest",
    matches: [{ path: { kind: "prefix", value: "/api" } }],
    action: { kind: "forward", backends: [{ service: "default/web", subset: "v1", weight: 1 }] },
  }),
];

test("it explains what the data path then does", async (t) => {
  const one = await named(t, "v1");
  const two = await named(t, "v2");
  const lab = await planeLab({ workloads: [CALLER] });
  t.after(() => lab.close());
  const subset = (name: string) => ({
    ...{ name, labels: { version: name }, settings: {}, ports: {} },
  });
  const services: DataService[] = [
    {
      ...service("web", [
        endpoint(one.port, { id: "test/one", meta: { version: "v1" } }),
        endpoint(two.port, { id: "test/two", meta: { version: "v2" } }),
      ]),
      routes: [table(RULES), table([], { source: "HTTPRoute other/web", clients: ["other"] })],
      traffic: [{ ...EVERYBODY, subsets: [subset("v1"), subset("v2")] }],
    },
  ];
  lab.services(...services);
  const explain = explainer(lab, services);
  const cases = [
    { path: "/api/a?x=1", headers: [["x-user", "ann"]] as const },
    { path: "/api/a", headers: [["x-user", "bob"]] as const },
    { path: "/old", headers: [] },
    { path: "/broken/x", headers: [] },
    { path: "/faulty", headers: [] },
    { path: "/never", headers: [] },
    { path: "/lost", headers: [] },
    { path: "/unknown", headers: [] },
  ];
  for (const { path, headers } of cases) {
    const { outcome } = await explain({ path, headers });
    const answer = await ask(lab.port, path, {
      headers: { host: "web", ...Object.fromEntries(headers) },
    });
    const real = answer.headers["x-served-by"] ?? answer.status;
    const expected = outcome.endpoint === null ? outcome.status : outcome.endpoint.id.slice(5);
    assert.equal(real, { one: "v1", two: "v2" }[String(expected)] ?? expected, path);
    assert.notEqual(outcome.error, "INTERNAL");
    assert.equal(answer.headers["x-hostmesh-error"] ?? null, outcome.error, path);
  }
});

test("it names each rule that was tried, what failed, and who says so", async (t) => {
  const one = await named(t, "v1");
  const lab = await planeLab({ workloads: [CALLER] });
  t.after(() => lab.close());
  const services: DataService[] = [
    {
      ...service("web", [
        endpoint(one.port, { id: "test/ill", meta: { version: "v2" }, health: "critical" }),
        endpoint(one.port, { id: "test/well", meta: { version: "v2" } }),
        endpoint(one.port, { id: "test/other", meta: { version: "v1" } }),
      ]),
      routes: [table(RULES), table([], { source: "HTTPRoute other/web", clients: ["other"] })],
      traffic: [
        {
          ...EVERYBODY,
          subsets: [{ name: "v2", labels: { version: "v2" }, settings: {}, ports: {} }],
        },
      ],
    },
  ];
  const explain = explainer(lab, services);
  const bob = await explain({ path: "/broken", headers: [["x-user", "bob"]] });
  const route = bob.steps.find(({ stage }) => stage === "route");
  assert.equal(route?.resource, "VirtualService default/web");
  assert.equal(route?.decision, "rule broken: answer 418");
  assert.deepEqual(route?.details, [
    "VirtualService default/web counts",
    "HTTPRoute other/web is for callers in other, and this one is in default",
    'VirtualService default/web rule beta does not match: path prefix "/api", header x-user exact "ann"',
    'VirtualService default/web rule #2 does not match: path exact "/old"',
    "VirtualService default/web rule broken matches",
  ]);
  const ann = await explain({ path: "/api", headers: [["x-user", "ann"]] });
  const step = (stage: string) => ann.steps.find((each) => each.stage === stage);
  assert.deepEqual(
    ann.endpoints.map(({ id, excluded }) => [id, excluded]),
    [
      ["test/well", null],
      ["test/ill", "its health checks fail"],
      ["test/other", "has not the labels of subset v2"],
    ],
  );
  assert.deepEqual(step("rewrite")?.details, ["path /api becomes /v2"]);
  assert.equal(step("timeouts")?.decision, "whole request 1500 ms, idle 300000 ms");
  assert.equal(step("timeouts")?.resource, "VirtualService default/web");
  assert.equal(step("transport")?.decision, "in the clear");
  assert.equal(ann.outcome.endpoint?.id, "test/well");
});

test("what cannot be imagined is refused", async (t) => {
  const lab = await planeLab();
  t.after(() => lab.close());
  const explain = explainer(lab, []);
  const bad: Partial<ExplainRequest>[] = [
    { source: "default/nobody" },
    { source: "nobody" },
    { destination: "http://web/path" },
    { destination: "web:99999" },
    { destination: "tcp://web" },
    { method: "GET /" },
    { path: "nothing" },
    { path: "/a b" },
    { headers: [["a b", "c"]] },
    { headers: [["a", "b\r\nHost: c"]] },
    {
      headers: [
        ["host", "a"],
        ["host", "b"],
      ],
    },
  ];
  for (const each of bad) await assert.rejects(explain(each), RangeError, JSON.stringify(each));
});

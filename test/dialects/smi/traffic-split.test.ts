import assert from "node:assert/strict";
import { test } from "node:test";
import { request } from "../../proxy/routing/match/fixtures.ts";
import { counts, picks, recordsOfText, refusals, routesTo, warningsOf } from "../translated.ts";

const CANARY = `
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: { name: rollout }
spec:
  service: website
  backends:
  - service: website-v1
    weight: 90
  - service: website-v2
    weight: 10
`;

test("a split of 90 to 10 is exact over time, and the new version gets no runs of requests", () => {
  const routes = routesTo("default/website", CANARY);
  const names = picks(routes.find(request("/")), 1_000);
  assert.deepEqual(counts(names), { "website-v1": 900, "website-v2": 100 });
  assert.ok(!names.some((name, index) => name === "website-v2" && names[index + 1] === name));
});

test("connections that are no HTTP are split too", () => {
  const routes = routesTo("default/website", CANARY);
  const source = { namespace: "front", labels: {} };
  const found = routes.findTcp({ address: "10.0.0.1", port: 3306, source });
  assert.deepEqual(counts(picks(found, 100)), { "website-v1": 90, "website-v2": 10 });
});

const EXPERIMENT = `
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: { name: ab, namespace: shop }
spec:
  service: website
  matches: [{ kind: HTTPRouteGroup, name: ab }]
  backends: [{ service: website-v1, weight: 0 }, { service: website-v2, weight: 100 }]
`;
const GROUP = `
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: { name: ab, namespace: shop }
spec:
  matches:
  - name: firefox
    headers: { user-agent: ".*Firefox.*", accept: ".*html.*" }
  - name: reads
    pathRegex: /api
    methods: [GET]
`;

test("with matches only the described requests are split, others go to the service itself", () => {
  const routes = routesTo("shop/website", EXPERIMENT + GROUP);
  const firefox = ["User-Agent: Mozilla Firefox/130", "Accept: text/html"];
  assert.deepEqual(counts(picks(routes.find(request("/x", firefox)), 10)), { "website-v2": 10 });
  assert.notEqual(routes.find(request("/api/things")), null);
  assert.notEqual(routes.find(request("/apis")), null, "anchored at the begin only");
  for (const other of [
    request("/x"),
    request("/x", [firefox[0] ?? ""]),
    request("/v1/api"),
    request("/api", [], { method: "POST" }),
  ]) {
    assert.equal(routes.find(other), null);
  }
});

test("a group that is not there splits nothing, and its coming is noticed", () => {
  assert.deepEqual(recordsOfText(EXPERIMENT), []);
  assert.match(warningsOf(EXPERIMENT)[0] ?? "", /^spec\.matches\[0\]\.name: there is no HTTPRoute/);
  assert.equal(recordsOfText(EXPERIMENT + GROUP).length, 1);
});

const weights = (...list: readonly unknown[]) => `
apiVersion: split.smi-spec.io/v1alpha1
kind: TrafficSplit
metadata: { name: quantities }
spec:
  service: db
  backends: ${JSON.stringify(list.map((weight, at) => ({ service: `db-${at}`, weight })))}
`;

test("the first version's weights are quantities", () => {
  const routes = routesTo("default/db", weights("500m", 1, "1.5", "1500m"));
  const found = counts(picks(routes.find(request("/")), 900));
  assert.deepEqual(found, { "db-0": 100, "db-1": 200, "db-2": 300, "db-3": 300 });
});

test("what is no quantity is refused with its place", () => {
  for (const bad of ["", "-1", "1e3", "0x10", "1k", "1.0001", "9999999999", "1 ", -1, null, {}]) {
    const [issue] = refusals(weights(1, bad));
    assert.match(issue ?? "", /^spec\.backends\[1\]\.weight: /, JSON.stringify(bad));
  }
});

test("services of other namespaces, unknown fields and empty lists are refused by path", () => {
  const spec = (text: string) => refusals(CANARY.replace(/spec:[\s\S]*/, `spec: ${text}`));
  const backend = "{ service: a, weight: 1 }";
  assert.match(spec(`{ service: web.other, backends: [${backend}] }`)[0] ?? "", /^spec\.service: /);
  assert.match(spec("{ service: web, backends: [] }")[0] ?? "", /^spec\.backends: /);
  assert.match(
    spec(`{ service: web, backends: [${backend}], matches: [] }`)[0] ?? "",
    /^spec\.matches: unknown field/,
  );
  assert.match(
    spec("{ service: web/../x, backends: [{ service: a, weight: 1.5 }] }").join("\n"),
    /spec\.service: must be a service[\s\S]*spec\.backends\[0\]\.weight: /,
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { endpointSlice } from "../../../src/dialects/kubernetes/endpoint-slice.ts";
import { endpointsOf, refusals, warningsOf } from "../translated.ts";

const service = (spec: object, name = "web") => `
---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: ${JSON.stringify({ selector: { app: "web" }, ports: [{ port: 80 }], ...spec })}
`;
const pod = (
  name: string,
  ip: string,
  more: { status?: object; metadata?: object; spec?: object } = {},
) => `
---
apiVersion: v1
kind: Pod
metadata: ${JSON.stringify({ name, namespace: "shop", labels: { app: "web" }, ...more.metadata })}
spec: ${JSON.stringify({ nodeName: "node-1", containers: [], ...more.spec })}
status: ${JSON.stringify({ podIP: ip, ...more.status })}
`;
const slice = (name: string, endpoints: readonly object[], of = "web") => `
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}, namespace: shop, labels: { kubernetes.io/service-name: ${of} } }
addressType: IPv4
ports: [{ port: 8080 }]
endpoints: ${JSON.stringify(endpoints)}
`;
const at = (ip: string, conditions: object = {}) => ({ addresses: [ip], conditions });
const addresses = (yaml: string) =>
  endpointsOf(yaml).map(({ address, port }) => `${address}:${port}`);

test("a Service without slices has the pods that carry all its labels, in its own namespace", () => {
  const yaml =
    service({ selector: { app: "web", tier: "front" } }) +
    pod("a", "10.0.0.1", { metadata: { labels: { app: "web", tier: "front", extra: "x" } } }) +
    pod("b", "10.0.0.2") +
    pod("c", "10.0.0.3", {
      metadata: { namespace: "other", labels: { app: "web", tier: "front" } },
    });
  assert.deepEqual(addresses(yaml), ["10.0.0.1:80"]);
});

test("an empty selector, and none, select nothing", () => {
  assert.deepEqual(addresses(service({ selector: {} }) + pod("a", "10.0.0.1")), []);
});

test("pods that have ended, or have no address yet, are no endpoints", () => {
  const yaml =
    service({}) +
    pod("a", "10.0.0.1", { status: { phase: "Succeeded" } }) +
    pod("b", "10.0.0.2", { status: { podIP: undefined, phase: "Pending" } });
  assert.deepEqual(addresses(yaml), []);
});

test("slices take the place of pods, whatever their order", () => {
  const one = slice("one", [at("10.0.0.9")]);
  assert.deepEqual(addresses(service({}) + pod("a", "10.0.0.1") + one), ["10.0.0.9:8080"]);
  assert.deepEqual(addresses(one + pod("a", "10.0.0.1") + service({})), ["10.0.0.9:8080"]);
});

test("an endpoint that moves between slices is there once, in each order", () => {
  const [one, two] = [
    slice("one", [at("10.0.0.1")]),
    slice("two", [at("10.0.0.1"), at("10.0.0.2")]),
  ];
  assert.deepEqual(addresses(one + two), ["10.0.0.1:8080", "10.0.0.2:8080"]);
  assert.deepEqual(addresses(two + one), ["10.0.0.1:8080", "10.0.0.2:8080"]);
  assert.deepEqual(addresses(slice("one", [at("10.0.0.1"), at("10.0.0.1")])), ["10.0.0.1:8080"]);
});

test("an endpoint's id is its own, whatever service and port it is of", () => {
  const ports = [
    { name: "a", port: 80, targetPort: 8080 },
    { name: "b", port: 81, targetPort: 8080 },
  ];
  const yaml = service({ ports }) + service({}, "again") + pod("a", "10.0.0.1");
  const ids = endpointsOf(yaml).map(({ id }) => id);
  assert.equal(new Set(ids).size, 3);
});

const states = (yaml: string) =>
  endpointsOf(yaml).map(({ health, weight }) => `${health} ${weight}`);

test("what is leaving keeps what it has while something is ready, and serves on while nothing is", () => {
  const leaving = at("10.0.0.1", { ready: false, serving: true, terminating: true });
  const gone = at("10.0.0.2", { ready: false, serving: false, terminating: true });
  const ready = slice("two", [at("10.0.0.3")]);
  assert.deepEqual(states(slice("one", [leaving, gone])), ["passing 1", "critical 1"]);
  assert.deepEqual(states(slice("one", [leaving, gone]) + ready), [
    ...["passing 0", "critical 1"],
    "passing 1",
  ]);
});

test("what is leaving serves on while nothing of its own family is ready", () => {
  const conditions = { ready: false, serving: true, terminating: true };
  const six = (name: string, ip: string, conditions: object = {}) =>
    slice(name, [at(ip, conditions)]).replace("addressType: IPv4", "addressType: IPv6");
  const four = slice("one", [at("10.0.0.1", conditions)]) + slice("two", [at("10.0.0.2")]);
  const leaving = six("three", "fd00::1", conditions);
  assert.deepEqual(states(four + leaving), ["passing 0", "passing 1", "passing 1"]);
  assert.deepEqual(states(four + leaving + six("four", "fd00::2")), [
    ...["passing 0", "passing 1", "passing 0", "passing 1"],
  ]);
  const families = service({ ipFamilies: ["IPv4", "IPv6"] });
  const both = { podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }] };
  const pods =
    pod("a", "10.0.0.1", {
      ...{ status: both, metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } },
    }) + pod("b", "10.0.0.2");
  assert.deepEqual(states(families + pods), ["passing 0", "passing 1", "passing 1"]);
});

test("conditions that are not given mean ready, and not ready is never served", () => {
  const given = [{}, { ready: true }, { ready: false }, { ready: false, serving: true }];
  const yaml = slice(
    "one",
    given.map((conditions, index) => at(`10.0.0.${index}`, conditions)),
  );
  assert.deepEqual(states(yaml), ["passing 1", "passing 1", "critical 1", "critical 1"]);
});

test("a pod with a deletion timestamp is leaving, and one that is not ready is no help", () => {
  const leaving = pod("a", "10.0.0.1", { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } });
  const unready = pod("b", "10.0.0.2", {
    status: { conditions: [{ type: "Ready", status: "False" }] },
  });
  assert.deepEqual(states(service({}) + leaving + unready), ["passing 1", "critical 1"]);
  assert.deepEqual(states(service({}) + leaving + pod("c", "10.0.0.3")), [
    ...["passing 0", "passing 1"],
  ]);
});

test("labels of the pod behind an address are the endpoint's, whether it comes before or after", () => {
  const behind = [{ addresses: ["10.0.0.1"], targetRef: { kind: "Pod", name: "a" } }];
  const labelled = pod("a", "10.0.0.1", { metadata: { labels: { version: "v2" } } });
  for (const yaml of [slice("one", behind) + labelled, labelled + slice("one", behind)]) {
    assert.deepEqual(endpointsOf(yaml)[0]?.meta, { version: "v2" });
  }
});

test("addresses are of their slice's type, and anything else is refused by its place", () => {
  const [issue] = refusals(slice("one", [at("10.0.0.1"), at("fd00::1")]));
  assert.equal(issue, "endpoints[1].addresses[0]: must be an address of IPv4");
  assert.match(refusals(slice("one", [at("10.0.0.1/8")]))[0] ?? "", /^endpoints\[0\]/);
  assert.match(
    refusals(slice("one", [{ addresses: [] }]))[0] ?? "",
    /^endpoints\[0\]\.addresses: /,
  );
  const many = Array.from({ length: 1_001 }, () => at("10.0.0.1"));
  assert.match(refusals(slice("one", many))[0] ?? "", /^endpoints: /);
});

test("a slice without the label of a Service has no effect, and says so", () => {
  const yaml = slice("one", [at("10.0.0.1")]).replace(/labels: \{.*?\}/, "labels: {}");
  assert.deepEqual(addresses(yaml), []);
  assert.match(warningsOf(yaml)[0] ?? "", /of no Service$/);
});

test("what no Service can be called is refused where it is named", () => {
  const named = slice("one", [at("10.0.0.1")], "a.b");
  assert.match(refusals(named)[0] ?? "", /^metadata\.labels\["kubernetes\.io\/service-name"\]: /);
  assert.match(refusals(service({}, "a.b"))[0] ?? "", /^metadata\.name: must name a Service/);
});

test("an ExternalName is an endpoint that every host resolves, or an address", () => {
  const outside = (externalName: string) =>
    endpointsOf(service({ type: "ExternalName", externalName, selector: undefined }))[0];
  assert.equal(outside("db.example.com")?.resolve, "dns");
  assert.equal(outside("192.0.2.1")?.resolve, undefined);
  for (const bad of ["a b", "", "a..b", "http://x", "a:80"]) {
    const yaml = service({ type: "ExternalName", externalName: bad });
    assert.match(refusals(yaml)[0] ?? "", /^spec\.externalName: /, bad);
  }
});

test("a slice is read once, however many others of its Service look at it", () => {
  let reads = 0;
  const counted = (slice: Record<string, unknown>) =>
    Object.defineProperty({ ...slice }, "addressType", {
      enumerable: true,
      get() {
        reads++;
        return "IPv4";
      },
    });
  const resources = Array.from({ length: 8 }, (_, index) =>
    counted({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: {
        name: `s${index}`,
        namespace: "shop",
        labels: { "kubernetes.io/service-name": "web" },
      },
      ports: [{ port: 8080 }],
      endpoints: [{ addresses: [`10.0.0.${index}`] }],
    }),
  );
  const all = resources.map((content, index) => ({ key: `k${index}`, content, createdMs: index }));
  const context = {
    ...{ rootNamespaces: [], trustDomain: "t", defaultIntention: "deny" as const, createdMs: 0 },
    balancer: { policy: "least-request" as const, slowStartMs: 0 },
    about: (topic: string) => (topic.startsWith("EndpointSlices") ? all : []),
  };
  const name = { group: "discovery.k8s.io", kind: "EndpointSlice", namespace: "shop", name: "own" };
  const own = { ...resources[0], metadata: { name: "own", labels: {} } };
  const content = {
    ...own,
    metadata: {
      ...own.metadata,
      namespace: "shop",
      labels: { "kubernetes.io/service-name": "web" },
    },
  };
  endpointSlice.translate(content, "v1", name, context);
  const first = reads;
  endpointSlice.translate(content, "v1", name, context);
  assert.equal(reads, first);
});

test("others need not look at a slice of which only they themselves would not see the change", () => {
  const content = (yaml: string) => parse(yaml.replace("---", "")) as unknown;
  const isSame = (before: string, after: string) =>
    endpointSlice.isTheSameToOthers(content(before), content(after));
  const [first, second] = [at("10.0.0.1"), at("10.0.0.2")];
  const unready = at("10.0.0.2", { ready: false });
  const one = slice("one", [first, second]);
  assert.equal(isSame(one, slice("one", [second, first])), true);
  assert.equal(isSame(one, slice("one", [first, unready])), true, "another is still ready");
  assert.equal(isSame(slice("one", [unready]), slice("one", [second])), false);
  assert.equal(isSame(one, slice("one", [first])), false, "it may be in another slice too");
  assert.equal(isSame(slice("one", []), slice("one", [], "other")), false);
});

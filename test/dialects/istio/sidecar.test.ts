import assert from "node:assert/strict";
import { test } from "node:test";
import { onlyOf, refusals, resource, warnedPaths } from "./fixtures.ts";

const scopeOf = (spec: object, namespace = "shop") =>
  onlyOf("scope", resource("Sidecar", spec, { namespace }));

test("a Sidecar of a root namespace is for the whole mesh, unless it selects", () => {
  assert.equal(scopeOf({}).namespace, "shop");
  assert.equal(scopeOf({}, "istio-system").namespace, null);
  const workloadSelector = { labels: { app: "a" } };
  assert.equal(scopeOf({ workloadSelector }, "istio-system").namespace, "istio-system");
  assert.deepEqual(scopeOf({ workloadSelector }).labels, { app: "a" });
  assert.deepEqual(warnedPaths(resource("Sidecar", { workloadSelector })), []);
  const empty = resource("Sidecar", { workloadSelector: { labels: {} } });
  assert.deepEqual(warnedPaths(empty), ["spec.workloadSelector"]);
});

test("the hosts of all listeners are seen together; without listeners everything is", () => {
  const egress = [{ hosts: ["./*"], port: { number: 80 } }, { hosts: ["*/a.example", "./*"] }];
  assert.deepEqual(scopeOf({ egress }).egress, ["./*", "*/a.example"]);
  assert.equal(scopeOf({}).egress, null);
  assert.equal(scopeOf({ egress: [] }).egress, null);
  const of = resource("Sidecar", { egress });
  assert.deepEqual(warnedPaths(of), ["spec.egress[0].port"]);
});

test("what leaves the mesh: an outboundTrafficPolicy without mode refuses, as Istio's zero value does", () => {
  assert.equal(scopeOf({}).outside, null);
  assert.equal(scopeOf({ outboundTrafficPolicy: {} }).outside, "refuse");
  assert.equal(scopeOf({ outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } }).outside, "refuse");
  assert.equal(scopeOf({ outboundTrafficPolicy: { mode: "ALLOW_ANY" } }).outside, "allow");
});

test("hosts without a namespace, or of nothing, are refused by path", () => {
  for (const host of ["reviews", "*", "a/b/c", "/a", "a/", "A/b", "./a b", "../*", "./*.*"]) {
    const of = resource("Sidecar", { egress: [{ hosts: ["~/*", host] }] });
    assert.match(refusals(of)[0] ?? "", /^spec\.egress\[0\]\.hosts\[1\]: must be namespace/, host);
  }
  assert.match(
    refusals(resource("Sidecar", { egress: [{ hosts: [] }] }))[0] ?? "",
    /^spec\.egress/,
  );
});

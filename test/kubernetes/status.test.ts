import assert from "node:assert/strict";
import { test } from "node:test";
import { until, untilStill } from "../helpers/until.ts";
import { StatusLab } from "./status-lab.ts";

let addresses = 0;
const service = (name: string, more = "", namespace = "shop") => `
---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace} }
spec: { clusterIP: 10.96.1.${++addresses}, ports: [{ name: http, port: 80 }], ${more} }
`;

const route = (
  name: string,
  {
    kind = "HTTPRoute",
    namespace = "shop",
    parents = '[{ group: "", kind: Service, name: web }]',
    rules = "[{ backendRefs: [{ name: web, port: 80 }] }]",
  } = {},
) => `
---
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: ${name}, namespace: ${namespace} }
spec: { parentRefs: ${parents}, rules: ${rules} }
`;

const parent = (name: string, more = "") =>
  `[{ group: "", kind: Service, name: ${name}${more === "" ? "" : `, ${more}`} }]`;

const GOOD = ["Accepted=True Accepted, ResolvedRefs=True ResolvedRefs"];

test("a route that is in force is accepted, with its generation", async (t) => {
  const lab = await StatusLab.start(t);
  await lab.apply(service("web") + route("plain"));
  await lab.replica(true);
  await lab.becomes("plain", GOOD);
  const [entry] = lab.route("plain").status.parents;
  assert.deepEqual(entry.parentRef, { group: "", kind: "Service", name: "web" });
  const [{ lastTransitionTime, ...accepted }] = entry.conditions;
  assert.deepEqual(accepted, {
    ...{ type: "Accepted", status: "True", reason: "Accepted", message: "" },
    observedGeneration: 1,
  });
  assert.match(lastTransitionTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
});

/** What is said of a route of each kind of mistake. */
const CASES: Record<string, readonly [yaml: string, conditions: string]> = {
  "a Service that is not there": [
    route("x", { parents: parent("nobody") }),
    "Accepted=False NoMatchingParent, ResolvedRefs=True ResolvedRefs",
  ],
  "a port that the Service does not have": [
    route("x", { parents: parent("web", "port: 81") }),
    "Accepted=False NoMatchingParent, ResolvedRefs=True ResolvedRefs",
  ],
  "a name of a port that there is not": [
    route("x", { parents: parent("web", "sectionName: nope") }),
    "Accepted=False NoMatchingParent, ResolvedRefs=True ResolvedRefs",
  ],
  "a headless Service": [
    route("x", { parents: parent("headless") }),
    "Accepted=False NoMatchingParent, ResolvedRefs=True ResolvedRefs",
  ],
  "a Service of type ExternalName": [
    route("x", { parents: parent("named") }),
    "Accepted=False NoMatchingParent, ResolvedRefs=True ResolvedRefs",
  ],
  "a port that is said to speak no HTTP": [
    route("x", { parents: parent("database") }),
    "Accepted=False NoMatchingParent, ResolvedRefs=True ResolvedRefs",
  ],
  "a backend that is not there": [
    route("x", { rules: "[{ backendRefs: [{ name: web, port: 80 }, { name: gone, port: 80 }] }]" }),
    "Accepted=True Accepted, ResolvedRefs=False BackendNotFound",
  ],
  "a backend without that port": [
    route("x", { rules: "[{ backendRefs: [{ name: web, port: 81 }] }]" }),
    "Accepted=True Accepted, ResolvedRefs=False BackendNotFound",
  ],
  "a mirror that is not there": [
    route("x", {
      rules:
        "[{ filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: gone, port: 80 } } }], backendRefs: [{ name: web, port: 80 }] }]",
    }),
    "Accepted=True Accepted, ResolvedRefs=False BackendNotFound",
  ],
  "a backend that is no Service": [
    route("x", { rules: "[{ backendRefs: [{ group: example.net, kind: Bucket, name: b }] }]" }),
    "Accepted=True Accepted, ResolvedRefs=False InvalidKind",
  ],
  "a backend of type ExternalName": [
    route("x", { rules: "[{ backendRefs: [{ name: named, port: 80 }] }]" }),
    "Accepted=True Accepted, ResolvedRefs=False InvalidKind",
  ],
  "a backend that wants TLS": [
    route("x", { rules: "[{ backendRefs: [{ name: secure, port: 80 }] }]" }),
    "Accepted=True Accepted, ResolvedRefs=False UnsupportedProtocol",
  ],
  "a backend of another namespace, which needs no grant": [
    route("x", { rules: "[{ backendRefs: [{ name: web, namespace: other, port: 80 }] }]" }),
    "Accepted=True Accepted, ResolvedRefs=True ResolvedRefs",
  ],
  "a filter that is not known": [
    route("x", {
      rules: "[{ filters: [{ type: ExternalAuth }], backendRefs: [{ name: web, port: 80 }] }]",
    }),
    "Accepted=False UnsupportedValue, ResolvedRefs=True ResolvedRefs",
  ],
  "filters that exclude each other": [
    route("x", {
      rules:
        "[{ filters: [{ type: RequestRedirect, requestRedirect: {} }, { type: URLRewrite, urlRewrite: {} }] }]",
    }),
    "Accepted=False IncompatibleFilters, ResolvedRefs=True ResolvedRefs",
  ],
  "a route that a GRPCRoute of the same Service hides": [
    route("g", { kind: "GRPCRoute", parents: parent("web", "port: 80") }) + route("x"),
    "Accepted=False Conflicted, ResolvedRefs=True ResolvedRefs",
  ],
  "a consumer's route beside a producer's GRPCRoute": [
    route("g", {
      kind: "GRPCRoute",
      parents: parent("web", "namespace: other"),
      namespace: "other",
    }) + route("x", { parents: parent("web", "namespace: other") }),
    "Accepted=True Accepted, ResolvedRefs=True ResolvedRefs",
  ],
};

test("the conditions say what is wrong with a route", async (t) => {
  const lab = await StatusLab.start(t);
  await lab.apply(
    service("web") +
      service("web", "", "other") +
      service("headless").replace(/clusterIP: [^,]+/, "clusterIP: None") +
      service("named").replace(/clusterIP: [^,]+/, "type: ExternalName, externalName: a.example") +
      service("database").replace("port: 80", "port: 80, appProtocol: mysql") +
      service("secure").replace("port: 80", "port: 80, appProtocol: https"),
  );
  await lab.replica(true);
  for (const [name, [yaml, conditions]] of Object.entries(CASES)) {
    await t.test(name, async () => {
      await lab.apply(yaml);
      await lab.becomes("x", [conditions]);
      await lab.delete("gateway.networking.k8s.io/v1", "HTTPRoute", "shop", "x");
      for (const namespace of ["shop", "other"]) {
        await lab.delete("gateway.networking.k8s.io/v1", "GRPCRoute", namespace, "g");
      }
    });
  }
});

test("conditions follow what they speak of, and keep the time since which they hold", async (t) => {
  const lab = await StatusLab.start(t);
  await lab.apply(
    service("web") + route("late", { rules: "[{ backendRefs: [{ name: later, port: 80 }] }]" }),
  );
  await lab.replica(true);
  await lab.becomes("late", ["Accepted=True Accepted, ResolvedRefs=False BackendNotFound"]);
  const before = lab.route("late");
  // As if it had been so for long.
  const long = "2020-01-01T00:00:00Z";
  const [entry] = before.status.parents;
  const conditions = entry.conditions.map((one: object) => ({ ...one, lastTransitionTime: long }));
  lab.server.apply({ ...before, status: { parents: [{ ...entry, conditions }] } });
  await lab.apply(service("later"));
  await lab.becomes("late", GOOD);
  const [accepted, resolved] = lab.route("late").status.parents[0].conditions;
  assert.equal(accepted.lastTransitionTime, long);
  assert.notEqual(resolved.lastTransitionTime, long);
});

test("a refused change leaves the last good form in force, and says so", async (t) => {
  const lab = await StatusLab.start(t);
  await lab.apply(service("web") + route("edited"));
  await lab.replica(true);
  await lab.becomes("edited", GOOD);
  await lab.apply(route("edited", { rules: "[{ filters: [{ type: ExternalAuth }] }]" }));
  await lab.becomes("edited", [`${GOOD}, PartiallyInvalid=True UnsupportedValue`]);
  const [accepted, , invalid] = lab.route("edited").status.parents[0].conditions;
  assert.deepEqual([accepted.observedGeneration, invalid.observedGeneration], [1, 2]);
  assert.match(invalid.message, /^Fall Back to generation 1; spec\.rules\[0\]\.filters\[0\]/);
  await lab.apply(route("edited", { rules: "[{ name: new }]" }));
  await lab.becomes("edited", GOOD);
  assert.equal(lab.route("edited").status.parents[0].conditions[0].observedGeneration, 3);
});

test("a GRPCRoute that has some of the ports leaves the others", async (t) => {
  const lab = await StatusLab.start(t);
  const two = service("web").replace(
    "[{ name: http, port: 80 }]",
    "[{ name: a, port: 80 }, { name: b, port: 81 }]",
  );
  await lab.apply(
    two + route("g", { kind: "GRPCRoute", parents: parent("web", "port: 81") }) + route("x"),
  );
  await lab.replica(true);
  await lab.becomes("x", GOOD);
  await lab.becomes(
    "g",
    ["Accepted=True Accepted, ResolvedRefs=False BackendNotFound"].map(() => GOOD[0] ?? ""),
    "shop",
    "GRPCRoute",
  );
  assert.equal(
    lab.route("x").status.parents[0].conditions[0].message,
    "not for port 81, where GRPCRoute shop/g counts",
  );
});

test("entries of other controllers stay as they are, and ours go with their parents", async (t) => {
  const lab = await StatusLab.start(t);
  const both =
    '[{ name: front }, { group: "", kind: Service, name: web }, { group: "", kind: Service, name: b }]';
  await lab.apply(service("web") + service("b") + route("shared", { parents: both }));
  const theirs = {
    parentRef: { group: "gateway.networking.k8s.io", kind: "Gateway", name: "front" },
    controllerName: "example.net/gateway",
    conditions: [
      {
        ...{ type: "Accepted", status: "True", reason: "Accepted", message: "" },
        ...{ observedGeneration: 1, lastTransitionTime: "2020-01-01T00:00:00Z" },
      },
    ],
  };
  lab.server.apply({ ...lab.route("shared"), status: { parents: [theirs] } });
  await lab.replica(true);
  await lab.becomes("shared", [GOOD[0] ?? "", GOOD[0] ?? ""]);
  assert.deepEqual(lab.route("shared").status.parents[0], theirs);
  await lab.apply(
    route("shared", { parents: '[{ name: front }, { group: "", kind: Service, name: b }]' }),
  );
  await lab.becomes("shared", GOOD);
  const { parents } = lab.route("shared").status;
  assert.deepEqual(
    parents.map(({ parentRef }: { parentRef: { name: string } }) => parentRef.name),
    ["front", "b"],
  );
  assert.deepEqual(parents[0], theirs);
});

test("a route for gateways only is none of ours", async (t) => {
  const lab = await StatusLab.start(t);
  await lab.apply(service("web") + route("north", { parents: "[{ name: front }]" }) + route("own"));
  await lab.apply(
    route("odd", {
      parents: "[{ name: front }]",
      rules: "[{ filters: [{ type: ExternalAuth }] }]",
    }),
  );
  await lab.replica(true);
  await lab.becomes("own", GOOD);
  assert.deepEqual([lab.writes(), lab.events().length], [1, 0]);
  assert.equal(lab.route("north").status, undefined);
});

test("nothing is written where nothing differs, and our own writes lead to no others", async (t) => {
  const lab = await StatusLab.start(t);
  await lab.apply(service("web") + route("a") + route("b"));
  const first = await lab.replica(true);
  await lab.becomes("a", GOOD);
  await lab.becomes("b", GOOD);
  assert.equal(lab.writes(), 2);
  // Anything else that happens in the mesh makes everything be looked at again.
  await lab.apply(service("unrelated"));
  await lab.apply(route("c"));
  await lab.becomes("c", GOOD);
  await untilStill(() => lab.server.calls.length);
  assert.equal(lab.writes(), 3);
  // Neither does another leader find anything to write.
  first.leader.set(false);
  const second = await lab.replica(true);
  await lab.apply(route("d"));
  await lab.becomes("d", GOOD);
  assert.equal(lab.writes(), 4);
  await second.status.close();
});

test("only the leader writes", async (t) => {
  const lab = await StatusLab.start(t);
  await lab.apply(service("web") + route("a"));
  const idle = await lab.replica(false);
  const busy = await lab.replica(true);
  await lab.becomes("a", GOOD);
  busy.leader.set(false);
  await lab.apply(route("b"));
  idle.leader.set(true);
  await lab.becomes("b", GOOD);
  assert.equal(lab.writes(), 2);
  assert.equal(lab.server.watches("httproutes"), 1);
});

test("a leader that loses its lease stops at once, and the next one goes on", async (t) => {
  const lab = await StatusLab.start(t, { perSecond: 100 });
  const names = Array.from({ length: 60 }, (_, index) => `route-${index}`);
  await lab.apply(service("web") + names.map((name) => route(name)).join(""));
  const first = await lab.replica(true);
  await until(() => lab.writes() >= 25);
  first.leader.set(false);
  const written = await untilStill(() => lab.writes(), 300);
  assert.ok(written < 60, String(written));
  await lab.replica(true);
  for (const name of names) await lab.becomes(name, GOOD);
  // One may have been under way when it was cut off.
  assert.ok(lab.writes() <= 61, String(lab.writes()));
});

test("leadership that ends without a word ends the writing too", async (t) => {
  const lab = await StatusLab.start(t, { perSecond: 100 });
  const names = Array.from({ length: 60 }, (_, index) => `route-${index}`);
  await lab.apply(service("web") + names.map((name) => route(name)).join(""));
  const { leader } = await lab.replica(true);
  await until(() => lab.writes() >= 25);
  // As by its clock, while its timers are late.
  leader.leading = false;
  assert.ok((await untilStill(() => lab.writes(), 300)) < 60);
});

test("objects of any form disturb no others", async (t) => {
  const lab = await StatusLab.start(t);
  const head = { apiVersion: "gateway.networking.k8s.io/v1", kind: "HTTPRoute" };
  const odd: unknown[] = [
    ...[undefined, null, "x", [], { parentRefs: "x" }, { parentRefs: [null, 1, { kind: 1 }] }],
    { parentRefs: [{ group: "", kind: "Service" }], rules: [{ backendRefs: {}, filters: [1] }] },
    { parentRefs: [{ group: "", kind: "Service", name: 1, port: "x", sectionName: {} }], rules: 1 },
  ];
  for (const [index, spec] of odd.entries()) {
    const object = lab.server.apply({ ...head, metadata: { name: `odd-${index}` }, spec });
    const key = `gateway.networking.k8s.io/HTTPRoute/default/odd-${index}`;
    lab.refused.set(key, { key, object, issues: [{ path: "spec", reason: "odd" }] });
  }
  await lab.apply(service("web") + route("good"));
  await lab.replica(true);
  await lab.becomes("good", GOOD);
  await lab.becomes(
    "odd-6",
    ["Accepted=False UnsupportedValue, ResolvedRefs=True ResolvedRefs"],
    "default",
  );
  await until(() => lab.events().length === 2);
});

test("what was written in between is read, and kept", async (t) => {
  const lab = await StatusLab.start(t);
  await lab.apply(service("web") + route("a"));
  const conflict = {
    ...{ kind: "Status", apiVersion: "v1", status: "Failure", code: 409, reason: "Conflict" },
    message: "the object has been modified",
  };
  lab.server.fail(/^PATCH .*\/status/, { kind: "answer", status: 409, body: conflict }, 3);
  await lab.replica(true);
  await lab.becomes("a", GOOD);
  assert.equal(lab.writes(), 4);
  assert.equal(lab.server.count(/^GET .*\/httproutes\/a\?/), 3);
});

test("a server that fails is asked again, one that does not take a status is not", async (t) => {
  const lab = await StatusLab.start(t);
  lab.server.fail(/^PATCH .*\/httproutes\/a\/status/, { kind: "answer", status: 422 }, 1);
  lab.server.fail(/^PATCH .*\/httproutes\/b\/status/, { kind: "answer", status: 503 }, 1);
  lab.server.fail(/^PATCH .*\/httproutes\/c\/status/, { kind: "reset" }, 1);
  await lab.apply(service("web") + route("a") + route("b") + route("c"));
  await lab.replica(true);
  await lab.becomes("b", GOOD);
  await lab.becomes("c", GOOD);
  await lab.apply(service("unrelated"));
  await untilStill(() => lab.server.calls.length, 500);
  assert.deepEqual(lab.conditions("a"), []);
  assert.equal(lab.server.count(/^PATCH .*\/httproutes\/a\/status/), 1);
  // Another status is another matter.
  await lab.apply(route("a", { rules: "[{ name: new }]" }));
  await lab.becomes("a", GOOD);
});

test("a kind of route that the mesh does not act on says so", async (t) => {
  const lab = await StatusLab.start(t);
  lab.server.apply({
    ...{ apiVersion: "gateway.networking.k8s.io/v1alpha2", kind: "TCPRoute" },
    metadata: { name: "db", namespace: "shop" },
    spec: { parentRefs: [{ group: "", kind: "Service", name: "db" }], rules: [] },
  });
  await lab.replica(true);
  const found = () => lab.object("gateway.networking.k8s.io/v1alpha2", "TCPRoute", "db").status;
  await until(() => found() !== undefined);
  const [{ conditions }] = found().parents;
  assert.deepEqual(
    [conditions[0].type, conditions[0].status, conditions[0].reason],
    ["Accepted", "False", "UnsupportedValue"],
  );
});

test("a policy tells its verdict for each Service that it names", async (t) => {
  const lab = await StatusLab.start(t);
  await lab.apply(
    `${service("web")}
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: { name: budget, namespace: shop }
spec:
  targetRefs: [{ group: "", kind: Service, name: web }, { group: "", kind: Service, name: gone }]
  retryConstraint: {}
`,
  );
  await lab.replica(true);
  const found = () =>
    lab.object("gateway.networking.x-k8s.io/v1alpha1", "XBackendTrafficPolicy", "budget").status;
  await until(() => found() !== undefined);
  assert.deepEqual(
    found().ancestors.map(
      ({
        ancestorRef,
        conditions,
      }: {
        ancestorRef: { name: string };
        conditions: { reason: string }[];
      }) => [ancestorRef.name, conditions[0]?.reason],
    ),
    [
      ["web", "Accepted"],
      ["gone", "TargetNotFound"],
    ],
  );
});

test("a thousand routes converge at the rate that is allowed", async (t) => {
  const lab = await StatusLab.start(t, { perSecond: 1_000 });
  const names = Array.from({ length: 1_000 }, (_, index) => `route-${index}`);
  await lab.apply(service("web") + names.map((name) => route(name)).join(""));
  const startedMs = performance.now();
  await lab.replica(true);
  await until(() => lab.writes() === 1_000, { timeoutMs: 60_000, what: "a thousand writes" });
  assert.ok(performance.now() - startedMs >= 970);
  for (const name of names) await lab.becomes(name, GOOD);
  await lab.apply(service("unrelated"));
  await untilStill(() => lab.server.calls.length, 600);
  assert.equal(lab.writes(), 1_000);
});

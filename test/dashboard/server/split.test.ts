import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { call, dig } from "../../registry/setup.ts";
import { Browser, type Lab, startLab } from "./dashboard-lab.ts";

const VIRTUAL_SERVICE = {
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name: "reviews", namespace: "shop", annotations: { "example.com/owner": "ann" } },
  spec: {
    hosts: ["reviews"],
    http: [
      {
        name: "beta",
        match: [{ headers: { "x-beta": { exact: "1" } } }],
        route: [{ destination: { host: "reviews", subset: "v2" } }],
      },
      {
        timeout: "3s",
        route: [
          { destination: { host: "reviews", subset: "v1" }, weight: 90 },
          { destination: { host: "reviews", subset: "v2" }, weight: 10 },
        ],
      },
    ],
  },
};

async function apply(lab: Lab, ...resources: readonly object[]): Promise<void> {
  const { status, body } = await call(lab.registry, "POST", "/v1/mesh/resources", resources);
  assert.equal(dig(body, "refused"), 0, JSON.stringify(body));
  assert.equal(status, 200);
}

async function register(lab: Lab, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    const service = { ports: [{ name: "http", port: 80 }] };
    const path = `/v1/mesh/services/shop/${name}`;
    const { status, body } = await call(lab.registry, "PUT", path, service);
    assert.equal(status, 200, JSON.stringify(body));
  }
}

async function openLab(t: Parameters<typeof startLab>[0], options = {}) {
  const lab = await startLab(t, options);
  const browser = new Browser(lab.origin);
  await browser.open();
  const splitOf = async (name: string) =>
    (await browser.call("GET", `/api/services/shop/${name}/split`)).body;
  const write = (name: string, body: unknown) =>
    browser.call("PUT", `/api/services/shop/${name}/split`, body);
  return { lab, browser, splitOf, write };
}

describe("the split of a service", () => {
  it("is that of the rule for all requests, and a change keeps the rest of the resource", async (t) => {
    const { lab, browser, splitOf, write } = await openLab(t);
    await apply(lab, VIRTUAL_SERVICE);
    const split = await splitOf("reviews");
    assert.equal(split.resource.kind, "VirtualService");
    assert.deepEqual(split.backends, [
      { name: "reviews/v1", weight: 90 },
      { name: "reviews/v2", weight: 10 },
    ]);
    assert.deepEqual([split.revision, split.writable], [1, true]);
    assert.deepEqual(parse(split.yaml), VIRTUAL_SERVICE);

    const backends = [
      { name: "reviews/v2", weight: 75 },
      { name: "reviews/v1", weight: 25 },
    ];
    const preview = await browser.call("POST", "/api/split-preview", {
      service: "shop/reviews",
      backends,
    });
    const answer = await write("reviews", { backends, revision: 1 });
    assert.deepEqual([answer.status, answer.body.applied, answer.body.revision], [200, true, 2]);
    assert.equal(answer.body.yaml, preview.body.yaml);
    const wanted = structuredClone(VIRTUAL_SERVICE);
    const [first, second] = wanted.spec.http[1]?.route ?? [];
    Object.assign(first ?? {}, { weight: 25 });
    Object.assign(second ?? {}, { weight: 75 });
    const path = "/v1/mesh/resources/networking.istio.io/VirtualService/shop/reviews";
    assert.deepEqual(dig((await call(lab.registry, "GET", path)).body, "content"), wanted);
    assert.equal((await splitOf("reviews")).backends[1].weight, 75);

    const change = lab.log.lines.find(({ message }) => message === "dashboard change");
    assert.equal(change?.facts?.["user"], "operator");
    assert.equal(change?.facts?.["weights"], "reviews/v2=75 reviews/v1=25");
    const history = await call(lab.registry, "GET", `${path}/history`);
    assert.match(String(dig(history.body, "revisions.0.by")), /^operator at 127.0.0.1, dashboard$/);
    const back = await call(lab.registry, "POST", `${path}/rollback`, {});
    assert.equal(back.status, 200);
    assert.equal((await splitOf("reviews")).backends[0].weight, 90);
  });

  it("is not written over a change of others, nor with other backends, nor what the registry refuses", async (t) => {
    const { lab, splitOf, write } = await openLab(t);
    await apply(lab, VIRTUAL_SERVICE);
    const { backends } = await splitOf("reviews");
    const other = structuredClone(VIRTUAL_SERVICE);
    Object.assign(other.spec.http[1] ?? {}, { timeout: "9s" });
    await apply(lab, other);
    const late = await write("reviews", { backends, revision: 1 });
    assert.deepEqual([late.status, /was changed meanwhile/.test(late.body.error)], [409, true]);
    for (const wrong of [
      backends.slice(1),
      [...backends, { name: "evil", weight: 1 }],
      [backends[0], backends[0]],
      [backends[0], { name: "reviews/v3", weight: 1 }],
    ]) {
      const { status, body } = await write("reviews", { backends: wrong, revision: 2 });
      assert.deepEqual([status, body.error], [409, "the backends are reviews/v1, reviews/v2"]);
    }
    assert.equal((await write("reviews", { backends })).status, 400);
    const half = backends.map((each: object) => ({ ...each, weight: 0.5 }));
    const refused = await write("reviews", { backends: half, revision: 2 });
    assert.equal(refused.status, 400);
    assert.match(refused.body.error, /weight/);
    assert.equal((await splitOf("reviews")).revision, 2);
    const both = await Promise.all(
      [1, 2].map((weight) =>
        write("reviews", {
          revision: 2,
          backends: backends.map((each: object) => ({ ...each, weight })),
        }),
      ),
    );
    // Equal weights are still two different contents: only one author has seen what the other wrote over.
    assert.deepEqual(both.map(({ status }) => status).sort(), [200, 409]);
  });

  it("is written in the words of each dialect", async (t) => {
    const { lab, splitOf, write } = await openLab(t);
    await register(lab, "a", "a-one", "b", "c");
    const meta = (name: string) => ({ metadata: { name, namespace: "shop" } });
    await apply(
      lab,
      {
        ...{ apiVersion: "gateway.networking.k8s.io/v1", kind: "HTTPRoute", ...meta("a") },
        spec: {
          parentRefs: [{ group: "", kind: "Service", name: "a" }],
          rules: [
            {
              backendRefs: [
                { name: "a", port: 80 },
                { name: "a-one", port: 80, weight: 3 },
              ],
            },
          ],
        },
      },
      {
        ...{ apiVersion: "split.smi-spec.io/v1alpha1", kind: "TrafficSplit", ...meta("b") },
        spec: {
          service: "b",
          backends: [
            { service: "b1", weight: "500m" },
            { service: "b2", weight: 1 },
          ],
        },
      },
      {
        ...{ Kind: "service-splitter", Name: "c", Namespace: "shop" },
        Splits: [
          { Weight: 90, Service: "c1" },
          { Weight: 10, Service: "c2" },
        ],
      },
    );
    for (const [name, kind, before, after] of [
      [
        "a",
        "HTTPRoute",
        [
          ["a:80", 1],
          ["a-one:80", 3],
        ],
        [5, 0],
      ],
      [
        "b",
        "TrafficSplit",
        [
          ["b1", 0.5],
          ["b2", 1],
        ],
        [40, 60],
      ],
      [
        "c",
        "service-splitter",
        [
          ["c1", 90],
          ["c2", 10],
        ],
        [33.25, 66.75],
      ],
    ] as const) {
      const split = await splitOf(name);
      assert.equal(split.resource?.kind, kind, split.reason);
      const shown = split.backends.map((each: { name: string; weight: number }) => [
        each.name,
        each.weight,
      ]);
      assert.deepEqual(shown, before);
      const backends = before.map(([backend], index) => ({ name: backend, weight: after[index] }));
      const { status, body } = await write(name, { backends, revision: 1 });
      assert.equal(status, 200, JSON.stringify(body));
      const weights = (await splitOf(name)).backends.map((each: { weight: number }) => each.weight);
      assert.deepEqual(weights, after);
    }
    const over = [
      { name: "c1", weight: 60 },
      { name: "c2", weight: 60 },
    ];
    const refused = await write("c", { backends: over, revision: 2 });
    assert.deepEqual([refused.status, /must total 100/.test(refused.body.error)], [400, true]);
  });

  it("is made where nothing routes the service: between subsets, else between versions", async (t) => {
    const { lab, splitOf, write } = await openLab(t);
    await register(lab, "cart", "cart-v2", "cart-db", "web", "reviews");
    assert.match((await splitOf("web")).reason, /nothing to split between/);
    assert.equal((await splitOf("web")).resource, null);

    const versions = await splitOf("cart");
    assert.match(versions.note, /an HTTPRoute will be made: .*cart-v2/);
    assert.deepEqual(versions.backends, [
      { name: "cart:80", weight: 100 },
      { name: "cart-v2:80", weight: 0 },
    ]);
    assert.equal(versions.revision, 0);
    const backends = [
      { name: "cart:80", weight: 80 },
      { name: "cart-v2:80", weight: 20 },
    ];
    assert.equal((await write("cart", { backends, revision: 0 })).body.revision, 1);
    const made = await splitOf("cart");
    assert.deepEqual(
      [made.resource.kind, made.note, made.backends],
      ["HTTPRoute", undefined, backends],
    );
    assert.equal((await write("cart", { backends, revision: 0 })).status, 409);

    await apply(lab, {
      ...{ apiVersion: "networking.istio.io/v1", kind: "DestinationRule" },
      metadata: { name: "reviews", namespace: "shop" },
      spec: {
        host: "reviews",
        subsets: ["v1", "v2", "v3"].map((name) => ({ name, labels: { version: name } })),
      },
    });
    const subsets = await splitOf("reviews");
    assert.match(
      subsets.note,
      /a VirtualService will be made: DestinationRule shop\/reviews names subsets/,
    );
    const weights = subsets.backends.map((each: { weight: number }) => each.weight);
    assert.deepEqual(weights, [34, 33, 33]);
    assert.equal((await write("reviews", { backends: subsets.backends, revision: 0 })).status, 200);
    assert.equal((await splitOf("reviews")).resource.kind, "VirtualService");
  });

  it("says why there is none", async (t) => {
    const { lab, splitOf, write } = await openLab(t);
    const rule = (subset: string, match?: object) => ({
      ...(match === undefined ? {} : { match: [match] }),
      route: [{ destination: { host: "one", subset } }],
    });
    const one = structuredClone(VIRTUAL_SERVICE) as object as { metadata: object; spec: object };
    await apply(lab, {
      ...one,
      metadata: { name: "one", namespace: "shop" },
      spec: { hosts: ["one"], http: [rule("v1")] },
    });
    assert.match(
      (await splitOf("one")).reason,
      /^VirtualService shop\/one: it sends everything to one place/,
    );
    const split = { ...VIRTUAL_SERVICE.spec.http[1], match: [{ uri: { prefix: "/a" } }] };
    const another = { ...split, match: [{ uri: { prefix: "/b" } }] };
    await apply(lab, {
      ...one,
      metadata: { name: "two", namespace: "shop" },
      spec: { hosts: ["two"], http: [split, another] },
    });
    assert.match((await splitOf("two")).reason, /several of its rules split traffic/);
    const backends = [{ name: "reviews/v1", weight: 1 }];
    assert.equal((await write("two", { backends, revision: 1 })).status, 409);
    assert.match((await splitOf("nothing")).reason, /nothing to split between/);
  });

  it("cannot be written where the registry reads a cluster, but its text can be had", async (t) => {
    const { lab } = await openLab(t);
    await apply(lab, VIRTUAL_SERVICE);
    const source = { place: "Kubernetes: change it there (kubectl)", refused: () => [] };
    const second = await startLab(t, { mesh: { ...lab.registry.inside, source } });
    const browser = new Browser(second.origin);
    await browser.open();
    const { body } = await browser.call("GET", "/api/services/shop/reviews/split");
    assert.deepEqual([body.writable, body.resource.kind], [false, "VirtualService"]);
    assert.match(body.reason, /^this registry reads Kubernetes/);
    const { backends, revision } = body;
    const preview = await browser.call("POST", "/api/split-preview", {
      service: "shop/reviews",
      backends,
    });
    assert.equal(preview.status, 200);
    const refused = await browser.call("PUT", "/api/services/shop/reviews/split", {
      backends,
      revision,
    });
    assert.equal(refused.status, 409);
  });
});

describe("configuration, services and hosts", () => {
  it("shows each resource with what is wrong with it, and when it was applied", async (t) => {
    const { lab, browser } = await openLab(t);
    const warned = structuredClone(VIRTUAL_SERVICE) as object as { spec: object };
    await apply(lab, { ...warned, spec: { ...VIRTUAL_SERVICE.spec, gateways: ["edge"] } });
    const [shown] = (await browser.call("GET", "/api/config")).body.resources;
    assert.deepEqual(
      [shown.kind, shown.namespace, shown.name, shown.status],
      ["VirtualService", "shop", "reviews", "warning"],
    );
    assert.ok(shown.findings.length > 0 && shown.revision > 0 && shown.generation === 1);
    assert.ok(Math.abs(shown.appliedMs - Date.now()) < 60_000);
    assert.equal(shown.document.spec.gateways[0], "edge");
  });

  it("shows of what a cluster is made of only what is wrong, and never its text", async (t) => {
    const { lab, browser } = await openLab(t);
    const pod = (name: string, more: object) => ({
      ...{ apiVersion: "v1", kind: "Service", metadata: { name, namespace: "shop" } },
      spec: { ports: [{ port: 80, name: "http" }], ...more },
    });
    await apply(lab, pod("good", {}), pod("odd", { sessionAffinityConfig: {} }));
    const { resources } = (await browser.call("GET", "/api/config")).body;
    const shown = resources.map((each: { name: string; status: string; document: unknown }) => {
      return [each.name, each.status, each.document];
    });
    assert.deepEqual(shown, [["odd", "warning", null]]);
  });

  it("shows what a source brought and was refused", async (t) => {
    const { lab } = await openLab(t);
    const issues = [{ path: "spec.http[0].route", reason: "unknown field; did you mean routes" }];
    const refused = () => [{ key: "networking.istio.io/VirtualService/shop/bad", issues }];
    const source = { place: "Kubernetes", refused };
    const second = await startLab(t, { mesh: { ...lab.registry.inside, source } });
    const [shown] = (await new Browser(second.origin).call("GET", "/api/config")).body.resources;
    assert.deepEqual([shown.kind, shown.name, shown.status], ["VirtualService", "bad", "refused"]);
    assert.equal(shown.findings[0].hint, "did you mean routes");
  });

  it("shows what applies to a service", async (t) => {
    const { lab, browser } = await openLab(t);
    await register(lab, "reviews", "other");
    const policy = (name: string, spec: object) => ({
      ...{ apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy" },
      metadata: { name, namespace: "shop" },
      spec,
    });
    await apply(
      lab,
      VIRTUAL_SERVICE,
      policy("all", {}),
      policy("few", { selector: { matchLabels: { app: "x" } } }),
    );
    const { body } = await browser.call("GET", "/api/services/shop/reviews");
    assert.deepEqual(
      body.resources.map(({ kind }: { kind: string }) => kind),
      ["VirtualService"],
    );
    assert.equal(body.routes[0].rules.length, 2);
    assert.deepEqual(
      body.policies.map(({ name }: { name: string }) => name),
      ["all"],
    );
    const other = await browser.call("GET", "/api/services/shop/other");
    assert.deepEqual(other.body.routes, []);
    assert.equal((await browser.call("GET", "/api/services/shop/none")).status, 404);
  });

  it("shows a host with what its daemon says, or why it says nothing", async (t) => {
    const { lab, browser } = await openLab(t);
    const host = (name: string, state: string) => ({ host: name, state });
    const hosts = [host("h1", "reporting"), host("h2", "silent"), host("h3", "gone")];
    Object.assign(lab.sight.current, { hosts });
    const get = async (name: string) => (await browser.call("GET", `/api/hosts/${name}`)).body;
    assert.deepEqual(await get("h1"), { summary: hosts[0], report: { host: "h1" } });
    assert.equal((await get("h2")).reason, "it is silent");
    assert.deepEqual(await get("h3"), {
      summary: hosts[2],
      report: null,
      reason: "the daemon is gone",
    });
    assert.match((await get("h4")).error, /no host h4/);
  });
});

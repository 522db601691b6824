import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { RunningRegistry } from "../../src/registry/registry.ts";
import { startTestRegistry } from "../helpers/registry.ts";
import { runCliHere } from "./run.ts";

const folder = mkdtempSync(join(tmpdir(), "hostmesh-cli-analyze-"));
let registry: RunningRegistry;
let files = 0;

before(async () => {
  registry = await startTestRegistry({ dataDir: join(folder, "data") });
});
after(async () => {
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
});

function file(text: string): string {
  const path = join(folder, `case-${files++}.yaml`);
  writeFileSync(path, text);
  return path;
}

interface Said {
  readonly code: string;
  readonly line: number;
  readonly column: number;
  readonly path: string;
  readonly message: string;
}

async function analyze(text: string, ...args: string[]) {
  const where = args.includes("--offline") ? [] : ["--registry", registry.url];
  const path = file(text);
  const { code, stdout, stderr } = await runCliHere([
    "analyze",
    "-f",
    path,
    "-o",
    "json",
    ...args,
    ...where,
  ]);
  assert.equal(stderr, "");
  const findings: Said[] = JSON.parse(stdout);
  return { exit: code, findings, codes: findings.map((each) => each.code) };
}

/** The only finding of this code, as `line:column path message`. */
function only(findings: readonly Said[], code: string): string {
  const some = findings.filter((each) => each.code === code);
  assert.equal(some.length, 1, `${code} in ${JSON.stringify(findings)}`);
  const [{ line, column, path, message }] = some as [Said];
  return `${line}:${column} ${path} ${message}`;
}

const service = (name: string, ports = "[{ port: 9080 }]") => `---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { ports: ${ports}, selector: { app: ${name} } }
`;
const route = (http: string, name = "reviews") => `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: shop }
spec:
  hosts: [reviews]
  http:
${http}
`;
const rule = (name: string, more = "") => `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name}, namespace: shop }
spec:
  host: reviews
  trafficPolicy: { loadBalancer: { simple: RANDOM } }
${more}
`;
const SUBSETS = `  subsets:
    - name: v1
      labels: { version: v1 }
    - name: v2
      labels: { version: v2 }`;
const SLICE = `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: reviews-1, namespace: shop, labels: { kubernetes.io/service-name: reviews } }
addressType: IPv4
ports: [{ port: 9080 }]
endpoints: [{ addresses: [10.0.0.1] }]
`;
const to = (target: string) => `    - route: [{ destination: ${target} }]`;

describe("hostmesh analyze --offline", () => {
  it("says nothing of resources that are right, and ends with 0", async () => {
    const good = `${service("reviews")}${route(to("{ host: reviews, subset: v1 }"))}${rule("reviews", SUBSETS)}`;
    const { exit, findings } = await analyze(good, "--offline");
    assert.deepEqual([exit, findings], [0, []]);
    const text = await runCliHere(["analyze", "-f", file(good), "--offline"]);
    assert.equal(text.stdout, "Nothing to say of 3 resources.\n");
  });

  it("names destinations, subsets and ports that nobody defines", async () => {
    const http = [
      to("{ host: nobody }"),
      to("{ host: reviews, subset: v3 }"),
      to("{ host: reviews, port: { number: 1 } }"),
    ].map((each, index) =>
      each.replace("- route", `- match: [{ uri: { exact: /${index} } }]\n      route`),
    );
    const text = `${service("reviews")}${rule("reviews", SUBSETS)}${route(http.join("\n"))}`;
    const { exit, findings } = await analyze(text, "--offline");
    assert.equal(exit, 79);
    assert.match(
      only(findings, "HM0201"),
      /^26:32 spec\.http\[0\]\.route\[0\]\.destination\.host nobody/,
    );
    assert.match(
      only(findings, "HM0202"),
      /^28:47 spec\.http\[1\]\.route\[0\]\.destination\.subset nobody defines the subset v3 of shop\/reviews; there are: v1, v2$/,
    );
    assert.match(
      only(findings, "HM0203"),
      /^30:55 .*destination\.port\.number .* no port 1; it has 9080$/,
    );
  });

  it("does not miss services that a mesh registers by itself", async () => {
    const { exit, findings } = await analyze(
      route(to("{ host: reviews, subset: v1 }")),
      "--offline",
    );
    assert.deepEqual([exit, findings], [0, []]);
  });

  it("names what the resource is about, where nobody defines that", async () => {
    const { exit, findings } = await analyze(`${service("other")}${rule("reviews")}`, "--offline");
    assert.match(
      only(findings, "HM0204"),
      /^11:3 spec\.host nobody defines the service shop\/reviews$/,
    );
    assert.equal(exit, 0, "a warning alone");
    const strict = await analyze(
      `${service("other")}${rule("reviews")}`,
      ...["--offline", "--failure-threshold", "warning"],
    );
    assert.equal(strict.exit, 79);
  });

  it("names rules that no request reaches, and the one that takes their requests", async () => {
    const http = [
      `    - match: [{ uri: { prefix: /a } }]\n      route: [{ destination: { host: reviews } }]`,
      `    - match: [{ uri: { exact: /a/b }, method: { exact: GET } }]\n      route: [{ destination: { host: reviews } }]`,
      `    - match: [{ uri: { exact: /c } }, { uri: { prefix: /ab } }]\n      route: [{ destination: { host: reviews } }]`,
      to("{ host: reviews }"),
      `    - match: [{ headers: { end-user: { exact: jason } } }]\n      route: [{ destination: { host: reviews } }]`,
    ];
    const { findings } = await analyze(route(http.join("\n")), "--offline");
    const said = findings.map(({ code, line, path, message }) => [code, line, path, message]);
    assert.deepEqual(said, [
      ["HM0501", 10, "spec.http[1]", "rule 1 takes all its requests before it"],
      ["HM0501", 15, "spec.http[4]", "never reached: spec.http[3] matches everything"],
    ]);
  });

  it("names resources that an older one for the same service leaves without effect", async () => {
    const dated = (text: string, day: number) =>
      text.replace(
        "namespace: shop",
        `namespace: shop, creationTimestamp: "2026-01-0${day}T00:00:00Z"`,
      );
    const routes = `${dated(route(to("{ host: reviews }"), "young"), 2)}${dated(route(to("{ host: reviews }"), "old"), 1)}`;
    const rules = `${dated(rule("young"), 2)}${dated(rule("old"), 1)}`;
    const { findings } = await analyze(`${service("reviews")}${routes}${rules}`, "--offline");
    assert.match(only(findings, "HM0301"), /^11:11 .* the older VirtualService shop\/old counts/);
    assert.match(
      only(findings, "HM0303"),
      /^27:3 spec\.host .* the older DestinationRule shop\/old counts/,
    );
  });

  it("names resources that one of another dialect comes before", async () => {
    const split = `---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: { name: reviews, namespace: shop }
spec:
  service: reviews
  backends: [{ service: reviews-v1, weight: 90 }, { service: reviews-v2, weight: 10 }]
`;
    const services = ["reviews", "reviews-v1", "reviews-v2"].map((name) => service(name)).join("");
    const { findings } = await analyze(
      `${services}${split}${route(to("{ host: reviews }"))}`,
      "--offline",
    );
    assert.match(
      only(findings, "HM0302"),
      /spec\.service .* VirtualService shop\/reviews takes precedence/,
    );
  });

  it("names weights of which the total is 0", async () => {
    const parent = "{ group: '', kind: Service, name: reviews }";
    const text = `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews, namespace: shop }
spec:
  parentRefs: [${parent}]
  rules:
    - backendRefs:
        - { name: reviews, port: 9080, weight: 0 }
        - { name: other, port: 9080, weight: 0 }
`;
    const { findings } = await analyze(
      `${service("reviews")}${service("other")}${text}`,
      "--offline",
    );
    assert.match(
      only(findings, "HM0502"),
      /^18:7 spec\.rules\[0\]\.backendRefs with weights of 0 /,
    );
  });

  it("names fields without effect", async () => {
    const text = rule("reviews").replace("name: reviews", "name: reviews, uid: abc");
    const { findings } = await analyze(text, "--offline");
    assert.match(only(findings, "HM0101"), /^4:28 metadata\.uid no effect: an API server/);
  });

  it("names subsets without endpoints, and endpoints without a service", async () => {
    const known = await analyze(
      `${service("reviews")}${SLICE}${rule("reviews", SUBSETS)}`,
      "--offline",
    );
    const subsets = known.findings.filter(({ code }) => code === "HM0401");
    assert.deepEqual(
      subsets.map(({ path, line }) => [line, path]),
      [
        [21, "spec.subsets[0]"],
        [23, "spec.subsets[1]"],
      ],
    );
    const orphan = await analyze(`${service("other")}${SLICE}`, "--offline");
    assert.match(
      only(orphan.findings, "HM0402"),
      /^9:1 metadata nobody declares the service shop\/reviews$/,
    );
  });

  it("tells refused fields with what to write instead, unknown kinds, and those that are not ours", async () => {
    const text = `${route("    - rout: []")}---
apiVersion: networking.istio.io/v1
kind: VirtualServce
metadata: { name: x }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: x }
`;
    const { exit, findings } = await analyze(text, "--offline");
    assert.equal(exit, 79);
    assert.match(
      only(findings, "HM0002"),
      /^8:7 spec\.http\[0\]\.rout unknown field; did you mean route\?$/,
    );
    assert.match(only(findings, "HM0003"), /^11:1 kind unknown kind VirtualServce of networking/);
    assert.match(only(findings, "HM0004"), /^15:1 kind not a resource of the mesh$/);
  });

  it("tells that a resource is there twice, with the place of the other", async () => {
    const text = `${service("reviews")}${service("reviews")}`;
    const { findings } = await analyze(text, "--offline");
    assert.match(
      only(findings, "HM0005"),
      /^9:13 metadata\.name Service shop\/reviews stands in .*:2 already$/,
    );
  });

  it("goes on behind a file that is no YAML, and ends with 65", async () => {
    const inside = join(folder, "many");
    mkdirSync(inside);
    writeFileSync(join(inside, "1.yaml"), "a: [\n");
    writeFileSync(join(inside, "2.yaml"), route("    - rout: []"));
    const { code, stdout } = await runCliHere(["analyze", "-f", inside, "--offline"]);
    assert.equal(code, 65);
    assert.match(stdout, /^error HM0001 .*1\.yaml:2:1: /m);
    assert.match(stdout, /^error HM0002 .*2\.yaml:8:7: VirtualService shop\/reviews spec/m);
    assert.match(stdout, /^2 errors$/m);
  });

  it("leaves out what is suppressed", async () => {
    const { exit, codes } = await analyze(route("    - rout: []"), "--offline", "-S", "HM0002");
    assert.deepEqual([exit, codes], [0, []]);
  });

  it("is wrong usage without files, and where a file cannot be read", async () => {
    assert.equal((await runCliHere(["analyze", "--offline"])).code, 2);
    assert.equal((await runCliHere(["analyze", "-f", "/nonexistent", "--offline"])).code, 2);
  });
});

describe("hostmesh analyze against the registry", () => {
  const send = (method: string, path: string, body: unknown) =>
    fetch(`${registry.url}${path}`, { method, body: JSON.stringify(body) });

  it("knows what is registered there: services, and the Meta of endpoints", async () => {
    const missing = await analyze(
      `${rule("reviews", SUBSETS)}${route(to("{ host: reviews, subset: v1 }"))}`,
    );
    assert.ok(missing.codes.includes("HM0201") && missing.codes.includes("HM0204"));
    await send("PUT", "/v1/mesh/endpoints/h1/reviews-1", {
      ...{ service: "reviews", namespace: "shop", address: "10.0.0.1", port: 9080 },
      meta: { version: "v1" },
    });
    const { exit, findings } = await analyze(
      `${rule("reviews", SUBSETS)}${route(to("{ host: reviews, subset: v1 }"))}`,
    );
    assert.equal(exit, 0);
    assert.match(
      only(findings, "HM0401"),
      /no endpoint of shop\/reviews .* subset v2 \(version=v2\)$/,
    );
  });

  it("tells what the registry would refuse, and who else would be worse off", async () => {
    await send("PUT", "/v1/mesh/services/shop/declared", {});
    const { findings, exit } = await analyze(service("declared"));
    assert.equal(exit, 79);
    assert.match(
      only(findings, "HM0002"),
      /metadata\.name the service shop\/declared was declared by registration/,
    );
    const group = (name: string) => ({
      ...{ apiVersion: "specs.smi-spec.io/v1alpha4", kind: "HTTPRouteGroup" },
      metadata: { name: "routes", namespace: "shop" },
      spec: { matches: [{ name, pathRegex: "/a" }] },
    });
    await send("POST", "/v1/mesh/resources", [
      group("all"),
      {
        ...{ apiVersion: "access.smi-spec.io/v1alpha3", kind: "TrafficTarget" },
        metadata: { name: "metrics", namespace: "shop" },
        spec: {
          destination: { kind: "ServiceAccount", name: "api" },
          rules: [{ kind: "HTTPRouteGroup", name: "routes", matches: ["all"] }],
          sources: [{ kind: "ServiceAccount", name: "web" }],
        },
      },
    ]);
    const affected = await analyze(JSON.stringify(group("other")));
    const [worse] = affected.findings.filter(({ code }) => code === "HM0601");
    assert.match(worse?.message ?? "", /all/);
  });

  it("judges what is applied where no file is given", async () => {
    await send("POST", "/v1/mesh/resources", {
      ...{ apiVersion: "networking.istio.io/v1", kind: "DestinationRule" },
      ...{ metadata: { name: "lost", namespace: "shop" }, spec: { host: "nowhere" } },
    });
    const { stdout } = await runCliHere(["analyze", "--registry", registry.url]);
    assert.match(stdout, /^warning HM0204 DestinationRule shop\/lost: spec\.host: nobody defines/m);
  });

  it("is a failure where the registry is away", async () => {
    const args = ["analyze", "-f", file(service("a")), "--registry", "http://127.0.0.1:1"];
    assert.equal((await runCliHere(args)).code, 1);
  });
});

describe("hostmesh analyze of a large mesh", () => {
  it("looks at what meets, and not at every pair", async () => {
    const text = Array.from(
      { length: 600 },
      (_, index) => `apiVersion: v1
kind: Service
metadata: { name: s${index} }
spec: { ports: [{ port: 80, name: http }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: s${index} }
spec:
  hosts: [s${index}]
  http: [{ route: [{ destination: { host: s${index}, subset: ${index === 7 ? "v2" : "v1"} } }] }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: s${index} }
spec: { host: s${index}, subsets: [{ name: v1, labels: { version: v1 } }] }
`,
    ).join("---\n");
    const started = process.cpuUsage().user;
    const { codes } = await analyze(text, "--offline");
    assert.deepEqual(codes, ["HM0202"]);
    const spentMs = (process.cpuUsage().user - started) / 1_000;
    assert(spentMs < 12_000, `${spentMs} ms of CPU`);
  });
});

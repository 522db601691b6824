import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Finding } from "../../src/cli/check/finding.ts";
import type { ClusterFacts } from "../../src/cli/check/pre/cluster-facts.ts";
import { clusterFindings } from "../../src/cli/check/pre/cluster-findings.ts";
import { runCliHere } from "./run.ts";

const WELL: ClusterFacts = {
  version: "v1.33.2",
  groups: new Map([
    ["discovery.k8s.io", ["v1"]],
    ["coordination.k8s.io", ["v1"]],
    ["authentication.k8s.io", ["v1"]],
  ]),
  nodes: [{ name: "a", kernel: "6.1.0", os: "linux" }],
  proxyMode: "",
  daemonSets: ["kube-system/kube-proxy"],
  ciliumConfig: null,
  webhooks: [],
  namespaces: [{ name: "default", labels: {} }],
  quotaClasses: null,
  forbidden: [],
};

const notWell = (facts: Partial<ClusterFacts>): string[] =>
  clusterFindings({ ...WELL, ...facts }, "hostmesh-system")
    .filter(({ verdict }) => verdict !== "ok")
    .map(({ verdict, text }) => `${verdict}: ${text}`);

const CILIUM = { daemonSets: ["kube-system/cilium"], proxyMode: null };
const enforced = (level: string) => [
  { name: "hostmesh-system", labels: { "pod-security.kubernetes.io/enforce": level } },
];

/** What is wrong with a cluster that differs in this; in the order of the findings. */
const CASES: readonly (readonly [what: string, Partial<ClusterFacts>, readonly RegExp[]])[] = [
  ["nothing is wrong", {}, []],
  [
    "an old cluster",
    {
      groups: new Map([
        ["coordination.k8s.io", ["v1"]],
        ["authentication.k8s.io", ["v1"]],
      ]),
    },
    [/^failure: the API discovery\.k8s\.io\/v1/],
  ],
  [
    "nodes of Windows and of an old kernel",
    {
      nodes: [
        { name: "w", kernel: "10.0", os: "windows" },
        { name: "o", kernel: "3.10.0-1160", os: "linux" },
      ],
    },
    [/^warning: nodes without Linux: w/, /^failure: .*before 4\.18: o/],
  ],
  ["ipvs", { proxyMode: "ipvs" }, [/^warning: kube-proxy in mode ipvs/]],
  [
    "Cilium in place of kube-proxy",
    {
      ...CILIUM,
      ciliumConfig: new Map([
        ["kube-proxy-replacement", "true"],
        ["enable-endpoint-routes", "true"],
      ]),
    },
    [/^failure: .*socket load balancing/, /^failure: .*eBPF/],
  ],
  [
    "Cilium in place of kube-proxy, set for others",
    {
      ...CILIUM,
      ciliumConfig: new Map([
        ["kube-proxy-replacement", "true"],
        ["enable-endpoint-routes", "true"],
        ["bpf-lb-sock-hostns-only", "true"],
        ["enable-host-legacy-routing", "true"],
      ]),
    },
    [],
  ],
  [
    "Cilium beside kube-proxy",
    { ...CILIUM, proxyMode: "", ciliumConfig: new Map([["kube-proxy-replacement", "false"]]) },
    [/^warning: .*endpoint routes/],
  ],
  [
    "other meshes",
    {
      webhooks: ["istio-sidecar-injector"],
      daemonSets: ["linkerd-cni/linkerd-cni"],
      namespaces: [{ name: "shop", labels: { "istio-injection": "enabled" } }],
    },
    [/^warning: Istio .*istio-sidecar-injector; enrolled there: shop/, /^warning: Linkerd/],
  ],
  [
    "a namespace that admits no daemon",
    { namespaces: enforced("restricted") },
    [/^failure: .*enforces restricted/],
  ],
  ["a namespace that does", { namespaces: enforced("privileged"), quotaClasses: [] }, []],
  [
    "a provider that asks for a quota",
    { version: "v1.33.2-gke.100", namespaces: enforced("privileged"), quotaClasses: [] },
    [/^warning: no ResourceQuota/],
  ],
  [
    "an account without rights",
    { forbidden: ["daemonsets", "clusterroles"] },
    [/^failure: .*daemonsets, clusterroles/],
  ],
];

for (const [what, facts, expected] of CASES) {
  test(`check --pre: cluster: ${what}`, () => {
    const found = notWell(facts);
    assert.equal(found.length, expected.length, found.join("\n"));
    for (const [at, pattern] of expected.entries()) assert.match(found[at]!, pattern);
  });
}

test("check --pre: cluster: what an account may not see is said, and no failure", () => {
  const nothing: ClusterFacts = {
    ...{ version: null, groups: null, nodes: null, proxyMode: null, daemonSets: null },
    ...{
      ciliumConfig: null,
      webhooks: null,
      namespaces: null,
      quotaClasses: null,
      forbidden: null,
    },
  };
  const findings = clusterFindings(nothing, "hostmesh-system");
  assert.deepEqual([...new Set(findings.map(({ verdict }) => verdict))], ["skipped"]);
});

describe("check --pre --only cluster, by HTTP", () => {
  const folder = mkdtempSync(join(tmpdir(), "hostmesh-pre-"));
  const kubeconfig = join(folder, "config");
  const items = (...all: object[]) => ({ items: all });
  const named = (name: string, more: object = {}) => ({ metadata: { name, ...more } });
  const answers: Record<string, unknown> = {
    "/version": { gitVersion: "v1.33.2" },
    "/apis": {
      groups: [
        { name: "discovery.k8s.io", versions: [{ version: "v1" }] },
        { name: "coordination.k8s.io", versions: [{ version: "v1" }] },
        { name: "authentication.k8s.io", versions: [{ version: "v1" }] },
        {
          name: "gateway.networking.k8s.io",
          versions: [{ version: "v1" }, { version: "v1beta1" }],
        },
      ],
    },
    "/api/v1/nodes": items({
      ...named("a"),
      status: { nodeInfo: { kernelVersion: "6.1.0", operatingSystem: "linux" } },
    }),
    "/api/v1/namespaces": items(named("default")),
    "/apis/apps/v1/daemonsets": items(named("kube-proxy", { namespace: "kube-system" })),
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations": "garbled",
    "/api/v1/namespaces/kube-system/configmaps/kube-proxy": {
      data: { "config.conf": 'apiVersion: v1\nmode: "ipvs"\n' },
    },
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": { status: { allowed: true } },
  };
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    asked.push(`${request.method} ${path}`);
    const answer = answers[path];
    response.statusCode = answer === undefined ? 404 : 200;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(answer ?? { kind: "Status", message: "not found" }));
  });

  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const config = {
      ...{ apiVersion: "v1", kind: "Config", "current-context": "c" },
      clusters: [{ name: "c", cluster: { server: `http://127.0.0.1:${port}` } }],
      users: [{ name: "u", user: {} }],
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
    };
    writeFileSync(kubeconfig, JSON.stringify(config));
  });
  after(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });

  const run = async (...args: readonly string[]) => {
    const { code, stdout } = await runCliHere([
      ...["check", "--pre", "--only", "cluster", "--kubeconfig", kubeconfig, "-o", "json"],
      ...args,
    ]);
    const [group]: { findings: Finding[] }[] = JSON.parse(stdout);
    return { code, findings: group?.findings ?? [] };
  };

  test("asks only what is safe to ask, and judges the answers", async () => {
    const { code, findings } = await run();
    assert.equal(code, 0);
    const text = findings.map((one) => `${one.verdict}: ${one.text}`).join("\n");
    assert.match(text, /^ok: Kubernetes v1\.33\.2$/m);
    assert.match(text, /^ok: custom resources: Gateway API v1 and v1beta1$/m);
    assert.match(text, /^warning: kube-proxy in mode ipvs/m);
    assert.match(text, /^ok: no other mesh/m);
    const posts = asked.filter((line) => !line.startsWith("GET "));
    assert.ok(posts.length > 0);
    for (const line of posts) assert.match(line, /^POST .*selfsubjectaccessreviews$/);
  });

  test("a server that is not there, and a context that is not, are failures", async () => {
    const gone = await run("--context", "nowhere");
    assert.equal(gone.code, 3);
    assert.match(gone.findings[0]!.text, /context "nowhere"/);
    server.close();
    server.closeAllConnections();
    const silent = await run();
    assert.equal(silent.code, 3);
    assert.match(silent.findings[0]!.text, /cannot be asked: .*ECONNREFUSED/);
  });
});

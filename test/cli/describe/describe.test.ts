import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Description } from "../../../src/cli/describe/description.ts";
import type { RunningRegistry } from "../../../src/registry/registry.ts";
import { startTestRegistry } from "../../helpers/registry.ts";
import { runCliHere } from "../run.ts";
import { edge, endpoint, host, meshReport, service } from "../sight/mesh-report.ts";
import { openPeer, type Peer } from "../sight/peer.ts";

const folder = mkdtempSync(join(tmpdir(), "hostmesh-describe-"));
let registry: RunningRegistry;
/** What the registry says, and a report besides. */
let peer: Peer;

const RESOURCES = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: catalog, namespace: shop }
spec:
  hosts: [catalog]
  http:
    - name: beta
      match: [{ uri: { prefix: /api }, headers: { x-user: { exact: ann } } }]
      route: [{ destination: { host: catalog, subset: v2 } }]
    - route: [{ destination: { host: catalog, subset: v1 } }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: catalog, namespace: shop }
spec:
  host: catalog
  trafficPolicy: { connectionPool: { http: { http2MaxRequests: 7 } } }
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: only-web, namespace: shop }
spec:
  rules: [{ from: [{ source: { principals: [cluster.local/ns/shop/sa/web] } }] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: elsewhere, namespace: other }
spec: {}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: shop }
spec: { mtls: { mode: STRICT } }
`;
const IDENTITY = "spiffe://cluster.local/ns/shop/sa/catalog";

before(async () => {
  registry = await startTestRegistry({ dataDir: join(folder, "data") });
  const to = ["--registry", registry.url];
  const run = async (...args: string[]) => {
    const { code, stderr } = await runCliHere([...args, ...to]);
    assert.equal(code, 0, stderr);
  };
  const at = ["--namespace", "shop", "--address", "10.1.0.5", "--host", "node-a"];
  await run("service", "register", "catalog", "-p", "8080", ...at, "--meta", "version=v1");
  await run("workload", "register", "catalog-1", ...at, "--service-account", "catalog");
  const file = join(folder, "all.yaml");
  writeFileSync(file, RESOURCES);
  await run("apply", "-f", file);
  peer = await openPeer();
  for (const name of ["services", "endpoints", "workloads", "resources"]) {
    const path = `/v1/mesh/${name}`;
    peer.answers.set(path, [200, await (await fetch(registry.url + path)).json()]);
  }
  const report = meshReport({
    hosts: [
      host("node-a", {
        certificates: [{ identity: IDENTITY, state: "valid", notAfterMs: 1_000_000_600_000 }],
      }),
      host("node-b", { state: "gone" }),
    ],
    services: [
      service("shop/catalog", {
        endpoints: [endpoint("node-a/catalog", { ejectedBy: ["node-b"], health: "passing" })],
      }),
    ],
    edges: [
      edge("shop/web", "shop/catalog", { secured: false, securities: { no_identity: 3 } }),
      edge("shop/catalog-1", "shop/db"),
    ],
  });
  peer.answers.set("/v1/mesh/sight/report", [200, report]);
});
after(async () => {
  peer.close();
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
});

async function describe(name: string, ...args: string[]): Promise<Description> {
  const to = ["--registry", peer.url, "-o", "json"];
  const { code, stdout, stderr } = await runCliHere(["describe", name, ...to, ...args]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Description;
}

const linesOf = ({ sections }: Description, title: string) =>
  sections
    .find((section) => section.title === title)
    ?.lines.map(({ text, resource }) => (resource === null ? text : `${text} [${resource}]`));

test("a service is described with the resource that says each thing", async () => {
  const found = await describe("catalog.shop");
  assert.deepEqual([found.kind, found.name], ["service", "shop/catalog"]);
  const [endpoints = ""] = linesOf(found, "endpoints") ?? [];
  assert.match(
    endpoints,
    /^node-a\/catalog at 10\.1\.0\.5:8080 on node-a: passing, weight 1; .*EJECTED by node-b$/,
  );
  assert.deepEqual(linesOf(found, "routes"), [
    "http table: rank 30, others are refused [VirtualService shop/catalog]",
    "  beta: prefix /api and header x-user ann -> shop/catalog subset v2 (weight 100) [VirtualService shop/catalog]",
    "  #2: everything -> shop/catalog subset v1 (weight 100) [VirtualService shop/catalog]",
  ]);
  assert.match(
    linesOf(found, "traffic policy")?.join() ?? "",
    /^connections .*"maxRequests":7.* \[DestinationRule shop\/catalog\]$/,
  );
  assert.deepEqual(linesOf(found, "subsets"), [
    "v1: 1 endpoints with version=v1 [DestinationRule shop/catalog]",
    "v2: 0 endpoints with version=v2 [DestinationRule shop/catalog]",
  ]);
  assert.deepEqual(linesOf(found, "mutual TLS"), [
    "strict: callers without an identity are refused [PeerAuthentication shop/strict]",
  ]);
  assert.deepEqual(linesOf(found, "who may call"), [
    "allow principals cluster.local/ns/shop/sa/web [AuthorizationPolicy shop/only-web]",
  ]);
  assert.deepEqual(linesOf(found, "identities"), [
    `shop/catalog-1 on node-a: ${IDENTITY}, valid for 10m more`,
  ]);
  assert.match(
    linesOf(found, "callers now")?.join() ?? "",
    /^shop\/web: .*NOT secured \(no_identity\)$/,
  );
  const warnings = found.warnings.map(({ text }) => text).join("\n");
  assert.match(warnings, /^no endpoint takes requests$/m);
  assert.match(warnings, /^HM0401: .*no endpoint of .* has the labels of the subset v2/m);
});

test("a workload and a host are described too", async () => {
  const workload = await describe("catalog-1.shop");
  assert.deepEqual([workload.kind, workload.name], ["workload", "shop/catalog-1"]);
  assert.deepEqual(linesOf(workload, "serves"), ["shop/catalog at port 8080: passing"]);
  assert.match(linesOf(workload, "calls now")?.join() ?? "", /^shop\/db: .*, secured/);
  const gone = await describe("host/node-b");
  assert.deepEqual([gone.kind, gone.name], ["host", "node-b"]);
  assert.match(gone.warnings[0]?.text ?? "", /no daemon is connected/);
  const here = await describe("node-a");
  assert.deepEqual(linesOf(here, "workloads"), ["shop/catalog-1 at 10.1.0.5"]);
});

test("a name may be given in several ways, and what is unknown is told with what there is", async () => {
  for (const args of [["svc/catalog", "-n", "shop"], ["svc/shop/catalog"], ["shop/catalog"]]) {
    const [name = "", ...more] = args;
    assert.equal((await describe(name, ...more)).name, "shop/catalog", args.join(" "));
  }
  const bad = await runCliHere(["describe", "catalo", "--registry", peer.url]);
  assert.equal(bad.code, 1);
  assert.match(bad.stderr, /it knows service\/shop\/catalog, workload\/shop\/catalog-1/);
  const text = await runCliHere(["describe", "catalog.shop", "--registry", registry.url]);
  assert.equal(text.code, 0, text.stderr);
  assert.match(
    text.stdout,
    /^who may call:\n {2}allow principals .* \[AuthorizationPolicy shop\/only-web\]$/m,
  );
});

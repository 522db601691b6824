import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { parseDeclarations } from "../../daemon/declarations.ts";
import { DeclaredFiles } from "../../daemon/declared-files.ts";
import { readDeclarations } from "../../daemon/read-declarations.ts";
import { createLog } from "../../src/telemetry/log.ts";
import { until } from "../helpers/until.ts";
import { call, dig, tempFolder, testRegistry } from "../registry/setup.ts";

const POLICY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nothing, namespace: shop }
spec: {}
`;
const ENTRY = `Kind: service-intentions
Name: db
Sources:
  - { Name: web, Action: allow }
`;
const OWN = `services:
  - { name: db, mtls: required }
workloads:
  - { name: web, addresses: [10.0.0.5], labels: { app: web } }
resources:
  - apiVersion: security.istio.io/v1
    kind: PeerAuthentication
    metadata: { name: strict, namespace: shop }
    spec: { mtls: { mode: STRICT } }
`;

test("resources stand beside services in a file, and are one call behind them", () => {
  const { apply, remove } = parseDeclarations("f", [OWN, POLICY, ENTRY].join("---\n"), "h1");
  assert.deepEqual(
    apply.map(({ path }) => path),
    ["/v1/mesh/apply", "/v1/mesh/resources?atomic=true"],
  );
  assert.deepEqual(Object.keys(apply[0]?.body ?? {}), ["services", "workloads"]);
  assert.deepEqual(
    remove.map(({ path }) => path),
    [
      "/v1/mesh/workloads/default/web",
      "/v1/mesh/services/default/db",
      "/v1/mesh/resources/security.istio.io/PeerAuthentication/shop/strict",
      "/v1/mesh/resources/security.istio.io/AuthorizationPolicy/shop/nothing",
      "/v1/mesh/resources/consul/service-intentions/default/db",
    ],
  );
});

test("a bad resource in a file is found before anything starts, with file and line", async (t) => {
  const file = join(await tempFolder(t), "bad.yaml");
  await writeFile(file, `${OWN.replace("STRICT", "STRONG")}---\n${POLICY}`);
  await assert.rejects(readDeclarations(file, "h1"), {
    message: new RegExp(`^${file}:9: spec\\.mtls\\.mode: `),
  });
  await writeFile(file, `${POLICY}---\n${POLICY.replace("spec:", "specs:")}`);
  await assert.rejects(readDeclarations(file, "h1"), {
    message: `${file}:9: specs: unknown field; did you mean spec?`,
  });
  await writeFile(file, "- 1\n- 2\n");
  await assert.rejects(readDeclarations(file, "h1"), /bad\.yaml:1: expected a mapping/);
});

test("what a watched file declares is applied, follows it, and leaves with it", async (t) => {
  const registry = await testRegistry(t);
  const folder = await tempFolder(t);
  const file = join(folder, "mesh.yaml");
  await writeFile(file, [OWN, POLICY].join("---\n"));
  const declared = new DeclaredFiles({
    files: [file],
    registryUrl: registry.url,
    host: "h1",
    dataDir: folder,
    log: createLog({ level: "error", format: "text" }),
  });
  t.after(() => declared.close());
  await declared.start();
  const names = async () => {
    const { body } = await call(registry, "GET", "/v1/mesh/resources");
    assert.ok(Array.isArray(body));
    return body.map((each) => String(dig(each, "name"))).sort();
  };
  assert.deepEqual(await names(), ["nothing", "strict"]);
  const { body: workloads } = await call(registry, "GET", "/v1/mesh/workloads");
  assert.deepEqual(dig(workloads, "0.labels"), { app: "web" });
  const { body: services } = await call(registry, "GET", "/v1/mesh/services");
  assert.equal(dig(services, "0.mtls"), "required");

  await writeFile(file, [POLICY, ENTRY].join("---\n"));
  let now: string[] = [];
  await until(
    async () => {
      now = await names();
      return now.includes("db") && !now.includes("strict");
    },
    { what: "the change of the file" },
  );
  assert.deepEqual(now, ["db", "nothing"]);
});

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newAuthority } from "../../helpers/mesh-lab.ts";
import { runCliHere } from "../run.ts";
import { host, meshReport } from "../sight/mesh-report.ts";
import { openPeer, type Peer } from "../sight/peer.ts";

const NOBODY = "http://127.0.0.1:1";
let registry: Peer;
before(async () => {
  registry = await openPeer();
});
after(() => registry.close());

const check = (...args: string[]) =>
  runCliHere(["check", "--registry", registry.url, "--admin", NOBODY, ...args]);

test("check looks at the whole mesh where a registry tells of it", async () => {
  const hosts = [host("node-a"), host("node-b", { state: "gone" })];
  registry.answers.set("/v1/mesh/sight/report", [200, meshReport({ hosts, atMs: 1 })]);
  registry.answers.set("/v1/mesh/resources", [
    200,
    [
      {
        ...{ group: "networking.istio.io", kind: "VirtualService", namespace: "shop", name: "web" },
        ...{ key: "k", createdMs: 1, generation: 1, records: [] },
        content: {
          apiVersion: "networking.istio.io/v1",
          kind: "VirtualService",
          metadata: { name: "web", namespace: "shop" },
          spec: { hosts: ["web"], http: [{ route: [{ destination: { host: "nobody" } }] }] },
        },
        warnings: [{ path: "spec.http[0]", message: "is not what it seems" }],
      },
    ],
  ]);
  registry.answers.set("/v1/mesh/services", [200, []]);
  registry.answers.set("/v1/mesh/endpoints", [200, []]);
  const anchors = [newAuthority().certificate];
  registry.answers.set("/v1/identity/trust", [200, { anchors }]);
  const { code, stdout } = await check("-o", "short");
  assert.equal(code, 3);
  const found = stdout
    .trimEnd()
    .split("\n")
    .map((line) => line.split("\t"));
  const texts = (group: string) =>
    found.filter(([, title]) => title === group).map(([verdict, , text]) => `${verdict} ${text}`);
  assert.match(texts("mesh")[0] ?? "", /^warning the registry's clock is .* behind this host's$/);
  assert.equal(texts("mesh")[1], "failure host node-b: no daemon is connected");
  assert.deepEqual(texts("resources"), [
    "failure VirtualService shop/web: spec.http[0].route[0].destination.host: nobody defines the service shop/nobody: its share of the requests gets 503",
    "warning VirtualService shop/web: spec.http[0]: is not what it seems",
    "warning VirtualService shop/web: spec.hosts[0]: nobody defines the service shop/web",
  ]);
  assert.match(texts("authority")[0] ?? "", /^warning the mesh's authority is valid for /);
  assert.ok(found.every((fields) => fields.length === 4 && fields[3] !== ""));
});

test("a registry that tells nothing, or something else, is no failure of the mesh", async () => {
  registry.answers.clear();
  registry.answers.set("/v1/mesh/sight/report", [200, { hosts: "many" }]);
  const { stdout } = await check("-o", "json");
  const groups: { group: string; findings: { verdict: string }[] }[] = JSON.parse(stdout);
  for (const title of ["mesh", "traffic", "resources", "authority"]) {
    const { findings = [] } = groups.find(({ group }) => group === title) ?? {};
    assert.deepEqual(
      findings.map(({ verdict }) => verdict),
      ["skipped"],
      title,
    );
  }
});

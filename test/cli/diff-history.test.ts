import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parse } from "yaml";
import type { RunningRegistry } from "../../src/registry/registry.ts";
import { startTestRegistry } from "../helpers/registry.ts";
import { type CliResult, runCli, runCliHere } from "./run.ts";

const folder = mkdtempSync(join(tmpdir(), "hostmesh-cli-diff-"));
let registry: RunningRegistry;

before(async () => {
  registry = await startTestRegistry({ dataDir: join(folder, "data") });
});
after(async () => {
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
});

function hostmesh(...args: string[]): Promise<CliResult> {
  return runCliHere([...args, "--registry", registry.url]);
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const canary = (namespace: string, weight: number) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: ${namespace} }
spec:
  hosts: [reviews]
  http:
    - route:
        - destination: { host: reviews, subset: v1 }
          weight: ${100 - weight}
        - destination: { host: reviews, subset: v2 }
          weight: ${weight}
`;
const DEPLOYMENT = `---
apiVersion: apps/v1
kind: Deployment
metadata: { name: reviews-v1 }
---
apiVersion: v1
kind: Secret
metadata: { name: password }
data: { password: c2VjcmV0 }
`;

describe("hostmesh diff", () => {
  it("shows what apply would change and ends with 1, with 0 where there is nothing", async () => {
    const path = file("diff.yaml", canary("diff", 5));
    const fresh = await hostmesh("diff", "-f", path);
    assert.equal(fresh.code, 1);
    assert.match(fresh.stdout, /^--- \/dev\/null\n\+\+\+ .*diff\.yaml\n@@ -0,0 \+1,\d+ @@\n/);
    await hostmesh("apply", "-f", path);
    assert.deepEqual(await hostmesh("diff", "-f", path), { code: 0, stdout: "", stderr: "" });
    const changed = await hostmesh("diff", "-f", file("diff.yaml", canary("diff", 10)));
    assert.equal(changed.code, 1);
    const lines = changed.stdout.split("\n");
    assert.equal(lines[0], "--- applied/networking.istio.io/VirtualService/diff/reviews");
    assert.deepEqual(
      lines.filter((line) => /^[-+] /.test(line)).map((line) => line.replace(/ +/, " ")),
      ["- weight: 95", "+ weight: 90", "- weight: 5", "+ weight: 10"],
    );
  });

  it("takes another order of the fields for no difference", async () => {
    const json = { metadata: { namespace: "order", name: "a" }, kind: "PeerAuthentication" };
    const apiVersion = "security.istio.io/v1";
    await hostmesh("apply", "-f", file("one.json", JSON.stringify({ ...json, apiVersion })));
    const { code } = await hostmesh(
      "diff",
      "-f",
      file("2.json", JSON.stringify({ apiVersion, ...json })),
    );
    assert.equal(code, 0);
  });

  it("ends with more than 1 where it cannot compare", async () => {
    const path = file(
      "diff-bad.yaml",
      "apiVersion: nobody.example/v1\nkind: X\nmetadata: {name: x}\n",
    );
    const unknown = await hostmesh("diff", "-f", path);
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /diff-bad\.yaml:1:1: apiVersion: unknown group/);
    assert.equal((await hostmesh("diff", "-f", join(folder, "none.yaml"))).code, 2);
    const args = ["diff", "-f", file("d.yaml", canary("x", 1)), "--registry", "http://127.0.0.1:1"];
    const away = await runCliHere(args);
    assert.equal(away.code, 2);
    assert.match(away.stderr, /hint: start a registry/);
  });

  it("is coloured where colour is wanted", async () => {
    const args = ["diff", "-f", file("c.yaml", canary("colour", 5)), "--registry", registry.url];
    const { stdout } = await runCli(args, { env: { FORCE_COLOR: "1" } });
    assert.ok(stdout.includes("\u001b[32m+"));
  });
});

describe("hostmesh history and rollback", () => {
  it("list what there was, and bring it back", async () => {
    for (const weight of [5, 50, 100]) {
      await hostmesh("apply", "-f", file("h.yaml", canary("past", weight)));
    }
    const { stdout } = await hostmesh("history", "virtualservice/reviews", "-n", "past");
    assert.match(stdout, /^GENERATION +CHANGE +WHEN +BY$/m);
    assert.match(stdout, /^3 +applied +\S+Z +operator at 127\.0\.0\.1$/m);
    const back = await hostmesh("rollback", "vs/reviews", "-n", "past");
    assert.deepEqual(back, {
      code: 0,
      stdout:
        "VirtualService past/reviews rolled back to generation 2, which is now generation 4\n",
      stderr: "",
    });
    assert.equal((await hostmesh("diff", "-f", file("h.yaml", canary("past", 50)))).code, 0);
    const dry = await hostmesh("rollback", "vs", "reviews", "-n", "past", "--to", "1", "--dry-run");
    assert.match(dry.stdout, /generation 1, .* generation 5 \(dry run\)$/m);
    assert.equal((await hostmesh("diff", "-f", file("h.yaml", canary("past", 50)))).code, 0);
    const again = await hostmesh("rollback", "vs/reviews", "-n", "past", "--to", "4");
    assert.match(again.stdout, /unchanged: it is as generation 4 was/);
  });

  it("bring back what was deleted", async () => {
    await hostmesh("apply", "-f", file("u.yaml", canary("gone", 5)));
    await hostmesh("delete", "vs", "reviews", "-n", "gone");
    const { stdout } = await hostmesh("history", "--all", "-n", "gone", "-o", "json");
    assert.deepEqual(
      JSON.parse(stdout).map((each: { cause: string }) => each.cause),
      ["removed", "applied"],
    );
    assert.equal((await hostmesh("rollback", "vs/reviews", "-n", "gone")).code, 0);
    const list = await hostmesh("get", "vs", "reviews", "-n", "gone", "-o", "json");
    assert.equal(JSON.parse(list.stdout)[0].generation, 3);
  });

  it("show contents in structured output", async () => {
    await hostmesh("apply", "-f", file("s.yaml", canary("shown", 5)));
    const { stdout } = await hostmesh("history", "vs/reviews", "-n", "shown", "-o", "yaml");
    assert.equal(parse(stdout)[0].content.spec.http[0].route[1].weight, 5);
  });

  it("say what they cannot find, and what is wrong usage", async () => {
    const none = await hostmesh("rollback", "vs/nobody");
    assert.equal(none.code, 1);
    assert.match(none.stderr, /no earlier revision of .*VirtualService\/default\/nobody is kept/);
    for (const args of [
      ["history", "vs"],
      ["history", "vs/a", "b"],
      ["history", "vs/a", "--all"],
      ["rollback", "nokind/a"],
      ["rollback", "vs/a", "--to", "0"],
    ]) {
      assert.equal((await hostmesh(...args)).code, 2, args.join(" "));
    }
  });
});

describe("kinds of Kubernetes that are not for a mesh", () => {
  it("are skipped and counted, and no secret is sent", async () => {
    const path = file("app.yaml", `${canary("mixed", 5)}${DEPLOYMENT}`);
    const { code, stdout, stderr } = await hostmesh("apply", "-f", path);
    assert.deepEqual(
      [code, stdout, stderr],
      [
        0,
        "VirtualService mixed/reviews created\nDeployment reviews-v1 skipped: not a resource of the mesh\nSecret password skipped: not a resource of the mesh\n",
        "2 of 3 are skipped\n",
      ],
    );
    const removed = await hostmesh("delete", "-f", path);
    assert.deepEqual([removed.code, removed.stdout], [0, "VirtualService mixed/reviews deleted\n"]);
  });

  it("alone are no error, and a misspelt one is", async () => {
    const only = await hostmesh("apply", "-f", file("only.yaml", DEPLOYMENT));
    assert.equal(only.code, 0);
    const wrong = DEPLOYMENT.replace("kind: Deployment", "kind: Deploymint");
    const refused = await hostmesh("apply", "-f", file("wrong.yaml", wrong));
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /apiVersion: unknown group apps/);
  });

  it("are told of by kind and with the reason where they are many", async () => {
    const gateway = (name: string, apiVersion: string, kind: string) =>
      `---\napiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: {}\n`;
    const path = file(
      "gateways.yaml",
      [
        gateway("a", "networking.istio.io/v1", "Gateway"),
        gateway("b", "gateway.networking.k8s.io/v1", "Gateway"),
        gateway("c", "gateway.networking.k8s.io/v1", "GatewayClass"),
        gateway("d", "gateway.networking.k8s.io/v1beta1", "ReferenceGrant"),
      ].join(""),
    );
    const { code, stdout, stderr } = await hostmesh("apply", "-f", path);
    const why = "there is no ingress gateway: the mesh carries what is called within it";
    assert.deepEqual(
      [code, stdout.split("\n"), stderr],
      [
        0,
        [
          `2 Gateway skipped: ${why}`,
          `1 GatewayClass skipped: ${why}`,
          "1 ReferenceGrant skipped: none is needed: routes may refer to Services of other namespaces",
          "",
        ],
        "4 of 4 are skipped\n",
      ],
    );
  });

  it("are skipped by the registry itself too", async () => {
    const response = await fetch(`${registry.url}/v1/mesh/resources`, {
      method: "POST",
      body: JSON.stringify({ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "x" } }),
    });
    assert.equal(response.status, 200);
    assert.match(await response.text(), /"skipped":1,"results":\[\{.*"result":"skipped"/);
  });
});

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import * as z from "zod";
import { runCli, runCliHere } from "./run.ts";

const folder = mkdtempSync(join(tmpdir(), "hostmesh-cli-install-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const object = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
});
const objectsIn = (stream: string) =>
  parseAllDocuments(stream).map((document) => object.parse(document.toJS()));
const namesIn = (stream: string) =>
  objectsIn(stream).map(({ kind, metadata: { name } }) => `${kind} ${name}`);

describe("hostmesh install", () => {
  it("refuses settings that the programs would refuse in the cluster", async () => {
    const { code, stdout, stderr } = await runCliHere([
      ...["install", "--set", "registry.settings.kubernetes.recogniseLabels=istio"],
      ...["--set", "daemon.settings.capture.mod=tproxy"],
    ]);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /registry\.settings: kubernetes\.recogniseLabels: .*found "istio"/);
    assert.match(stderr, /daemon\.settings: capture\.mod: .*did you mean mode/);
  });

  it("prints objects for kubectl, with the values of files, --set and --image, the later winning", async () => {
    const [first, second] = [join(folder, "a.yaml"), join(folder, "b.yaml")];
    writeFileSync(first, "registry: { replicas: 3, terminationGracePeriodSeconds: 40 }\n");
    writeFileSync(second, "registry: { replicas: 4 }\n");
    const { code, stdout, stderr } = await runCliHere([
      ...["install", "-n", "mesh", "-f", first, second, "--set", "registry.replicas=5"],
      ...["--image", "registry.example:5000/team/hostmesh:1.2"],
    ]);
    assert.deepEqual([code, stderr], [0, ""]);
    const deployment = objectsIn(stdout).find(({ kind }) => kind === "Deployment");
    const spec = JSON.stringify(deployment);
    assert.match(spec, /"replicas":5/);
    assert.match(spec, /"terminationGracePeriodSeconds":40/);
    assert.match(spec, /"image":"registry.example:5000\/team\/hostmesh:1.2"/);
    for (const { kind, metadata } of objectsIn(stdout)) {
      if (!kind.startsWith("Cluster") && kind !== "Namespace")
        assert.equal(metadata.namespace, "mesh");
    }
    const record = objectsIn(stdout).find(({ metadata }) => metadata.name === "hostmesh-install");
    const { data } = z.looseObject({ data: z.record(z.string(), z.string()) }).parse(record);
    assert.deepEqual(parse(data["values.yaml"] ?? ""), {
      registry: { replicas: 5, terminationGracePeriodSeconds: 40 },
      image: { repository: "registry.example:5000/team/hostmesh", tag: "1.2" },
    });
  });

  it("lists the objects on standard error with --dry-run", async () => {
    const { stdout, stderr } = await runCliHere(["install", "--dry-run"]);
    const lines = stderr.trim().split("\n");
    assert.equal(lines.length, objectsIn(stdout).length);
    assert.equal(lines[0], "namespace/hostmesh-system");
    assert.ok(lines.includes("daemonset/hostmesh-daemon -n hostmesh-system"));
  });

  it("refuses values that do not exist, and what is no value, with 2", async () => {
    const bad: [RegExp, ...string[]][] = [
      [/replica/, "--set", "registry.replica=2"],
      [/captureMode/, "--set", "captureMode=sidecar"],
      [/no such value/, "--set", "__proto__.captureMode=explicit"],
      [/Expected path/, "--set", "registry.replicas"],
      [/Expected REPOSITORY/, "--image", "a b"],
      [/namespace/, "-n", "Not_A_Namespace"],
      [/ENOENT/, "-f", join(folder, "missing.yaml")],
    ];
    for (const [expected, ...args] of bad) {
      const { code, stdout, stderr } = await runCliHere(["install", ...args]);
      assert.deepEqual([code, stdout], [2, ""], args.join(" "));
      assert.match(stderr, expected);
    }
  });
});

describe("hostmesh uninstall", () => {
  it("names all objects, the daemons first and the namespace last, and nothing of their content", async () => {
    const { code, stdout } = await runCliHere(["uninstall", "-n", "mesh"]);
    assert.equal(code, 0);
    const names = namesIn(stdout);
    assert.equal(names[0], "DaemonSet hostmesh-daemon");
    assert.equal(names.at(-1), "Namespace mesh");
    const installed = await runCliHere(["install", "-n", "mesh", "--set", "captureMode=explicit"]);
    for (const name of namesIn(installed.stdout)) assert.ok(names.includes(name), name);
    assert.ok(!stdout.includes("spec:"));
  });
});

/** A kubectl that notes how it was called and answers from files; `diff` ends with the code that is asked for. */
const KUBECTL = `#!/bin/sh
echo "$*" >> "$FAKE/calls"
case "$*" in
  *"get configmap hostmesh-install"*) cat "$FAKE/record" ;;
  *diff*) cat > "$FAKE/diffed"; cat "$FAKE/difference"; echo trouble >&2; exit "$(cat "$FAKE/code")" ;;
  *get*) cat "$FAKE/found" ;;
esac
`;

describe("hostmesh upgrade", () => {
  const fake = (name: string, text: string) => writeFileSync(join(folder, name), text);
  const upgrade = (...args: string[]) =>
    runCli(["upgrade", ...args], {
      env: { PATH: `${folder}:${process.env["PATH"] ?? ""}`, FAKE: folder },
    });
  const recordOf = (values: string) =>
    JSON.stringify({ kind: "ConfigMap", data: { "values.yaml": values } });

  before(() => {
    fake("kubectl", KUBECTL);
    chmodSync(join(folder, "kubectl"), 0o755);
    fake("record", recordOf("registry:\n  replicas: 4\n"));
    fake("difference", "-  replicas: 3\n+  replicas: 4\n");
    fake("code", "1");
    fake("found", JSON.stringify({ items: [] }));
  });

  it("keeps the values that were given before, shows the difference and prints the objects", async () => {
    const args = ["--set", "daemon.user=2000", "--context", "prod", "--kubeconfig", "/etc/kube"];
    const { code, stdout, stderr } = await upgrade(...args);
    assert.equal(code, 0, stderr);
    assert.equal(stderr, "-  replicas: 3\n+  replicas: 4\n");
    assert.match(stdout, /replicas: 4/);
    assert.match(stdout, /2000:2000/);
    assert.equal(readFileSync(join(folder, "diffed"), "utf8"), stdout);
    for (const call of readFileSync(join(folder, "calls"), "utf8").trim().split("\n")) {
      assert.match(call, /^--kubeconfig \/etc\/kube --context prod /);
    }
    const reset = await upgrade("--reset-values");
    assert.match(reset.stdout, /replicas: 2/);
  });

  it("names what is wanted no more", async () => {
    const metadata = { name: "hostmesh-proxy", namespace: "hostmesh-system" };
    const known = { name: "hostmesh-daemon", namespace: "hostmesh-system" };
    fake(
      "found",
      JSON.stringify({
        items: [
          { apiVersion: "v1", kind: "Service", metadata },
          { apiVersion: "apps/v1", kind: "DaemonSet", metadata: known },
        ],
      }),
    );
    const { code, stdout } = await upgrade("--diff");
    assert.equal(code, 1);
    assert.match(
      stdout,
      /^no longer wanted: kubectl delete service\/hostmesh-proxy -n hostmesh-system$/m,
    );
    assert.ok(!stdout.includes("delete daemonset"));
    fake("found", JSON.stringify({ items: [] }));
  });

  it("--diff ends with 0 where there is no difference", async () => {
    fake("difference", "");
    fake("code", "0");
    assert.deepEqual(await upgrade("--diff"), { code: 0, stdout: "", stderr: "" });
  });

  it("says what kubectl says where the cluster cannot be compared", async () => {
    fake("code", "2");
    const { code, stdout, stderr } = await upgrade();
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /the cluster cannot be compared: trouble/);
    fake("code", "0");
  });

  it("leaves what others have installed to them, and needs kubectl", async () => {
    fake("record", "");
    const { code, stderr } = await upgrade();
    assert.equal(code, 1);
    assert.match(stderr, /hostmesh install has not been used in the namespace hostmesh-system/);
    const none = await runCli(["upgrade"], { env: { PATH: "/nonexistent" } });
    assert.equal(none.code, 1);
    assert.match(none.stderr, /kubectl could not be started/);
  });
});

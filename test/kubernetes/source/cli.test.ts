import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { MAIN, runCli } from "../../cli/run.ts";
import { KubeApiServer } from "../../helpers/kube-api-server.ts";
import { until } from "../../helpers/until.ts";
import { call, dig, tempFolder } from "../../registry/setup.ts";
import { namespaceOf, serviceOf } from "./cluster-lab.ts";

const FREE = ["registry.port=0", "registry.tlsPort=0", "telemetry.logFormat=json"];

test("hostmesh registry reads the cluster that it is given, and says where to change what it refuses", async (t) => {
  const server = await KubeApiServer.start(t);
  server.apply(namespaceOf("shop"));
  server.apply(serviceOf("web", "10.96.0.1"));
  const settings = FREE.flatMap((setting) => ["--set", setting]);
  const cluster = ["--source", "kubernetes", "--kubeconfig", server.kubeconfig];
  const child = spawn(
    process.execPath,
    [MAIN, "registry", ...cluster, "--data", await tempFolder(t), ...settings],
    { env: { PATH: process.env["PATH"] ?? "" }, stdio: ["ignore", "inherit", "pipe"] },
  );
  const exited = once(child, "exit");
  t.after(() => child.kill("SIGKILL"));
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const address = () => /"the registry listens","address":"([^"]+)"/.exec(log)?.[1] ?? "";
  await until(() => address() !== "", { what: "the registry listens" });
  const url = `http://${address()}`;
  const services = await call({ url }, "GET", "/v1/mesh/services");
  assert.equal(dig(services.body, "0.name"), "web");

  const answer = await runCli(["service", "register", "x", "--port", "80", "--registry", url]);
  assert.equal(answer.code, 1);
  assert.match(answer.stderr, /reads Kubernetes: change it there \(kubectl\)/);
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});

test("hostmesh up has a registry of its own, and says so where another source is set", async () => {
  const { code, stderr } = await runCli([
    ...["up", "--capture", "explicit", "--set", "registry.source=kubernetes"],
  ]);
  assert.equal(code, 2);
  assert.match(stderr, /does not read kubernetes\nhint: use `hostmesh registry`/);
});

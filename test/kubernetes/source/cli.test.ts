import assert from "node:assert/strict";
import { test } from "node:test";
import { runCli } from "../../cli/run.ts";
import { KubeApiServer } from "../../helpers/kube-api-server.ts";
import { call, dig } from "../../registry/setup.ts";
import { registryProgram } from "../registry-program.ts";
import { namespaceOf, serviceOf } from "./cluster-lab.ts";

const FREE = [
  "registry.port=0",
  "registry.tlsPort=0",
  "registry.metricsPort=0",
  "telemetry.logFormat=json",
];

test("hostmesh registry reads the cluster that it is given, and says where to change what it refuses", async (t) => {
  const server = await KubeApiServer.start(t);
  server.apply(namespaceOf("shop"));
  server.apply(serviceOf("web", "10.96.0.1"));
  const registry = await registryProgram(t, server.kubeconfig, FREE);
  const { url } = registry;
  const services = await call({ url }, "GET", "/v1/mesh/services");
  assert.equal(dig(services.body, "0.name"), "web");

  const answer = await runCli(["service", "register", "x", "--port", "80", "--registry", url]);
  assert.equal(answer.code, 1);
  assert.match(answer.stderr, /reads Kubernetes: change it there \(kubectl\)/);
  assert.deepEqual(await registry.stop(), [0, null]);
});

test("hostmesh up has a registry of its own, and says so where another source is set", async () => {
  const { code, stderr } = await runCli([
    ...["up", "--capture", "explicit", "--set", "registry.source=kubernetes"],
  ]);
  assert.equal(code, 2);
  assert.match(stderr, /does not read kubernetes\nhint: use `hostmesh registry`/);
});

import assert from "node:assert/strict";
import test from "node:test";
import { parseDeclarations } from "../../daemon/declarations.ts";

const parse = (text: string) => parseDeclarations("mesh.yaml", text, "node-a");

test("reads a Consul definition of one service", () => {
  const { apply, remove } = parse('{"service": {"id": "web/1", "name": "web", "port": 80}}');
  assert.deepEqual(apply, [
    {
      method: "PUT",
      path: "/v1/agent/service/register",
      body: { id: "web/1", name: "web", port: 80 },
    },
  ]);
  assert.deepEqual(remove, [{ method: "PUT", path: "/v1/agent/service/deregister/web/1" }]);
});

test("reads a list of Consul definitions, and the bare body of a registration", () => {
  const list = parse("services:\n  - {name: a, port: 1}\n  - {Name: b, Port: 2}\n");
  assert.deepEqual(
    list.remove.map(({ path }) => path),
    ["/v1/agent/service/deregister/a", "/v1/agent/service/deregister/b"],
  );
  assert.deepEqual(parse("Name: web\nID: web-2\nPort: 80\n").remove, [
    { method: "PUT", path: "/v1/agent/service/deregister/web-2" },
  ]);
});

test("applies our own form as one step and removes endpoints before their services", () => {
  const { apply, remove } = parse(
    [
      "services: [{name: web, ports: [{port: 80}]}]",
      "endpoints: [{id: web-1, service: web}, {id: web-2, host: node-b, service: web}]",
      "workloads: [{name: job, namespace: batch, addresses: [10.0.0.1]}]",
    ].join("\n"),
  );
  assert.deepEqual(
    apply.map(({ method, path }) => [method, path]),
    [["POST", "/v1/mesh/apply"]],
  );
  assert.deepEqual(
    remove.map(({ path }) => path),
    [
      "/v1/mesh/endpoints/node-a/web-1",
      "/v1/mesh/endpoints/node-b/web-2",
      "/v1/mesh/workloads/batch/job",
      "/v1/mesh/services/default/web",
    ],
  );
});

test("reads every document of a file, empty ones included", () => {
  const { apply } = parse("---\n---\nservice: {name: a, port: 1}\n---\nworkloads: []\n");
  assert.deepEqual(
    apply.map(({ path }) => path),
    ["/v1/agent/service/register", "/v1/mesh/apply"],
  );
});

test("a name cannot leave its place in the path", () => {
  const { remove } = parse('services: [{name: "../x y?", ports: []}]');
  assert.deepEqual(
    remove.map(({ path }) => path),
    ["/v1/mesh/services/default/..%2Fx%20y%3F"],
  );
});

test("refuses what is no mapping and what is no YAML, naming the file", () => {
  assert.throws(() => parse("[1, 2]"), /mesh\.yaml:1: expected a mapping/);
  assert.throws(() => parse("a: [1"), /mesh\.yaml:1: /);
});

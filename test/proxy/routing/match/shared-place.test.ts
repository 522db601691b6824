import assert from "node:assert/strict";
import { test } from "node:test";
import type { DataService } from "../../../../src/core/snapshot.ts";
import { ServiceTable } from "../../../../src/proxy/routing/match/table.ts";
import { endpoint, service } from "../../../helpers/plane.ts";

const none = { revision: 1, full: false, removedServices: [], workloads: [], removedWorkloads: [] };

function at(name: string): DataService {
  return service(name, [
    endpoint(80, { address: "10.0.0.1", identity: `spiffe://mesh/ns/default/sa/${name}` }),
  ]);
}

test("services that share a place keep it each for itself", () => {
  const table = new ServiceTable();
  const owner = (name: string) =>
    table.localAt("10.0.0.1", 80, `spiffe://mesh/ns/default/sa/${name}`)?.service.name;
  table.apply({ ...none, services: [at("a"), at("b")] });
  assert.deepEqual([owner("a"), owner("b"), owner("c")], ["a", "b", undefined]);
  table.apply({ ...none, services: [], removedServices: ["default/b"] });
  assert.deepEqual([owner("a"), owner("b")], ["a", undefined]);
  const found = table.byAddress("10.0.0.1", 80);
  assert.equal(typeof found === "object" ? found.service.name : found, "a");
  assert.equal(table.isTakenOver("10.0.0.1", 80, "spiffe://mesh/ns/default/sa/b"), true);
  table.apply({ ...none, services: [], removedServices: ["default/a"] });
  assert.equal(table.byAddress("10.0.0.1", 80), "none");
  assert.equal(table.isTakenOver("10.0.0.1", 80, "spiffe://mesh/ns/default/sa/b"), false);
});

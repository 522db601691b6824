import assert from "node:assert/strict";
import { test } from "node:test";
import { Compiler } from "../../daemon/compiler.ts";
import { FakeClock } from "../../src/core/clock.ts";
import type { Change } from "../../src/core/model.ts";
import { endpoint, memoryLog, put, service, workload } from "./fixtures.ts";

function setup() {
  const idle = { busy: () => false, reset: () => undefined };
  const compiler = new Compiler({
    host: "node-a",
    ownAddresses: ["192.168.0.1"],
    trustDomain: "cluster.local",
    endpoints: { slots: 64, state: idle },
    workloads: { slots: 64, state: idle },
    services: { slots: 8, state: idle },
    clock: new FakeClock(),
    log: memoryLog().log,
  });
  let revision = 0;
  const apply = (full: boolean, changes: readonly Change[]) =>
    compiler.apply({ revision: ++revision, full, changes });
  return {
    compiler,
    delta: (...changes: Change[]) => apply(false, changes),
    resync: (...changes: Change[]) => apply(true, changes),
  };
}

/** A record with a lifetime, at addresses of node-a. */
function living(name: string, uid: string, ...addresses: string[]): Change {
  return put({ ...workload(name, "node-a", addresses), uid });
}

test("an address that its container has left belongs to nobody, and is no endpoint", () => {
  const { compiler, delta } = setup();
  delta(
    put(service("web")),
    put(endpoint("node-a/1", "web", { address: "10.1.0.2" })),
    put(endpoint("node-b/1", "web", { address: "10.2.0.2" })),
    living("shop", "one", "10.1.0.2", "fd00::2"),
    put(workload("plain", "node-a", ["10.1.0.9"])),
  );
  assert.deepEqual(compiler.tiedAddresses().tied, [
    { address: "10.1.0.2", uid: "one" },
    { address: "fd00::2", uid: "one" },
  ]);
  const own = "spiffe://cluster.local/ns/default/sa/shop";
  assert.ok(compiler.localIdentities().includes(own));
  const update = compiler.leave({ address: "10.1.0.2", uid: "one" });
  assert.deepEqual(
    update.workloads.map(({ key, addresses }) => [key, addresses]),
    [["default/shop", ["fd00::2"]]],
  );
  assert.deepEqual(
    update.services.map(({ endpoints }) => endpoints.map(({ address }) => address)),
    [["10.2.0.2"]],
  );
  const last = compiler.leave({ address: "fd00::2", uid: "one" });
  assert.deepEqual(last.removedWorkloads, ["default/shop"]);
  assert.deepEqual(compiler.localAddresses(), ["10.1.0.9"]);
  assert.ok(!compiler.localIdentities().includes(own));
  assert.deepEqual(compiler.tiedAddresses().tied, []);
  assert.equal(compiler.tiedAddresses().left.length, 2);
});

test("what the registry says again of a container that is gone changes nothing", () => {
  const { compiler, delta, resync } = setup();
  const said = [put(service("web")), living("shop", "one", "10.1.0.2")];
  compiler.leave({ address: "10.1.0.2", uid: "one" });
  delta(...said);
  assert.deepEqual(compiler.localAddresses(), [], "also where it was known before");
  resync(...said);
  delta(put({ ...workload("shop", "node-a", ["10.1.0.2"]), uid: "one", labels: { v: "2" } }));
  assert.deepEqual(compiler.localAddresses(), []);
});

test("another container at the address has it, beside the stale record of the one before too", () => {
  const { compiler, delta } = setup();
  delta(
    put(service("web")),
    put(endpoint("node-a/1", "web", { address: "10.1.0.2" })),
    living("a-shop", "one", "10.1.0.2"),
  );
  compiler.leave({ address: "10.1.0.2", uid: "one" });
  const update = delta(living("b-shop", "two", "10.1.0.2"));
  assert.deepEqual(
    update.workloads.map(({ key, addresses }) => [key, addresses]),
    [["default/b-shop", ["10.1.0.2"]]],
  );
  const [listed] = update.services.flatMap(({ endpoints }) => endpoints);
  assert.equal(listed?.address, "10.1.0.2");
  assert.deepEqual(compiler.tiedAddresses().tied, [{ address: "10.1.0.2", uid: "two" }]);
});

test("a container of the same name has its address, and one that was taken back may have it again", () => {
  const { compiler, delta } = setup();
  delta(living("shop", "one", "10.1.0.2"));
  compiler.leave({ address: "10.1.0.2", uid: "one" });
  delta(living("shop", "two", "10.1.0.2"));
  assert.deepEqual(compiler.localAddresses(), ["10.1.0.2"]);
  assert.deepEqual(compiler.tiedAddresses().left, []);
  // A pod whose sandbox is made anew loses its address, and may get the same one.
  compiler.leave({ address: "10.1.0.2", uid: "two" });
  delta(living("shop", "two", "10.1.0.3"));
  delta(living("shop", "two", "10.1.0.2"));
  assert.deepEqual(compiler.localAddresses(), ["10.1.0.2"]);
});

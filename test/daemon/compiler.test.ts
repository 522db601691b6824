import assert from "node:assert/strict";
import test from "node:test";
import type { CompilerDeps } from "../../daemon/compiler.ts";
import { Compiler } from "../../daemon/compiler.ts";
import { InvalidChange } from "../../daemon/validate-change.ts";
import { FakeClock } from "../../src/core/clock.ts";
import type { Change, Health } from "../../src/core/model.ts";
import { endpoint, memoryLog, put, service, workload } from "./fixtures.ts";

function setup(limits: { endpoints?: number; workloads?: number } = {}) {
  const clock = new FakeClock();
  const { log, lines } = memoryLog();
  const busy = new Set<number>();
  const readmitted: number[] = [];
  const idle = { busy: (slot: number) => busy.has(slot), reset: () => undefined };
  const endpointState = { ...idle, readmit: (slot: number) => readmitted.push(slot) };
  const deps: CompilerDeps = {
    host: "node-a",
    ownAddresses: ["192.168.0.1", "fe80::1"],
    trustDomain: "cluster.local",
    endpoints: { slots: limits.endpoints ?? 64, state: endpointState },
    workloads: { slots: limits.workloads ?? 64, state: idle },
    services: { slots: 64, state: idle },
    clock,
    log,
  };
  const compiler = new Compiler(deps);
  let revision = 0;
  const delta = (...changes: Change[]) =>
    compiler.apply({ revision: ++revision, full: false, changes });
  const resync = (...changes: Change[]) =>
    compiler.apply({ revision: ++revision, full: true, changes });
  return { compiler, clock, lines, busy, readmitted, delta, resync };
}

const gone = (kind: Change["kind"], key: string): Change => ({ kind, key, value: null });

test("compiles a service with its endpoints and says which are on this host", () => {
  const { delta } = setup();
  const update = delta(
    put(service("web", { addresses: ["240.240.0.1"] })),
    put(endpoint("node-a/1", "web")),
    put(endpoint("node-b/1", "web", { address: "10.2.0.5" })),
  );
  assert.equal(update.full, false);
  assert.equal(update.revision, 1);
  assert.deepEqual(
    update.services.map((found) => [found.key, found.endpoints.map((one) => one.local)]),
    [["default/web", [true, false]]],
  );
});

test("an endpoint that names no port serves the only one, or the one with its number", () => {
  const named = (
    ports: readonly { name: string; port: number }[],
    portName: string,
    port = 8080,
  ) => {
    const { delta } = setup();
    const change = put(endpoint("node-a/1", "web", { portName, port }));
    return delta(put(service("web", { ports })), change).services[0]?.endpoints[0]?.portName;
  };
  const one = [{ name: "http", port: 80 }];
  const two = [
    { name: "http", port: 80 },
    { name: "admin", port: 8080 },
  ];
  assert.equal(named(one, ""), "http");
  assert.equal(named(two, ""), "admin");
  assert.equal(named(two, "", 9090), "");
  assert.equal(named(two, "http"), "http");
  assert.equal(named(one, "other"), "other");
  assert.equal(named([{ name: "", port: 80 }], "http"), "");
  assert.equal(named([], "http"), "http");
});

test("names only the services that changed", () => {
  const { delta } = setup();
  delta(
    put(service("web")),
    put(service("api")),
    put(endpoint("node-b/1", "web")),
    put(endpoint("node-b/2", "api")),
  );
  const update = delta(put(endpoint("node-b/2", "api", { weight: 7 })));
  assert.deepEqual(
    update.services.map((found) => found.key),
    ["default/api"],
  );
  assert.equal(update.services[0]?.endpoints[0]?.weight, 7);
});

test("keeps an endpoint's slot while its address stays, and gives a new one to a new address", () => {
  const { delta } = setup();
  const slotOf = (update: ReturnType<typeof delta>) => update.services[0]?.endpoints[0]?.slot;
  const first = slotOf(delta(put(service("web")), put(endpoint("node-b/1", "web"))));
  assert.equal(slotOf(delta(put(endpoint("node-b/1", "web", { health: "warning" })))), first);
  assert.notEqual(slotOf(delta(put(endpoint("node-b/1", "web", { address: "10.9.9.9" })))), first);
});

test("readmits an endpoint whose checks pass again, and only then", () => {
  const { delta, readmitted } = setup();
  const be = (health: Health, address = "10.2.0.5") =>
    delta(put(endpoint("node-b/1", "web", { health, address }))).services[0]?.endpoints[0]?.slot;
  delta(put(service("web")));
  const slot = be("critical");
  be("critical");
  assert.deepEqual(readmitted, []);
  be("warning");
  assert.deepEqual(readmitted, [slot]);
  be("passing");
  be("warning");
  be("critical");
  assert.deepEqual(readmitted, [slot]);
  be("passing", "10.2.0.6");
  assert.deepEqual(readmitted, [slot], "another address is another endpoint");
});

test("moves an endpoint from one service to another and tells of both", () => {
  const { delta } = setup();
  delta(put(service("web")), put(service("api")), put(endpoint("node-b/1", "web")));
  const update = delta(put(endpoint("node-b/1", "api")));
  assert.deepEqual(update.services.map((found) => [found.key, found.endpoints.length]).sort(), [
    ["default/api", 1],
    ["default/web", 0],
  ]);
});

test("removes a service and keeps its endpoints for its return", () => {
  const { delta } = setup();
  delta(put(service("web")), put(endpoint("node-b/1", "web")));
  assert.deepEqual(delta(gone("service", "default/web")).removedServices, ["default/web"]);
  assert.equal(delta(put(service("web"))).services[0]?.endpoints.length, 1);
});

test("says nothing of endpoints whose service does not exist", () => {
  const { delta, compiler } = setup();
  const update = delta(put(endpoint("node-b/1", "ghost")));
  assert.deepEqual([update.services, update.removedServices], [[], []]);
  assert.deepEqual(compiler.full().services, []);
});

test("a resync that brings nothing new names nothing", () => {
  const { delta, resync } = setup();
  const records = [put(service("web")), put(endpoint("node-a/1", "web"))];
  delta(...records);
  const update = resync(...records);
  assert.deepEqual(
    [update.services, update.workloads, update.removedServices, update.removedWorkloads],
    [[], [], [], []],
  );
  assert.equal(update.revision, 2);
});

test("a resync removes what it does not name", () => {
  const { delta, resync, compiler } = setup();
  delta(
    put(service("web")),
    put(service("old")),
    put(endpoint("node-b/1", "web")),
    put(endpoint("node-b/2", "web")),
    put(workload("job", "node-a", ["10.1.0.9"])),
  );
  const update = resync(put(service("web")), put(endpoint("node-b/2", "web")));
  assert.deepEqual(update.removedServices, ["default/old"]);
  assert.deepEqual(update.removedWorkloads, ["default/job"]);
  assert.deepEqual(
    compiler.full().services[0]?.endpoints.map((one) => one.id),
    ["node-b/2"],
  );
});

for (const [what, change] of [
  ["a port of 0", put(endpoint("node-b/1", "web", { port: 0 }))],
  ["a weight of 70000", put(endpoint("node-b/1", "web", { weight: 70_000 }))],
  ["an address that is none", put(service("web", { addresses: ["10.0.0"] }))],
  [
    "a port name twice",
    put(
      service("web", {
        ports: [
          { name: "a", port: 1 },
          { name: "a", port: 2 },
        ],
      }),
    ),
  ],
  ["a key of another", { ...put(workload("job", "node-a", [])), key: "default/other" } as Change],
] as const) {
  test(`refuses ${what} before anything is changed`, () => {
    const { delta, compiler } = setup();
    delta(put(service("first")));
    const before = compiler.full();
    assert.throws(() => delta(put(service("second")), change), InvalidChange);
    assert.deepEqual(compiler.full(), before);
  });
}

test("an endpoint without a slot is left out, raises an alarm, and enters when a slot is free", () => {
  const { delta, compiler, clock, lines, busy } = setup({ endpoints: 2 });
  delta(put(service("web")), put(endpoint("node-b/1", "web")), put(endpoint("node-b/2", "web")));
  const update = delta(put(endpoint("node-b/3", "web")));
  assert.equal(update.services[0]?.endpoints.length, 2);
  assert.equal(compiler.stats().endpointsLeftOut, 1);
  assert.equal(lines.length, 1);
  const slot = update.services[0]?.endpoints[0]?.slot ?? -1;
  delta(gone("endpoint", "node-b/1"));
  busy.add(slot);
  clock.advance(10_000);
  assert.equal(compiler.sweep(), null, "a request is still in flight there");
  busy.delete(slot);
  const entered = compiler.sweep();
  assert.deepEqual(
    entered?.services[0]?.endpoints.map((one) => one.id),
    ["node-b/2", "node-b/3"],
  );
  assert.equal(compiler.stats().endpointsLeftOut, 0);
  assert.equal(compiler.sweep(), null);
});

test("derives a workload from a local endpoint, one per address", () => {
  const { delta, compiler } = setup();
  const update = delta(
    put(service("web")),
    put(endpoint("node-a/1", "web")),
    put(endpoint("node-a/2", "web", { address: "10.1.0.6" })),
    put(endpoint("node-b/1", "web", { address: "10.2.0.1" })),
  );
  assert.deepEqual(
    update.workloads.map((one) => [one.key, one.name, one.serviceAccount, one.addresses]),
    [
      ["default/web@10.1.0.5", "web", "web", ["10.1.0.5"]],
      ["default/web@10.1.0.6", "web", "web", ["10.1.0.6"]],
    ],
  );
  assert.notEqual(update.workloads[0]?.slot, update.workloads[1]?.slot);
  assert.deepEqual(compiler.localAddresses(), ["10.1.0.5", "10.1.0.6"]);
});

test("derives none at the host's own addresses, on loopback, or from a host name", () => {
  const { delta, compiler } = setup();
  const update = delta(
    put(service("web")),
    ...["192.168.0.1", "127.0.0.1", "::1", "::ffff:127.0.0.1", "FE80::1", "example.com"].map(
      (address, index) => put(endpoint(`node-a/${index}`, "web", { address })),
    ),
  );
  assert.deepEqual(update.workloads, []);
  assert.deepEqual(compiler.localAddresses(), []);
});

test("a workload record replaces the derived one, and its removal brings that back", () => {
  const { delta } = setup();
  delta(put(service("web")), put(endpoint("node-a/1", "web")));
  const covered = delta(put(workload("web-1", "node-a", ["10.1.0.5"])));
  assert.deepEqual(covered.removedWorkloads, ["default/web@10.1.0.5"]);
  assert.deepEqual(
    covered.workloads.map((one) => one.key),
    ["default/web-1"],
  );
  const back = delta(gone("workload", "default/web-1"));
  assert.deepEqual(back.removedWorkloads, ["default/web-1"]);
  assert.deepEqual(
    back.workloads.map((one) => one.key),
    ["default/web@10.1.0.5"],
  );
});

test("a derived workload goes with the last endpoint at its address", () => {
  const { delta, compiler } = setup();
  delta(
    put(service("web")),
    put(service("api")),
    put(endpoint("node-a/1", "web")),
    put(endpoint("node-a/2", "api")),
  );
  assert.deepEqual(compiler.localAddresses(), ["10.1.0.5"]);
  const renamed = delta(gone("endpoint", "node-a/2"));
  assert.deepEqual(
    [renamed.removedWorkloads, renamed.workloads.map((one) => one.key)],
    [["default/api@10.1.0.5"], ["default/web@10.1.0.5"]],
  );
  assert.deepEqual(delta(gone("endpoint", "node-a/1")).removedWorkloads, ["default/web@10.1.0.5"]);
  assert.deepEqual(compiler.localAddresses(), []);
});

test("workloads of other hosts are neither known to workers nor captured", () => {
  const { delta, compiler } = setup();
  const update = delta(put(workload("job", "node-b", ["10.2.0.9"])));
  assert.deepEqual(update.workloads, []);
  assert.deepEqual(compiler.localAddresses(), []);
  assert.equal(delta(put(workload("job", "node-a", ["10.2.0.9"]))).workloads.length, 1);
  assert.deepEqual(delta(put(workload("job", "node-b", ["10.2.0.9"]))).removedWorkloads, [
    "default/job",
  ]);
});

test("of two records that claim one address the first by name has it", () => {
  const { delta, compiler } = setup();
  delta(put(workload("b", "node-a", ["10.1.0.5"])));
  delta(put(workload("a", "node-a", ["10.1.0.5"])));
  const held = () =>
    Object.fromEntries(compiler.full().workloads.map((one) => [one.name, one.addresses]));
  assert.deepEqual(held(), { a: ["10.1.0.5"], b: [] });
  delta(gone("workload", "default/a"));
  assert.deepEqual(held(), { b: ["10.1.0.5"] });
});

test("a workload without a slot is not captured until one is free", () => {
  const { delta, compiler, clock } = setup({ workloads: 1 });
  delta(put(workload("a", "node-a", ["10.1.0.1"])), put(workload("b", "node-a", ["10.1.0.2"])));
  assert.deepEqual(compiler.localAddresses(), ["10.1.0.1"]);
  assert.equal(compiler.stats().workloadsLeftOut, 1);
  delta(gone("workload", "default/a"));
  clock.advance(10_000);
  assert.deepEqual(
    compiler.sweep()?.workloads.map((one) => one.key),
    ["default/b"],
  );
  assert.deepEqual(compiler.localAddresses(), ["10.1.0.2"]);
});

test("the full state is what the deltas add up to", () => {
  const { delta, compiler } = setup();
  delta(put(service("web")), put(endpoint("node-a/1", "web")));
  const update = delta(put(endpoint("node-a/2", "web", { address: "10.1.0.7" })));
  const full = compiler.full();
  assert.equal(full.full, true);
  assert.equal(full.revision, 2);
  assert.deepEqual(full.services, update.services);
  assert.equal(full.workloads.length, 2);
});

test("one endpoint's change among 1,000 services and 10,000 endpoints is compiled alone", () => {
  const { delta, compiler } = setup({ endpoints: 20_000 });
  const changes: Change[] = [];
  for (let index = 0; index < 1_000; index++) {
    changes.push(put(service(`s${index}`)));
    for (let one = 0; one < 10; one++)
      changes.push(put(endpoint(`node-b/${index}-${one}`, `s${index}`)));
  }
  delta(...changes);
  const before = compiler.full().services;
  const update = delta(put(endpoint("node-b/7-3", "s7", { weight: 2 })));
  assert.equal(update.services.length, 1);
  const after = compiler.full().services;
  const rebuilt = after.filter((found, index) => found !== before[index]);
  assert.deepEqual(
    rebuilt.map((found) => found.key),
    ["default/s7"],
  );
});

test("a service without registration is there while its calls are routed", () => {
  const { compiler } = setup();
  const route = (
    services: readonly string[] | null,
    clients: readonly string[] | null = null,
  ): Change => ({
    kind: "route",
    key: "r",
    value:
      services === null
        ? null
        : {
            ...{ source: "VirtualService default/gone", createdMs: 1, protocol: "http" as const },
            ...{ role: "route" as const, services, clients, rank: 30 },
            ...{ order: "listed" as const, otherwise: "refuse" as const, rules: [] },
          },
  });
  const apply = (revision: number, ...changes: Change[]) =>
    compiler.apply({ revision, full: false, changes });
  const first = apply(2, route(["default/gone", "host:x.example"]));
  assert.deepEqual(
    first.services.map(({ key, endpoints, routes }) => [key, endpoints.length, routes?.length]),
    [["default/gone", 0, 1]],
  );
  apply(3, { kind: "service", key: "default/gone", value: service("gone") });
  const left = apply(4, { kind: "service", key: "default/gone", value: null });
  assert.deepEqual([left.removedServices, left.services[0]?.addresses], [[], []]);
  const [some] = apply(5, route(["default/gone"], ["blue"])).services;
  assert.deepEqual([first.services[0]?.exportTo, some?.exportTo], [undefined, ["blue"]]);
  assert.deepEqual(apply(6, route(null)).removedServices, ["default/gone"]);
  assert.equal(compiler.stats().services, 0);
});

test("what policies say of protocols: of the whole where nothing is declared, of a port whatever is", () => {
  const { compiler } = setup();
  const ports = [
    { name: "http", port: 80, protocol: "http" as const },
    { name: "db", port: 3306, protocol: "http" as const },
  ];
  const policy: Change = {
    kind: "traffic",
    key: "p",
    value: {
      ...{ source: "ServiceProfile", createdMs: 1, service: "host:*", namespace: "default" },
      ...{ root: false, base: true, clients: null, subsets: [] },
      settings: { protocol: "grpc" },
      ports: { "3306": { protocol: "tcp" } },
    },
  };
  const { services } = compiler.apply({
    ...{ revision: 1, full: false },
    changes: [
      { kind: "service", key: "default/web", value: service("web", { ports }) },
      { kind: "service", key: "default/own", value: service("own", { protocol: "http" }) },
      policy,
      put(endpoint("node-a/1", "own", { port: 3306 })),
      put(endpoint("node-a/2", "own", { port: 80 })),
    ],
  });
  const [web, own] = services;
  assert.deepEqual(
    [web?.protocol, ...(web?.ports ?? []).map(({ protocol }) => protocol), own?.protocol],
    ["grpc", "http", "tcp", "http"],
  );
  assert.deepEqual(
    own?.endpoints.map(({ protocol }) => protocol),
    ["tcp", undefined],
  );
  assert.equal(web?.traffic, undefined, "nothing that each request would have to ask for");
});

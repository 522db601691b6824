import assert from "node:assert/strict";
import test from "node:test";
import { TrafficBook } from "../../daemon/traffic-book.ts";
import type { RouteTable, TrafficPolicy } from "../../src/core/traffic.ts";
import { service } from "./fixtures.ts";

const record = (name: string, more: object = {}) => ({ ...service(name), ...more });

function policy(service: string, more: Partial<TrafficPolicy> = {}): TrafficPolicy {
  return {
    ...{ source: "DestinationRule", createdMs: 1, service, namespace: "default", root: false },
    ...{ clients: null, settings: {}, ports: {}, subsets: [], ...more },
  };
}

function table(services: readonly string[], more: Partial<RouteTable> = {}): RouteTable {
  return {
    ...{ source: "VirtualService", createdMs: 1, protocol: "http", role: "route", services },
    ...{ clients: null, rank: 30, order: "listed", otherwise: "refuse", rules: [], ...more },
  };
}

function setup(policies: readonly TrafficPolicy[], tables: readonly RouteTable[] = []) {
  const book = new TrafficBook();
  for (const [at, value] of policies.entries()) book.set({ kind: "traffic", key: `t${at}`, value });
  for (const [at, value] of tables.entries()) book.set({ kind: "route", key: `r${at}`, value });
  return book;
}

const retries = (minPerSecond: number) => ({
  retryBudget: { ratio: 0.2, minPerSecond, ttlMs: 10_000 },
});

test("a service finds what names it, by its key, its cluster name, its hosts and patterns", () => {
  const book = setup(
    [],
    [
      table(["default/web"], { source: "key" }),
      table(["host:web.default.svc.cluster.local"], { source: "cluster name" }),
      table(["host:api.example.com"], { source: "host" }),
      table(["host:*.example.com"], { source: "pattern" }),
      table(["host:*.other.com"], { source: "none" }),
    ],
  );
  const found = (one: ReturnType<typeof record>) =>
    book.routesOf(one).routes.map(({ source }) => source);
  assert.deepEqual(found(record("web")), ["cluster name", "key"]);
  assert.deepEqual(found(record("ext", { hosts: ["API.example.com"] })), ["host", "pattern"]);
  assert.deepEqual(found(record("ext", { hosts: ["b.example.com"] })), ["pattern"]);
  assert.deepEqual(found(record("api")), []);
});

test("a table that names the service stands before one with a pattern, and a longer pattern before a shorter", () => {
  const refs = ["host:*", "host:*.example.com", "host:api.example.com"];
  const book = setup(
    [],
    refs.map((ref) => table([ref], { source: ref })),
  );
  const { routes } = book.routesOf(record("ext", { hosts: ["api.example.com"] }));
  const ordered = [...routes].sort((a, b) => b.rank - a.rank).map(({ source }) => source);
  assert.deepEqual(ordered, refs.toReversed());
  assert.ok(
    routes.every(({ rank }) => rank > 29 && rank <= 30),
    "no other dialect comes between",
  );
});

test("within one namespace a policy for a name stands before one for a pattern", () => {
  const book = setup([
    policy("host:*.default.svc.cluster.local", { namespace: "shop", settings: retries(1) }),
    policy("default/web", { settings: retries(2) }),
    policy("host:*", { settings: retries(3) }),
  ]);
  const views = book.trafficOf(record("web")).traffic;
  assert.deepEqual(
    views.map(({ clients, settings }) => [clients, settings.retryBudget?.minPerSecond]),
    [
      [["shop"], 1],
      [null, 2],
    ],
  );
});

test("the stamp of a service's tables changes with them, and with nothing else", () => {
  const book = setup([], [table(["default/web"]), table(["default/api"])]);
  const web = record("web");
  const before = book.routesOf(web).routeStamp;
  book.set({ kind: "route", key: "r1", value: table(["default/api"], { rank: 10 }) });
  assert.equal(book.routesOf(web).routeStamp, before);
  book.set({ kind: "route", key: "r0", value: table(["default/web"], { rank: 10 }) });
  assert.notEqual(book.routesOf(web).routeStamp, before);
});

test("a change names the references that were meant and those that are", () => {
  const book = setup([], [table(["default/web"])]);
  const change = { kind: "route", key: "r0", value: table(["default/api"]) } as const;
  assert.deepEqual(book.set(change), ["default/web", "default/api"]);
  assert.deepEqual(book.set({ ...change, value: null }), ["default/api"]);
  assert.deepEqual(book.routesOf(record("api")).routes, []);
});

test("the policy of the caller's namespace comes before the service's, and that before a root's", () => {
  const book = setup([
    policy("default/web", { namespace: "root", root: true, settings: retries(1) }),
    policy("default/web", { settings: retries(2) }),
    policy("default/web", { namespace: "shop", settings: retries(3) }),
  ]);
  const views = book.trafficOf(record("web")).traffic;
  const seen = views.map(({ clients, settings }) => [clients, settings.retryBudget?.minPerSecond]);
  assert.deepEqual(seen, [
    [["shop"], 3],
    [null, 2],
  ]);
});

test("a policy that is exported to some namespaces holds for them, and for no other", () => {
  const book = setup([policy("default/web", { clients: ["shop"], settings: retries(5) })]);
  const views = book.trafficOf(record("web")).traffic;
  assert.deepEqual(
    views.map(({ clients, settings }) => [clients, settings.retryBudget?.minPerSecond]),
    [[["shop"], 5]],
  );
});

test("of two policies the older counts; subsets of both are joined and take what they do not say", () => {
  const subset = (name: string, settings = {}) => ({ name, labels: { version: name }, settings });
  const book = setup([
    policy("default/web", { createdMs: 9, settings: retries(9), subsets: [subset("v2")] }),
    policy("default/web", {
      createdMs: 2,
      settings: { ...retries(2), mtls: "required" },
      ports: { 80: { mtls: "disable" } },
      subsets: [subset("v1", retries(7)), subset("v2", retries(8))],
    }),
  ]);
  const [view] = book.trafficOf(record("web")).traffic;
  assert.equal(view?.settings.retryBudget?.minPerSecond, 2);
  const subsets = view?.subsets.map(({ name, settings, ports }) => [
    ...[name, settings.mtls, settings.retryBudget?.minPerSecond],
    ports["80"]?.mtls,
  ]);
  assert.deepEqual(subsets, [
    ["v1", "required", 7, "disable"],
    ["v2", "required", 8, "disable"],
  ]);
});

test("what a service says of itself holds beneath every policy, and alone where there is none", () => {
  const own = policy("default/web", { base: true, settings: { ...retries(1), mtls: "required" } });
  const alone = setup([own]).trafficOf(record("web")).traffic;
  assert.deepEqual(
    alone.map(({ clients, settings }) => [clients, settings.mtls]),
    [[null, "required"]],
  );
  const book = setup([own, policy("default/web", { namespace: "shop", settings: retries(3) })]);
  const views = book.trafficOf(record("web")).traffic;
  assert.deepEqual(
    views.map(({ clients, settings }) => [
      clients,
      settings.mtls,
      settings.retryBudget?.minPerSecond,
    ]),
    [
      [["shop"], "required", 3],
      [null, "required", 1],
    ],
  );
});

const limit = (name: string) => ({ name, requests: 1, periodMs: 1_000, burst: 1, per: [] });

test("base policies join field by field, their rate limits all, and those for some callers hold for them alone", () => {
  const base = (createdMs: number, settings: TrafficPolicy["settings"], more = {}) =>
    policy("default/web", { base: true, createdMs, settings, ...more });
  const book = setup([
    base(2, { rateLimits: [limit("b")], timeouts: { requestMs: 2 } }),
    base(1, { rateLimits: [limit("a")], timeouts: { requestMs: 1 } }),
    base(3, retries(5), { namespace: "blue", clients: ["blue"] }),
    policy("host:*.default.svc.cluster.local", { settings: { mtls: "required" } }),
  ]);
  const { traffic } = book.trafficOf(record("web"));
  assert.deepEqual(
    traffic.map(({ clients }) => clients),
    [["blue"], null],
  );
  const common = {
    timeouts: { requestMs: 1 },
    rateLimits: [limit("a"), limit("b")],
    mtls: "required",
  };
  assert.deepEqual(traffic[1]?.settings, common, "a base policy hides no pattern");
  assert.deepEqual(traffic[0]?.settings, { ...common, ...retries(5) });
});

test("a protocol is no part of what callers are told, and that of a port comes with the rest", () => {
  const book = setup([
    policy("host:*", { base: true, settings: { protocol: "http" } }),
    policy("default/web", {
      ...{ base: true, createdMs: 2, ports: { "3306": { protocol: "tcp" } } },
      settings: { protocol: "tcp" },
    }),
  ]);
  assert.deepEqual(book.trafficOf(record("web")), {
    traffic: [],
    protocols: { all: "tcp", ports: { "3306": "tcp" } },
  });
  assert.deepEqual(book.trafficOf(record("api")).protocols, { all: "http", ports: {} });
  const key = "t1";
  book.set({ kind: "traffic", key, value: policy("default/web", { settings: retries(1) }) });
  assert.deepEqual(book.trafficOf(record("web")).protocols, { all: "http", ports: {} });
  assert.equal(book.trafficOf(record("web")).traffic.length, 1);
});

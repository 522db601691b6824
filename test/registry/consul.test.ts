import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../helpers/until.ts";
import { FakeTime } from "./fake-time.ts";
import { call, dig, testRegistry } from "./setup.ts";

const REGISTER = "/v1/agent/service/register";
const web = { Name: "web", ID: "web-1", Address: "10.0.0.1", Port: 8080 };

test("a registration shows in health, catalogue and agent answers in Consul's shapes", async (t) => {
  const registry = await testRegistry(t);
  const reply = await call(registry, "PUT", REGISTER, {
    ...web,
    Tags: ["v1", "blue"],
    Meta: { version: "2" },
    Weights: { Passing: 10, Warning: 2 },
    Check: { TTL: "15s", Status: "passing" },
  });
  assert.equal(reply.status, 200);
  assert.equal(reply.body, null);
  const health = await call(registry, "GET", "/v1/health/service/web");
  assert.equal(health.index, reply.index);
  const entry = dig(health.body, "0");
  assert.equal(dig(entry, "Node.Node"), "h1");
  assert.equal(dig(entry, "Node.Address"), "127.0.0.1");
  assert.match(String(dig(entry, "Node.ID")), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.equal(dig(entry, "Service.ID"), "web-1");
  assert.equal(dig(entry, "Service.Service"), "web");
  assert.deepEqual(dig(entry, "Service.Tags"), ["v1", "blue"]);
  assert.deepEqual(dig(entry, "Service.Meta"), { version: "2" });
  assert.deepEqual(dig(entry, "Service.Weights"), { Passing: 10, Warning: 2 });
  assert.equal(dig(entry, "Checks.0.CheckID"), "service:web-1");
  assert.equal(dig(entry, "Checks.0.Name"), "Service 'web' check");
  assert.equal(dig(entry, "Checks.0.Status"), "passing");
  assert.equal(dig(entry, "Checks.0.ServiceID"), "web-1");
  const catalogue = await call(registry, "GET", "/v1/catalog/service/web");
  assert.equal(dig(catalogue.body, "0.ServiceAddress"), "10.0.0.1");
  assert.equal(dig(catalogue.body, "0.ServicePort"), 8080);
  const services = await call(registry, "GET", "/v1/catalog/services");
  assert.deepEqual(services.body, { web: ["blue", "v1"] });
  const agent = await call(registry, "GET", "/v1/agent/services");
  assert.equal(dig(agent.body, "web-1.Port"), 8080);
  const checks = await call(registry, "GET", "/v1/agent/checks");
  assert.equal(dig(checks.body, "service:web-1.Type"), "ttl");
  const leader = await call(registry, "GET", "/v1/status/leader");
  assert.equal(leader.body, `127.0.0.1:${registry.port}`);
});

/** Body -> what is read back at a path of `/v1/health/service/web`, first entry. */
const accepted: [string, unknown, string, unknown][] = [
  ["defaults the id to the name", { Name: "web", Port: 80 }, "Service.ID", "web"],
  ["defaults the address to the node's", { Name: "web", Port: 80 }, "Service.Address", "127.0.0.1"],
  ["takes snake_case keys", { name: "web", port: 80, id: "x" }, "Service.ID", "x"],
  [
    "takes snake_case keys of checks",
    {
      name: "web",
      port: 80,
      check: { http: "http://10.0.0.1/", interval: "10s", success_before_passing: 3 },
    },
    "Checks.0.Interval",
    "10s",
  ],
  [
    "numbers several checks from 1",
    { ...web, Checks: [{ TTL: "1s" }, { TTL: "2s" }] },
    "Checks.1.CheckID",
    "service:web-1:2",
  ],
  [
    "counts Check before Checks",
    { ...web, Check: { TTL: "1s", Name: "first" }, Checks: [{ TTL: "2s" }] },
    "Checks.0.Name",
    "first",
  ],
  ["starts a check as critical", { ...web, Check: { TTL: "1s" } }, "Checks.0.Status", "critical"],
  [
    "keeps a check's own id",
    { ...web, Check: { CheckID: "mine", TTL: "1s" } },
    "Checks.0.CheckID",
    "mine",
  ],
  [
    "takes a duration in nanoseconds",
    { ...web, Check: { TCP: "10.0.0.1:80", Interval: 5e9 } },
    "Checks.0.Interval",
    "5s",
  ],
  [
    "defaults the timeout of a check to 10 s",
    { ...web, Check: { TCP: "10.0.0.1:80", Interval: "1m30s" } },
    "Checks.0.Timeout",
    "10s",
  ],
  [
    "ignores what asks for a sidecar",
    { ...web, Connect: { SidecarService: {} } },
    "Service.ID",
    "web-1",
  ],
  [
    "takes the virtual address",
    { ...web, TaggedAddresses: { virtual: { Address: "240.1.2.3", Port: 80 } } },
    "Service.TaggedAddresses",
    { virtual: { Address: "240.1.2.3", Port: 80 } },
  ],
  ["canonicalises IPv6", { ...web, Address: "FD00:0::1" }, "Service.Address", "fd00::1"],
];
for (const [what, body, path, expected] of accepted) {
  test(`a registration ${what}`, async (t) => {
    const registry = await testRegistry(t);
    const reply = await call(registry, "PUT", REGISTER, body);
    assert.equal(reply.status, 200, JSON.stringify(reply.body));
    const health = await call(registry, "GET", "/v1/health/service/web");
    assert.deepEqual(dig(health.body, `0.${path}`), expected);
  });
}

/** Body -> path that the error names. */
const refused: [unknown, string][] = [
  [{}, "Name"],
  [{ Name: "web" }, "Port"],
  [{ Name: "web", Port: 70_000 }, "Port"],
  [{ Name: "web", Port: "80" }, "Port"],
  [{ Name: "a.b", Port: 80 }, "Name"],
  [{ Name: "../web", Port: 80 }, "Name"],
  [{ ...web, ID: "a/../b" }, "ID"],
  [{ ...web, Address: "not an address" }, "Address"],
  [{ ...web, Address: "0.0.0.0" }, "Address"],
  [{ ...web, Kind: "connect-proxy" }, "Kind"],
  [{ ...web, SocketPath: "/run/x" }, "SocketPath"],
  [{ ...web, Colour: "blue" }, "Colour"],
  [{ ...web, name: "again" }, "name"],
  [{ ...web, Tags: ["a", 1] }, "Tags[1]"],
  [{ ...web, Meta: { "hostmesh-protocol": "gopher" } }, "Meta.hostmesh-protocol"],
  [{ ...web, Meta: { "hostmesh-service-port": "0" } }, "Meta.hostmesh-service-port"],
  [{ ...web, Weights: { Passing: -1 } }, "Weights.Passing"],
  [{ ...web, Weights: { Best: 1 } }, "Weights.Best"],
  [{ ...web, Check: { TTL: "soon" } }, "Check.TTL"],
  [{ ...web, Check: {} }, "Check"],
  [{ ...web, Checks: [{ TTL: "1s" }, { TTL: "1s", HTTP: "http://a/" }] }, "Checks[1]"],
  [{ ...web, Checks: [{ HTTP: "ftp://a/", Interval: "1s" }] }, "Checks[0].HTTP"],
  [{ ...web, Checks: [{ HTTP: "http://a/" }] }, "Checks[0].Interval"],
  [{ ...web, Checks: [{ TCP: "nowhere", Interval: "1s" }] }, "Checks[0].TCP"],
  [{ ...web, Checks: [{ GRPC: "nowhere/x", Interval: "1s" }] }, "Checks[0].GRPC"],
  [{ ...web, Checks: [{ GRPC: "a:1/x y", Interval: "1s" }] }, "Checks[0].GRPC"],
  [{ ...web, Checks: [{ GRPC: "a:1", TCP: "a:1", Interval: "1s" }] }, "Checks[0]"],
  [{ ...web, Check: { Args: ["rm"], Interval: "1s" } }, "Check.Args"],
];
for (const [body, path] of refused) {
  test(`a registration is refused with the path ${path}: ${JSON.stringify(body).slice(0, 60)}`, async (t) => {
    const registry = await testRegistry(t);
    const reply = await call(registry, "PUT", REGISTER, body);
    assert.equal(reply.status, 400);
    assert.equal(dig(reply.body, "path"), path);
    assert.equal(typeof dig(reply.body, "error"), "string");
    assert.deepEqual((await call(registry, "GET", "/v1/catalog/services")).body, {});
  });
}

test("?node and X-Hostmesh-Host say which host a registration belongs to", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "PUT", `${REGISTER}?node=h2`, web);
  await call(registry, "PUT", REGISTER, web, { "x-hostmesh-host": "h3" });
  await call(registry, "PUT", REGISTER, web);
  const health = await call(registry, "GET", "/v1/health/service/web");
  assert.deepEqual(
    [0, 1, 2].map((index) => dig(health.body, `${index}.Node.Node`)),
    ["h1", "h2", "h3"],
  );
  const nowhere = await call(registry, "PUT", `${REGISTER}?node=h2`, { Name: "x", Port: 1 });
  assert.equal(nowhere.status, 400);
  assert.equal(dig(nowhere.body, "path"), "Address");
  await call(registry, "PUT", "/v1/agent/service/deregister/web-1?node=h2");
  const agent = await call(registry, "GET", "/v1/agent/services?node=h2");
  assert.deepEqual(agent.body, {});
  assert.equal(dig((await call(registry, "GET", "/v1/agent/services")).body, "web-1.Port"), 8080);
});

test("deregistration is idempotent, and the last endpoint takes its service along", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "PUT", REGISTER, web);
  await call(registry, "PUT", REGISTER, { ...web, ID: "web-2" });
  const gone = (id: string) => call(registry, "PUT", `/v1/agent/service/deregister/${id}`);
  assert.equal((await gone("web-1")).status, 200);
  assert.equal((await gone("web-1")).status, 200);
  assert.equal((await gone("never-there")).status, 200);
  assert.deepEqual((await call(registry, "GET", "/v1/catalog/services")).body, { web: [] });
  await gone("web-2");
  assert.deepEqual((await call(registry, "GET", "/v1/catalog/services")).body, {});
  const health = await call(registry, "GET", "/v1/health/service/web");
  assert.deepEqual(health.body, []);
  assert.equal(health.status, 200);
});

test("heartbeats move a TTL check, and ?passing follows the worst check", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "PUT", REGISTER, { ...web, Checks: [{ TTL: "1m" }, { TTL: "1m" }] });
  const passing = async () => {
    const { body } = await call(registry, "GET", "/v1/health/service/web?passing");
    return Array.isArray(body) ? body.length : -1;
  };
  const beat = (verb: string, id: string, body?: unknown) =>
    call(registry, "PUT", `/v1/agent/check/${verb}/${id}`, body);
  assert.equal(await passing(), 0);
  await beat("pass", "service:web-1:1?note=fine");
  assert.equal(await passing(), 0);
  await beat("pass", "service:web-1:2");
  assert.equal(await passing(), 1);
  await beat("warn", "service:web-1:2");
  assert.equal(await passing(), 0);
  await beat("update", "service:web-1:2", { Status: "passing", Output: "good" });
  assert.equal(await passing(), 1);
  await beat("fail", "service:web-1:1");
  assert.equal(await passing(), 0);
  const all = await call(registry, "GET", "/v1/health/service/web");
  assert.equal(dig(all.body, "0.Checks.1.Output"), "good");
  assert.equal((await beat("pass", "service:other")).status, 404);
  const bad = await beat("update", "service:web-1:1", { Status: "splendid" });
  assert.equal(dig(bad.body, "path"), "Status");
});

test("a heartbeat for a check that a host runs is refused", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "PUT", REGISTER, {
    ...web,
    Check: { TCP: "10.0.0.1:80", Interval: "10s" },
  });
  const reply = await call(registry, "PUT", "/v1/agent/check/pass/service:web-1");
  assert.equal(reply.status, 400);
});

test("a TTL runs out, heartbeats prolong it, and a long critical state removes the endpoint", async (t) => {
  const time = new FakeTime();
  const registry = await testRegistry(t, { clock: time, timers: time });
  const check = { TTL: "10s", Status: "passing", DeregisterCriticalServiceAfter: "60s" };
  await call(registry, "PUT", REGISTER, { ...web, Check: check });
  const status = async () => {
    const { body } = await call(registry, "GET", "/v1/health/service/web");
    return dig(body, "0.Checks.0.Status");
  };
  time.advance(9_000);
  await call(registry, "PUT", "/v1/agent/check/pass/service:web-1");
  time.advance(9_000);
  assert.equal(await status(), "passing");
  time.advance(1_500);
  await until(async () => (await status()) === "critical", { what: "the TTL to run out" });
  const health = await call(registry, "GET", "/v1/health/service/web");
  assert.equal(dig(health.body, "0.Checks.0.Output"), "TTL expired");
  time.advance(30_000);
  // Back in time, and critical anew: the span begins again.
  await call(registry, "PUT", "/v1/agent/check/pass/service:web-1");
  await call(registry, "PUT", "/v1/agent/check/fail/service:web-1");
  time.advance(59_000);
  // Registering again is no sign of life and does not prolong the span.
  await call(registry, "PUT", REGISTER, { ...web, Port: 8081, Check: check });
  assert.equal(await status(), "critical");
  time.advance(1_500);
  await until(async () => (await status()) === undefined, { what: "the endpoint to be removed" });
  assert.deepEqual((await call(registry, "GET", "/v1/catalog/services")).body, {});
});

test("registering again keeps the status, and drops other checks only when asked to", async (t) => {
  const registry = await testRegistry(t);
  const one = { CheckID: "one", TTL: "1m" };
  const two = { CheckID: "two", TTL: "1m" };
  await call(registry, "PUT", REGISTER, { ...web, Checks: [one, two] });
  await call(registry, "PUT", "/v1/agent/check/pass/one");
  const before = await call(registry, "PUT", REGISTER, { ...web, Checks: [one, two] });
  const statuses = async () => {
    const { body } = await call(registry, "GET", "/v1/agent/checks");
    return [dig(body, "one.Status"), dig(body, "two.Status")];
  };
  assert.deepEqual(await statuses(), ["passing", "critical"]);
  const same = await call(registry, "PUT", REGISTER, { ...web, Checks: [one, two] });
  assert.equal(same.index, before.index, "registering the same thing again is no change");
  await call(registry, "PUT", REGISTER, { ...web, Checks: [one] });
  assert.deepEqual(await statuses(), ["passing", "critical"]);
  await call(registry, "PUT", `${REGISTER}?replace-existing-checks`, { ...web, Checks: [one] });
  assert.deepEqual(await statuses(), ["passing", undefined]);
  assert.equal(
    dig((await call(registry, "GET", "/v1/health/service/web?passing")).body, "0.Service.ID"),
    "web-1",
  );
});

test("what Consul has no field for is taken from Meta, and from Namespace and Locality", async (t) => {
  const registry = await testRegistry(t);
  const meta = {
    "hostmesh-namespace": "shop",
    "hostmesh-protocol": "grpc",
    "hostmesh-balancer": "round-robin",
    "hostmesh-service-port": "80",
    zone: "z9",
  };
  await call(registry, "PUT", REGISTER, { ...web, Meta: meta });
  const services = await call(registry, "GET", "/v1/mesh/services");
  assert.equal(dig(services.body, "0.namespace"), "shop");
  assert.equal(dig(services.body, "0.protocol"), "grpc");
  assert.equal(dig(services.body, "0.balancer.policy"), "round-robin");
  assert.deepEqual(dig(services.body, "0.ports"), [{ name: "", port: 80 }]);
  const endpoints = await call(registry, "GET", "/v1/mesh/endpoints");
  assert.equal(dig(endpoints.body, "0.zone"), "z9");
  assert.equal(dig(endpoints.body, "0.protocol"), "grpc");
  assert.deepEqual((await call(registry, "GET", "/v1/health/service/web")).body, []);
  const there = await call(registry, "GET", "/v1/health/service/web?ns=shop");
  assert.equal(dig(there.body, "0.Service.ID"), "web-1");
  await call(registry, "PUT", REGISTER, {
    ...web,
    ID: "e",
    Namespace: "two",
    Locality: { Zone: "z2" },
  });
  const two = await call(registry, "GET", "/v1/mesh/endpoints?namespace=two");
  assert.equal(dig(two.body, "0.zone"), "z2");
});

test("a warning endpoint gets its warning weight", async (t) => {
  const registry = await testRegistry(t);
  const check = { TTL: "1m", Status: "passing" };
  await call(registry, "PUT", REGISTER, {
    ...web,
    Weights: { Passing: 9, Warning: 3 },
    Check: check,
  });
  const weight = async () =>
    dig((await call(registry, "GET", "/v1/mesh/endpoints")).body, "0.weight");
  assert.equal(await weight(), 9);
  await call(registry, "PUT", "/v1/agent/check/warn/service:web-1");
  assert.equal(await weight(), 3);
});

test("queries that we would have to answer wrongly are refused", async (t) => {
  const registry = await testRegistry(t);
  for (const query of [
    "filter=x",
    "near=_agent",
    "dc=elsewhere",
    "index=-1",
    "index=x",
    "wait=10",
  ]) {
    const reply = await call(registry, "GET", `/v1/health/service/web?${query}`);
    assert.equal(reply.status, 400, query);
    assert.equal(dig(reply.body, "path"), query.split("=")[0]);
  }
  assert.equal((await call(registry, "GET", "/v1/health/service/web?dc=dc1&stale")).status, 200);
});

test("?tag narrows the answer, and all tags given must be there", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "PUT", REGISTER, { ...web, Tags: ["a", "b"] });
  await call(registry, "PUT", REGISTER, { ...web, ID: "web-2", Tags: ["a"] });
  const ids = async (query: string) => {
    const { body } = await call(registry, "GET", `/v1/health/service/web?${query}`);
    return Array.isArray(body) ? body.map((entry) => dig(entry, "Service.ID")) : null;
  };
  assert.deepEqual(await ids("tag=a"), ["web-1", "web-2"]);
  assert.deepEqual(await ids("tag=a&tag=b"), ["web-1"]);
  assert.deepEqual(await ids("tag=c"), []);
});

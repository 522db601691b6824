import assert from "node:assert/strict";
import test from "node:test";
import { until } from "../helpers/until.ts";
import { get, runs, skip, temporary, up, upstream } from "./up-process.ts";

test("a generation that is killed is replaced, and requests wait rather than fail", {
  skip,
}, async (t) => {
  const dataDir = await temporary();
  const port = await upstream(t);
  const mesh = up(t, dataDir);
  const { explicit, registry } = await mesh.ready();
  const body = JSON.stringify({ Name: "web", Port: port });
  await fetch(`${registry}/v1/agent/service/register`, { method: "PUT", body });
  await until(async () => (await get(explicit, "web")) === 200);
  const [first = 0] = mesh.generations();
  process.kill(first, "SIGKILL");
  await until(() => !runs(first));
  assert.equal(await get(explicit, "web"), 200, "the listening socket has outlived the generation");
  await until(() => mesh.generations().length === 2);
});

test("a generation whose guardian is killed ends by itself", { skip }, async (t) => {
  const mesh = up(t, await temporary());
  const { explicit } = await mesh.ready();
  const [generation = 0] = mesh.generations();
  mesh.child.kill("SIGKILL");
  await mesh.exited;
  await until(() => !runs(generation), { what: "the end of the generation" });
  await assert.rejects(get(explicit, "web"), { code: "ECONNREFUSED" });
});

test("a start that fails says why and leaves nothing behind", { skip }, async (t) => {
  const dataDir = await temporary();
  const taken = await upstream(t);
  const ports = { explicit: 0, admin: 0, metrics: 0, metricsBind: "127.0.0.1" };
  const mesh = up(t, dataDir, [], { ports: { ...ports, ready: taken } });
  assert.equal(await mesh.exited, 1);
  const text = mesh.lines.join("\n");
  assert.match(text, /the readiness server cannot listen on 127.0.0.1 port/);
  assert.match(text, /could not start/);
});

test("a second daemon of a host is refused before it takes a connection", { skip }, async (t) => {
  const first = up(t, await temporary());
  const { admin, explicit } = await first.ready();
  const ports = { explicit, admin, metrics: 0, ready: 0, metricsBind: "127.0.0.1" };
  const second = up(t, await temporary(), [], { ports });
  assert.equal(await second.exited, 1);
  assert.match(second.lines.join("\n"), /another hostmesh daemon may be running/);
});

test("a second signal ends a drain that would take long", { skip }, async (t) => {
  const port = await upstream(t, 60_000);
  const mesh = up(t, await temporary(), [], { timeouts: { drainMs: 60_000 } });
  const { explicit, registry, admin } = await mesh.ready();
  const body = JSON.stringify({ Name: "stuck", Port: port });
  await fetch(`${registry}/v1/agent/service/register`, { method: "PUT", body });
  const stats = async () => (await fetch(`http://127.0.0.1:${admin}/stats`)).text();
  await until(async () => (await stats()).includes("default/stuck"));
  const inFlight = assert.rejects(get(explicit, "stuck"));
  await until(async () => /"inFlight": 1/.test(await stats()));
  mesh.child.kill("SIGTERM");
  await until(() => mesh.lines.some((line) => line.includes("draining")));
  mesh.child.kill("SIGTERM");
  assert.equal(await mesh.exited, 0);
  await inFlight;
  assert(mesh.generations().every((pid) => !runs(pid)));
});

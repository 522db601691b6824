import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import { ServiceLimits } from "../../src/proxy/routing/policy/service-limits.ts";
import type { RawClient } from "../helpers/raw.ts";
import {
  type Behaviour,
  GET,
  type ResilienceLab,
  resetting,
  resilienceLab,
  response,
  retry,
  silent,
  well,
} from "../helpers/resilience-lab.ts";
import { subset, to } from "../helpers/route-lab.ts";
import { until } from "../helpers/until.ts";

const OPEN =
  /^HTTP\/1\.1 503 [^]*X-Hostmesh-Error: CIRCUIT_OPEN\r\n[^]*x-envoy-overloaded: true\r\n/;
const HALF = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";

/** All the ways in which a request comes to its end, given that its endpoint has it and is silent. */
const ENDS: Readonly<Record<string, (lab: ResilienceLab, client: RawClient) => unknown>> = {
  "an answer": ({ servers }) => servers[0]!.sockets[0]!.write(response(200)),
  "a lost connection": ({ servers }) => servers[0]!.sockets[0]!.resetAndDestroy(),
  garbage: ({ servers }) => servers[0]!.sockets[0]!.write("garbage\r\n\r\n"),
  "a client that goes away": (_, client) => client.socket.resetAndDestroy(),
  "its time": ({ timers }) => timers.advance(60_000),
  "half an answer": ({ servers }) => servers[0]!.sockets[0]!.end(HALF),
  "a client that goes away in the answer": async ({ servers }, client) => {
    servers[0]!.sockets[0]!.write(HALF);
    await client.until("half");
    client.socket.resetAndDestroy();
  },
  "an upgrade and its end": async ({ servers }, client) => {
    servers[0]!.sockets[0]!.end("HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    await client.until(/^HTTP\/1\.1 101 /);
    client.close();
  },
};
const UPGRADE = "GET / HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";

describe("what a service may have under way is given back after", () => {
  for (const [what, end] of Object.entries(ENDS)) {
    it(what, async (t) => {
      const rule = { timeouts: { requestMs: 60_000 } };
      const settings = { connections: { maxRequests: 1, maxPending: 1, maxConnections: 1 } };
      const lab = await resilienceLab(t, [silent], { rule, settings });
      const client = await lab.send(UPGRADE);
      await until(() => lab.counts()[0] === 1);
      assert.equal(lab.lab.memory.serviceLimits.requests(1), 1);
      assert.match(await lab.ask(), OPEN);
      await end(lab, client);
      await lab.settle();
      const next = await lab.send(GET);
      await until(() => lab.counts()[0] === 2);
      next.socket.resetAndDestroy();
      await lab.settle();
      assert.equal(lab.lab.memory.serviceLimits.requests(1), 0);
    });
  }

  it("the death of the worker that had it", () => {
    const buffer = new SharedArrayBuffer(ServiceLimits.bytesFor(4, 2));
    const dead = new ServiceLimits(buffer, 0, 4, 2, 0);
    const other = new ServiceLimits(buffer, 0, 4, 2, 1);
    assert.ok(dead.tryRequest(1, 2) && dead.tryPending(1, 1) && dead.tryRetry(1, 1));
    assert.ok(other.tryRequest(1, 2));
    assert.deepEqual([other.tryRequest(1, 2), other.tryPending(1, 1)], [false, false]);
    other.releaseWorker(0);
    assert.equal(other.requests(1), 1);
    assert.ok(other.tryRequest(1, 2) && other.tryPending(1, 1) && other.tryRetry(1, 1));
  });
});

test("requests that wait for a connection are limited over all endpoints, and given back", async (t) => {
  const settings = { connections: { maxConnections: 1, maxPending: 1 } };
  const { lab, send, ask, counts, settle } = await resilienceLab(t, [silent, silent], { settings });
  const holder = await send(GET);
  await until(() => counts()[0] === 1);
  const waiter = await send(GET);
  await until(() => lab.memory.serviceLimits.pending(1) === 1);
  assert.match(await ask(), OPEN);
  waiter.socket.resetAndDestroy();
  await until(() => lab.memory.serviceLimits.pending(1) === 0);
  const next = await send(GET);
  await until(() => lab.memory.serviceLimits.pending(1) === 1);
  holder.socket.resetAndDestroy();
  await until(() => counts()[0]! + counts()[1]! === 2);
  next.socket.resetAndDestroy();
  await settle();
});

test("connections are limited over all endpoints of the service", async (t) => {
  const settings = { connections: { maxConnections: 2 } };
  const { lab, send, servers, settle } = await resilienceLab(t, [silent, silent, silent], {
    settings,
  });
  const clients = await Promise.all([1, 2, 3, 4].map(() => send(GET)));
  const opened = () => servers.reduce((sum, { sockets }) => sum + sockets.length, 0);
  await until(() => lab.plane.stats().busyUpstream === 2 && lab.plane.stats().pending === 2);
  assert.equal(opened(), 2);
  for (const { sockets } of servers) for (const socket of sockets) socket.end(response(200));
  // Their places go to those who wait.
  await until(() => opened() === 4);
  assert.equal(clients.filter(({ received }) => received.endsWith("ok")).length, 2);
  for (const client of clients) client.socket.resetAndDestroy();
  await settle();
});

test("subsets have limits of their own", async (t) => {
  const connections = { maxRequests: 1 };
  const subsets = ["v1", "v2"].map((name) => ({ ...subset(name), settings: { connections } }));
  const places = [{ meta: { version: "v1" } }, { meta: { version: "v2" } }];
  const action = { kind: "forward" as const, backends: [to("v1"), to("v2")] };
  const { send, ask, counts, settle } = await resilienceLab(t, [silent, silent], {
    ...{ subsets, places, rule: { action } },
  });
  const clients = [await send(GET)];
  await until(() => counts().includes(1));
  clients.push(await send(GET));
  await until(() => counts().join() === "1,1");
  assert.match(await ask(), OPEN);
  for (const client of clients) client.socket.resetAndDestroy();
  await settle();
});

test("a refusal for load is not tried again, and nothing counts against the endpoint", async (t) => {
  const settings = { connections: { maxRequests: 1 } };
  const options = { settings, rule: { retry: retry({ on: ["5xx"], unsafe: true }) } };
  const { lab, send, ask, counts, settle } = await resilienceLab(t, [silent, well], options);
  const holder = await send(GET);
  await until(() => counts()[0] === 1);
  assert.match(await ask(), OPEN);
  assert.equal(lab.facts.at(-1)?.attempts, 0);
  holder.socket.resetAndDestroy();
  await settle();
});

test("a request whose tries all fail counts once, whatever it costs", async (t) => {
  const settings = { connections: { maxRequests: 1, maxRetries: 1 } };
  const options = { settings, rule: { retry: retry() } };
  const { ask, settle } = await resilienceLab(t, [resetting, resetting, resetting], options);
  for (let turn = 0; turn < 3; turn++) assert.match(await ask(), /UPSTREAM_RESET/);
  await settle();
});

describe("a connection to an endpoint", () => {
  const connectionsOf = ({ servers }: ResilienceLab) => servers[0]!.sockets.length;

  it("serves as many requests as its service says", async (t) => {
    const settings = { connections: { maxRequestsPerConnection: 2 } };
    const lab = await resilienceLab(t, [well], { settings });
    for (let turn = 0; turn < 6; turn++) await lab.ask();
    assert.equal(connectionsOf(lab), 3);
  });

  it("is closed after its idle time, and never where that is 0", async (t) => {
    for (const [idleTimeoutMs, left] of [
      [5_000, 0],
      [0, 1],
    ] as const) {
      const settings = { connections: { idleTimeoutMs } };
      const lab = await resilienceLab(t, [well], { settings });
      await lab.ask();
      await until(() => lab.lab.plane.stats().idleUpstream === 1);
      lab.timers.advance(24 * 3_600_000);
      if (left === 0) await until(() => lab.lab.plane.stats().idleUpstream === 0);
      await lab.ask();
      assert.equal(connectionsOf(lab), 2 - left);
    }
  });

  it("takes no further request after its life, and is closed while it is idle", async (t) => {
    const settings = { connections: { maxConnectionMs: 60_000, idleTimeoutMs: 0 } };
    const lab = await resilienceLab(t, [well], { settings });
    await lab.ask();
    lab.timers.advance(59_999);
    await lab.ask();
    assert.equal(connectionsOf(lab), 1);
    lab.timers.advance(1);
    await lab.ask();
    assert.equal(connectionsOf(lab), 2);
    lab.timers.advance(60_000);
    await until(() => lab.lab.plane.stats().idleUpstream === 0);
  });

  it("that reaches the end of its life in a request is not kept", async (t) => {
    const slow: Behaviour = silent;
    const settings = { connections: { maxConnectionMs: 60_000 } };
    const lab = await resilienceLab(t, [slow], { settings });
    const client = await lab.send(GET);
    await until(() => lab.counts()[0] === 1);
    lab.timers.advance(60_000);
    lab.servers[0]!.sockets[0]!.write(response(200));
    await client.until(/ok$/);
    await until(() => lab.lab.endpoints.connections(lab.web.endpoints[0]!.slot) === 0);
  });
});

test("idle connections hold no place: one client at a time is served, by whichever endpoint", async (t) => {
  const settings = { connections: { maxConnections: 1, maxPending: 1 } };
  const { lab, ask, counts, settle } = await resilienceLab(t, [well, well, well], { settings });
  for (let at = 0; at < 9; at++) assert.match(await ask(), /^HTTP\/1\.1 200 /);
  assert.deepEqual(counts(), [3, 3, 3]);
  assert.equal(lab.memory.serviceLimits.connections(1), 0);
  await settle();
});

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { FakeClock } from "../../src/core/clock.ts";
import { Deadlines } from "../../src/core/deadlines.ts";
import type { Recorder } from "../../src/core/facts.ts";
import { SETTINGS_MESH_REQUESTS } from "../../src/http/h2/mesh-wire.ts";
import { DEFAULT_SESSION_LIMITS } from "../../src/http/h2/settings.ts";
import { dialConn } from "../../src/http/open-conn.ts";
import type { Upstream } from "../../src/http/upstream.ts";
import { MeshLinks } from "../../src/proxy/upstream/pool/mesh-links.ts";
import { MeshPool } from "../../src/proxy/upstream/pool/mesh-pool.ts";
import type { PoolDeps } from "../../src/proxy/upstream/pool/pool-deps.ts";
import type { Freshness, MeshRoute } from "../../src/proxy/upstream/pool/upstream-pool.ts";
import { ConnProbe } from "../helpers/conn-pair.ts";
import { until } from "../helpers/until.ts";
import { sendGet } from "../helpers/upstream-probe.ts";

/** A pool whose link can open one connection, in the clear; the dial of every other one goes on for ever. */
async function oneConnection(t: TestContext) {
  const streams: ServerHttp2Stream[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ settings: { customSettings: { [SETTINGS_MESH_REQUESTS]: 1 } } });
  server.on("connection", (socket) => sockets.add(socket));
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    streams.push(stream);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const clock = new FakeClock(1_000_000);
  const deadlines = new Deadlines(clock, 1_000_000);
  const limits = { headBytes: 65_536, requestLineBytes: 8_192, headerCount: 100 };
  const recorder = { event: () => undefined } as unknown as Recorder;
  let dials = 0;
  const links = new MeshLinks({
    dialLink: (_route, handler) => {
      dials += 1;
      if (dials > 1) return { cancel: () => undefined };
      const { port } = server.address() as AddressInfo;
      const place = { host: "127.0.0.1", port };
      const conn = dialConn(place, new ConnProbe(), () => handler.onLinked(conn));
      return { cancel: () => conn.destroy() };
    },
    isTrusted: () => true,
    isCurrent: () => true,
    sessions: DEFAULT_SESSION_LIMITS,
    settings: { idleMs: 55_000, freshMs: 2_000 },
    ...{ limits, recorder, connectMs: 0, handshakeMs: 0, clock, deadlines },
  });
  const settings = {
    ...{ maxConnections: 100, maxPending: 100, maxIdle: 1, maxRequestsPerConnection: 0 },
    ...{ streamsPerConnection: 100, queueMs: 3_000, idleMs: 55_000, freshMs: 2_000 },
  };
  const counts = {
    ...{ tryOpenConnection: () => true, tryUse: () => true, tryWait: () => true },
    ...{ endUse: () => undefined, closeConnection: () => undefined, endWait: () => undefined },
  };
  const route: MeshRoute = {
    ...{ via: { host: "10.0.0.2", port: 15_008 }, source: "a", destination: "b" },
    ...{ protocol: "http/1.1", client: "10.1.0.9", caller: null, required: false },
  };
  const never = () => assert.fail("all goes by the link");
  const deps: PoolDeps = {
    ...{ settings, limits, sessions: DEFAULT_SESSION_LIMITS, counts, recorder, clock, deadlines },
    ...{ dial: never, dialTunnel: never, dialTunnelled: never, links, evictIdle: () => undefined },
  };
  const pool = new MeshPool({ host: "10.1.0.1", port: 80, slot: 1, mesh: route }, route, deps);
  t.after(() => {
    pool.close();
    links.close();
    deadlines.close();
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const got: (Upstream | string)[] = [];
  const ask = (freshness: Freshness): number => {
    const at = got.push("waits") - 1;
    const onConnection = (upstream: Upstream): void => {
      got[at] = upstream;
      sendGet(upstream);
    };
    const upstream = pool.acquire(
      {
        onConnection,
        onNoConnection: ({ code }) => {
          got[at] = code;
        },
        onMoved: () => assert.fail("there is no other pool"),
      },
      freshness,
    );
    if (upstream !== null) onConnection(upstream);
    return at;
  };
  const pass = (ms: number): void => {
    clock.advance(ms);
    deadlines.tick();
  };
  return { pool, streams, got, ask, pass, dials: () => dials };
}

test("who waits for a new connection to another host lets those pass to whom any will do", async (t) => {
  const { pool, streams, got, ask, pass, dials } = await oneConnection(t);
  const first = ask("any");
  await until(() => streams.length === 1);
  pool.discard(got[first] as never);
  const particular = ask("new");
  assert.equal(got[particular], "waits");
  assert.equal(dials(), 2);
  const any = ask("any");
  assert.notEqual(got[any], "waits");
  await until(() => streams.length === 2);
  assert.equal(pool.pendingCount, 1);
  pass(3_000);
  assert.equal(got[particular], "POOL_QUEUE_TIMEOUT");
  assert.deepEqual([pool.pendingCount, pool.busyCount], [0, 1]);
});

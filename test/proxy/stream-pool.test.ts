import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer, type Socket } from "node:net";
import { after, afterEach, describe, it } from "node:test";
import { FakeClock } from "../../src/core/clock.ts";
import { Deadlines } from "../../src/core/deadlines.ts";
import { MeshError } from "../../src/core/errors.ts";
import type { Recorder } from "../../src/core/facts.ts";
import { SETTINGS_MAX_CONCURRENT_STREAMS } from "../../src/http/h2/codes.ts";
import { DEFAULT_SESSION_LIMITS } from "../../src/http/h2/settings.ts";
import { dialConn } from "../../src/http/open-conn.ts";
import type { Upstream } from "../../src/http/upstream.ts";
import { MeshLinks } from "../../src/proxy/upstream/pool/mesh-links.ts";
import type { PoolDeps } from "../../src/proxy/upstream/pool/pool-deps.ts";
import type { PoolSettings } from "../../src/proxy/upstream/pool/pool-settings.ts";
import { Pools } from "../../src/proxy/upstream/pool/pools.ts";
import { StreamPool } from "../../src/proxy/upstream/pool/stream-pool.ts";
import type {
  Freshness,
  PoolTarget,
  PoolWaiter,
  UpstreamPool,
} from "../../src/proxy/upstream/pool/upstream-pool.ts";
import { ConnProbe } from "../helpers/conn-pair.ts";
import { closeEndpoints, frameEndpoint, http2Endpoint } from "../helpers/h2-endpoints.ts";
import { frame } from "../helpers/h2-frames.ts";
import { closeLabs, headers, settings, word } from "../helpers/h2-lab.ts";
import { until } from "../helpers/until.ts";
import { sendGet, UpstreamProbe } from "../helpers/upstream-probe.ts";

const SETTINGS: PoolSettings = {
  maxConnections: 1_024,
  maxPending: 1_024,
  maxIdle: 256,
  maxRequestsPerConnection: 0,
  streamsPerConnection: 2,
  queueMs: 3_000,
  idleMs: 55_000,
  freshMs: 2_000,
};

/** What is counted, as of all workers. */
class Counts {
  open = 0;
  inUse = 0;
  waiting = 0;
  mostInUse = Number.POSITIVE_INFINITY;

  tryOpenConnection(_target: PoolTarget, max: number): boolean {
    if (this.open >= max || this.inUse >= this.mostInUse) return false;
    this.open += 1;
    this.inUse += 1;
    return true;
  }

  tryUse(): boolean {
    if (this.inUse >= this.mostInUse) return false;
    this.inUse += 1;
    return true;
  }

  endUse(): void {
    this.inUse -= 1;
  }

  closeConnection(): void {
    this.open -= 1;
  }

  tryWait(): boolean {
    this.waiting += 1;
    return true;
  }

  endWait(): void {
    this.waiting -= 1;
  }
}

/** A request that asks a pool for its place, and is sent once it has one. */
class Request implements PoolWaiter {
  upstream: Upstream | null = null;
  probe: UpstreamProbe | null = null;
  error: MeshError | null = null;
  readonly #lab: PoolLab;

  constructor(lab: PoolLab, freshness: Freshness = "any") {
    this.#lab = lab;
    const upstream = lab.pool.acquire(this, freshness);
    if (upstream !== null) this.onConnection(upstream);
  }

  onConnection(upstream: Upstream): void {
    this.upstream = upstream;
    this.probe = sendGet(upstream, "/", "");
  }

  onNoConnection(error: MeshError): void {
    this.error = error;
  }

  onMoved(): void {
    assert.fail("there is no other pool");
  }

  get isSent(): boolean {
    return this.upstream !== null;
  }

  async sent(): Promise<this> {
    await until(() => this.isSent || this.error !== null, { what: "a place" });
    assert.equal(this.error, null);
    return this;
  }

  async failed(): Promise<string> {
    await until(() => this.error !== null, { what: "a refusal" });
    return this.error?.code ?? "";
  }

  /** Waits for the answer, and gives the place back. */
  async done(): Promise<this> {
    await this.sent();
    await this.probe?.over();
    if (this.probe?.error === "") this.#lab.pool.release(this.upstream as Upstream, 0);
    else this.discard();
    return this;
  }

  discard(): void {
    this.#lab.pool.discard(this.upstream as Upstream);
  }
}

interface PoolLab {
  readonly pool: UpstreamPool;
  readonly counts: Counts;
  readonly clock: FakeClock;
  readonly events: string[];
  request(freshness?: Freshness): Request;
  /** Moves the clock, and lets limits end that are over. */
  pass(ms: number): void;
  /** Waits until the pool holds nothing. */
  settle(): Promise<void>;
}

const opened: { close(): void }[] = [];
afterEach(() => {
  closeLabs();
  closeEndpoints();
  for (const one of opened.splice(0)) one.close();
});

/** Nothing is on another host. */
function noLinks(clock: FakeClock, deadlines: Deadlines): MeshLinks {
  return new MeshLinks({
    dialLink: () => assert.fail("nothing is on another host"),
    isTrusted: () => false,
    isCurrent: () => false,
    limits: { headBytes: 65_536, requestLineBytes: 8_192, headerCount: 100 },
    sessions: DEFAULT_SESSION_LIMITS,
    settings: SETTINGS,
    recorder: {} as Recorder,
    ...{ connectMs: 0, handshakeMs: 0, clock, deadlines },
  });
}

function depsOf(more: Partial<PoolSettings>, clock: FakeClock) {
  const counts = new Counts();
  const events: string[] = [];
  const deadlines = new Deadlines(clock, 1_000_000);
  const settings = { ...SETTINGS, ...more };
  const deps: PoolDeps = {
    settings,
    limits: { headBytes: 65_536, requestLineBytes: 8_192, headerCount: 100 },
    sessions: {
      ...DEFAULT_SESSION_LIMITS,
      maxStreams: settings.streamsPerConnection,
      idleMs: 0,
    },
    counts,
    dial: ({ host, port }, handler) => {
      let isUp = false;
      const probe = new ConnProbe();
      probe.onClose = (error) => {
        if (isUp) return;
        const detail = `${host}:${port}`;
        handler.onDialFailed(new MeshError("CONNECT_REFUSED", detail, error ?? undefined));
      };
      const conn = dialConn({ host, port }, probe, () => {
        isUp = true;
        handler.onConnected(conn);
      });
      opened.push({ close: () => conn.destroy() });
    },
    recorder: {
      event: (name: string) => void events.push(name),
      http2: () => undefined,
    } as unknown as Recorder,
    clock,
    deadlines,
    dialTunnel: () => assert.fail("nothing is on another host"),
    dialTunnelled: () => assert.fail("nothing is on another host"),
    links: noLinks(clock, deadlines),
    evictIdle: () => undefined,
  };
  opened.push(deadlines);
  return { deps, counts, events, deadlines };
}

function poolLab(port: number, more: Partial<PoolSettings> = {}, target = {}): PoolLab {
  const clock = new FakeClock(1_000_000);
  const { deps, counts, events, deadlines } = depsOf(more, clock);
  const pool = new StreamPool(
    { host: "127.0.0.1", port, slot: 1, protocol: "h2", ...target },
    deps,
  );
  opened.push(pool);
  const lab: PoolLab = {
    ...{ pool, counts, clock, events },
    request: (freshness) => new Request(lab, freshness),
    pass: (ms) => {
      clock.advance(ms);
      deadlines.tick();
    },
    settle: async () => {
      pool.retire();
      await until(
        () => {
          lab.pass(1_000);
          return pool.empty && counts.open === 0;
        },
        { what: "an empty pool" },
      );
      assert.deepEqual({ ...counts }, { ...new Counts(), mostInUse: counts.mostInUse });
    },
  };
  return lab;
}

const many = (lab: PoolLab, count: number) => Array.from({ length: count }, () => lab.request());

/** Answers stream `id` with 204. */
const answer = (id: number) => headers(id, [":status", "204"]);
const goaway = (last: number) => frame(7, 0, 0, Buffer.concat([word(last), word(0)]));

const WEBSOCKET =
  "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

describe("a pool of streams", () => {
  it("holds no connection in use for a request that could not be sent on it", async () => {
    const endpoint = await frameEndpoint();
    const lab = poolLab(endpoint.port);
    const first = lab.request();
    const peer = await endpoint.peer();
    await peer.until(/^headers 1 /);
    peer.send(answer(1));
    await first.done();
    const probe = new UpstreamProbe();
    const place = lab.pool.acquire(
      {
        onConnection: () => assert.fail("later"),
        onNoConnection: (error) => assert.fail(error),
        onMoved: () => assert.fail("there is no other pool"),
      },
      "any",
    );
    assert.ok(place !== null);
    place.send(probe, "GET", WEBSOCKET, true);
    assert.equal(lab.counts.inUse, 1);
    await until(() => probe.error !== "");
    assert.match(probe.error, /UPSTREAM_PROTOCOL|no WebSocket/);
    lab.pool.discard(place);
    assert.equal(lab.counts.inUse, 0, "another connection may be used");
    await lab.settle();
  });

  it("sends requests at once on one connection, and uses it again", async () => {
    const endpoint = await frameEndpoint();
    const lab = poolLab(endpoint.port);
    const [first, second] = many(lab, 2) as [Request, Request];
    assert.equal(lab.pool.pendingCount, 2, "both wait for the connection");
    assert.equal(lab.pool.waitsForOthers(second), false);
    const peer = await endpoint.peer();
    await peer.until(/^headers 3 /);
    assert.deepEqual([lab.pool.busyCount, lab.counts.open, lab.counts.waiting], [2, 1, 0]);
    peer.send(answer(3), answer(1));
    await Promise.all([first.done(), second.done()]);
    await until(() => lab.pool.idleCount === 1);
    assert.deepEqual([lab.pool.busyCount, lab.counts.inUse], [0, 0]);
    const third = lab.request();
    assert.equal(third.isSent, true, "at once");
    assert.equal(third.upstream?.requests, 3);
    peer.send(answer(5));
    await third.done();
    assert.equal(endpoint.peers.length, 1);
    assert.equal(lab.events.filter((name) => name === "upstream_connection_reused").length, 1);
    await lab.settle();
  });

  it("opens another connection when all are full, and drops the surplus when it is idle", async () => {
    const endpoint = await frameEndpoint();
    const lab = poolLab(endpoint.port);
    const requests = many(lab, 5);
    await Promise.all(requests.map((one) => one.sent()));
    await endpoint.peer(2);
    assert.equal(endpoint.peers.length, 3, "two streams each");
    const heads = () =>
      endpoint.peers.flatMap(({ lines }) => lines.filter((line) => /^headers/.test(line)));
    await until(() => heads().length === 5);
    for (const peer of endpoint.peers) {
      peer.send(answer(1));
      if (peer.lines.some((line) => /^headers 3 /.test(line))) peer.send(answer(3));
    }
    await Promise.all(requests.map((one) => one.done()));
    await until(() => lab.pool.idleCount === 3);
    lab.pass(50_000);
    const kept = await lab.request().sent();
    lab.pass(10_000);
    await until(() => endpoint.peers.filter((peer) => peer.isClosed).length === 2);
    const busy = endpoint.peers.filter((peer) => !peer.isClosed);
    await busy[0]?.until(/^headers 5 /);
    assert.equal(lab.pool.busyCount, 1);
    kept.discard();
    await lab.settle();
  });

  it("keeps to what the endpoint allows, and queues what the limit of connections does not let through", async () => {
    const endpoint = await frameEndpoint([settings([SETTINGS_MAX_CONCURRENT_STREAMS, 1])]);
    const lab = poolLab(endpoint.port, { maxConnections: 1 });
    const [first, second, third] = many(lab, 3) as [Request, Request, Request];
    await first.sent();
    const peer = await endpoint.peer();
    assert.deepEqual([second.isSent, lab.pool.pendingCount], [false, 2]);
    assert.equal(lab.pool.waitsForOthers(second), true);
    await peer.until(/^headers 1 /);
    peer.send(answer(1));
    await first.done();
    await second.sent();
    lab.pool.cancel(third);
    await peer.until(/^headers 3 /);
    peer.send(answer(3));
    await second.done();
    assert.deepEqual([third.isSent, lab.counts.waiting], [false, 0]);
    assert.equal(endpoint.peers.length, 1);
    await lab.settle();
  });

  it("takes more when the endpoint raises its limit", async () => {
    const endpoint = await frameEndpoint([settings([SETTINGS_MAX_CONCURRENT_STREAMS, 0])]);
    const lab = poolLab(endpoint.port);
    const request = lab.request();
    const peer = await endpoint.peer();
    await peer.until(/^settings ack/);
    await until(() => lab.pool.idleCount === 1);
    assert.deepEqual([request.isSent, lab.counts.open], [false, 1]);
    peer.send(settings([SETTINGS_MAX_CONCURRENT_STREAMS, 5]));
    await request.sent();
    assert.equal(endpoint.peers.length, 1, "another connection would not have helped");
    request.discard();
    await lab.settle();
  });

  it("has a bounded queue with a limit of time", async () => {
    const endpoint = await frameEndpoint();
    const lab = poolLab(endpoint.port, { maxConnections: 1, maxPending: 2 });
    const running = many(lab, 2);
    await Promise.all(running.map((one) => one.sent()));
    const waiting = many(lab, 2);
    const refused = lab.request();
    assert.equal(refused.error?.code, "POOL_QUEUE_FULL");
    lab.pass(2_900);
    assert.equal(waiting[0]?.error, null);
    lab.pass(200);
    for (const one of waiting) assert.equal(one.error?.code, "POOL_QUEUE_TIMEOUT");
    for (const one of running) one.discard();
    assert.deepEqual(
      lab.events.filter((name) => name.startsWith("pool_")),
      [
        ...["pool_queued", "pool_queued", "pool_queue_full"],
        ...["pool_queue_timeout", "pool_queue_timeout"],
      ],
    );
    await lab.settle();
  });

  it("counts connections in use, not idle ones, where the service has a limit of them", async () => {
    const endpoint = await frameEndpoint();
    const lab = poolLab(endpoint.port);
    const first = await lab.request().sent();
    const peer = await endpoint.peer();
    await peer.until(/^headers 1 /);
    peer.send(answer(1));
    await first.done();
    await until(() => lab.counts.inUse === 0);
    lab.counts.mostInUse = 0;
    const second = lab.request();
    assert.equal(second.isSent, false);
    lab.counts.mostInUse = 1;
    await second.sent();
    assert.deepEqual([lab.counts.inUse, lab.counts.open], [1, 1]);
    second.discard();
    await lab.settle();
  });

  it("cancels a request in the middle of it, and keeps the connection", async () => {
    const endpoint = await frameEndpoint();
    const lab = poolLab(endpoint.port);
    const [first, second] = many(lab, 2) as [Request, Request];
    const peer = await endpoint.peer();
    await peer.until(/^headers 3 /);
    first.discard();
    await peer.until(/^reset 1 8$/);
    peer.send(answer(3));
    await second.done();
    assert.equal(second.probe?.status, 204);
    await lab.settle();
  });

  it("gives up a place that was never used", async () => {
    const endpoint = await frameEndpoint();
    const lab = poolLab(endpoint.port);
    (await lab.request().sent()).discard();
    const ignore = () => undefined;
    const idle: PoolWaiter = { onConnection: ignore, onNoConnection: ignore, onMoved: ignore };
    const places = [lab.pool.acquire(idle, "any"), lab.pool.acquire(idle, "any")];
    assert.equal(places.filter((one) => one !== null).length, 2);
    const waiting = lab.request();
    lab.pool.discard(places[0] as never);
    await waiting.sent();
    lab.pool.release(places[1] as never, 0);
    waiting.discard();
    await lab.settle();
  });
});

describe("a connection of a pool of streams", () => {
  it("that goes away takes no more, and ends behind its streams", async () => {
    const endpoint = await frameEndpoint();
    const lab = poolLab(endpoint.port);
    const [first, second] = many(lab, 2) as [Request, Request];
    const peer = await endpoint.peer();
    await peer.until(/^headers 3 /);
    peer.send(goaway(1));
    await second.done();
    assert.equal(second.probe?.error, "UPSTREAM_REFUSED");
    const retry = await lab.request("new").sent();
    const other = await endpoint.peer(1);
    await other.until(/^headers 1 /);
    peer.send(answer(1));
    other.send(answer(1));
    await Promise.all([first.done(), retry.done()]);
    assert.deepEqual([first.probe?.status, retry.probe?.status], [204, 204]);
    await peer.untilClosed();
    peer.socket.end();
    await until(() => lab.counts.open === 1);
    await lab.settle();
  });

  it("that is lost fails its streams and frees what they counted", async () => {
    const endpoint = await frameEndpoint();
    const lab = poolLab(endpoint.port);
    const requests = many(lab, 2);
    const peer = await endpoint.peer();
    await peer.until(/^headers 3 /);
    peer.socket.resetAndDestroy();
    await Promise.all(requests.map((one) => one.done()));
    for (const one of requests) assert.equal(one.probe?.error, "UPSTREAM_RESET");
    await until(() => lab.counts.open === 0);
    assert.deepEqual([lab.counts.inUse, lab.pool.empty], [0, true]);
    await lab.settle();
  });

  it("on which a request got no answer is not given to one that asks for a new one", async () => {
    const endpoint = await frameEndpoint();
    const lab = poolLab(endpoint.port);
    const first = await lab.request().sent();
    const peer = await endpoint.peer();
    first.discard();
    const second = lab.request("new");
    assert.equal(second.isSent, false);
    await second.sent();
    await endpoint.peer(1);
    second.discard();
    const third = await lab.request().sent();
    await peer.until(/^headers 3 /);
    peer.send(answer(3));
    await third.done();
    assert.equal(lab.request("new").isSent, true, "it has shown that it lives");
    assert.equal(endpoint.peers.length, 2);
  });

  it("that was idle for long is not given to a request that must not be sent twice", async () => {
    const endpoint = await frameEndpoint();
    const lab = poolLab(endpoint.port);
    const peering = endpoint.peer();
    const first = lab.request();
    const peer = await peering;
    await peer.until(/^headers 1 /);
    peer.send(answer(1));
    await first.done();
    await until(() => lab.pool.idleCount === 1);
    lab.pass(1_900);
    const second = lab.request("fresh");
    assert.equal(second.isSent, true);
    second.discard();
    await until(() => lab.pool.idleCount === 1);
    lab.pass(2_100);
    const third = lab.request("fresh");
    assert.equal(third.isSent, false);
    const busy = lab.request();
    assert.equal(busy.isSent, true, "who does not mind need not wait");
    await third.sent();
    await endpoint.peer(1);
    for (const one of [third, busy]) one.discard();
    await lab.settle();
  });

  it("is left after so many requests, or so long", async () => {
    const endpoint = await frameEndpoint();
    const limits = { key: "k", slot: -1, maxConnectionMs: 10_000 };
    const lab = poolLab(endpoint.port, { maxRequestsPerConnection: 2 }, { limits });
    const [first, second] = many(lab, 2) as [Request, Request];
    const peer = await endpoint.peer();
    await peer.until(/^headers 3 /);
    const third = await lab.request().sent();
    const other = await endpoint.peer(1);
    await other.until(/^headers 1 /);
    peer.send(answer(1), answer(3));
    await Promise.all([first.done(), second.done()]);
    await peer.untilClosed();
    lab.pass(10_001);
    const fourth = await lab.request().sent();
    await endpoint.peer(2);
    other.send(answer(1));
    await third.done();
    assert.equal(third.probe?.status, 204, "what was under way goes on");
    await other.untilClosed();
    fourth.discard();
    await lab.settle();
  });

  it("ends behind its last request when the pool is retired", async () => {
    const endpoint = await frameEndpoint();
    const lab = poolLab(endpoint.port);
    const [first, second] = [await lab.request().sent(), await lab.request().sent()];
    const peer = await endpoint.peer();
    await peer.until(/^headers 3 /);
    lab.pool.retire();
    peer.send(answer(1));
    await first.done();
    assert.equal(peer.isClosed, false);
    peer.send(answer(3));
    await second.done();
    await peer.untilClosed();
    await lab.settle();
  });

  it("that is refused fails all who wait for it", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    const lab = poolLab(port);
    const requests = many(lab, 3);
    for (const one of requests) assert.equal(await one.failed(), "CONNECT_REFUSED");
    assert.equal(lab.events.filter((name) => name === "upstream_connection_failed").length, 2);
    await lab.settle();
  });

  it("whose endpoint does not speak HTTP/2 carries nothing, and says so", async () => {
    const heard: string[] = [];
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => undefined);
      socket.on("data", (bytes) => heard.push(bytes.toString("latin1")));
      socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    opened.push({ close: () => void server.close() });
    const lab = poolLab((server.address() as AddressInfo).port);
    const request = lab.request();
    assert.equal(await request.failed(), "UPSTREAM_PROTOCOL");
    assert.match(
      request.error?.message ?? "",
      /seems to speak HTTP\/1\.1, and was spoken to in HTTP\/2: declare http /,
    );
    assert.doesNotMatch(heard.join(""), /web/, "no request was sent");
    for (const socket of sockets) socket.destroy();
    await lab.settle();
  });

  it("whose endpoint hangs up before its SETTINGS can be tried elsewhere", async () => {
    const server = createServer((socket) => {
      socket.resume();
      socket.end();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    opened.push({ close: () => void server.close() });
    const lab = poolLab((server.address() as AddressInfo).port);
    assert.equal(await lab.request().failed(), "CONNECT_FAILED");
    await lab.settle();
  });

  it("that never gets SETTINGS is given up", async () => {
    const endpoint = await frameEndpoint([]);
    const lab = poolLab(endpoint.port);
    const request = lab.request();
    await endpoint.peer();
    await until(() => {
      lab.pass(1_000);
      return request.error !== null;
    });
    assert.equal(request.error?.code, "CONNECT_TIMEOUT");
    await lab.settle();
  });
});

describe("pools by protocol", () => {
  it("keep HTTP/2 and HTTP/1.1 to one endpoint apart, and drain both", async () => {
    const endpoint = await http2Endpoint((stream) => {
      stream.respond({ ":status": 204 }, { endStream: true });
    });
    const clock = new FakeClock(1_000_000);
    const { deps } = depsOf({}, clock);
    const pools = new Pools(deps);
    after(() => pools.close());
    const place = { host: "127.0.0.1", port: endpoint.port, slot: 3 };
    const h2 = pools.get("source", { ...place, protocol: "h2" });
    const h1 = pools.get("source", place);
    assert.deepEqual(
      [h2, h1].map((pool) => pool.constructor.name),
      ["StreamPool", "Pool"],
    );
    assert.equal(pools.get("source", { ...place, protocol: "h2" }), h2);
    assert.equal(pools.get("source", place), h1);
    assert.notEqual(pools.get("other", { ...place, protocol: "h2" }), h2);
    const outside = { host: "127.0.0.1", port: 1, slot: -1 };
    const known: UpstreamPool[] = [
      pools.get("source", outside),
      pools.get("source", { ...outside, protocol: "h2" }),
    ];
    assert.notEqual(known[0], known[1]);
    let upstream: Upstream | null = null;
    const waiter: PoolWaiter = {
      onConnection: (one) => {
        upstream = one;
      },
      onNoConnection: (error) => assert.fail(error),
      onMoved: () => assert.fail("there is no other pool"),
    };
    h2.acquire(waiter, "any");
    await until(() => upstream !== null);
    const probe = await sendGet(upstream as unknown as Upstream).over();
    h2.release(upstream as unknown as Upstream, 0);
    assert.equal(probe.status, 204);
    await until(() => pools.totals().idle === 1);
    pools.retire(3);
    await until(
      () => endpoint.sessions[0]?.closed === true || endpoint.sessions[0]?.destroyed === true,
    );
    assert.notEqual(pools.get("source", { ...place, protocol: "h2" }), h2);
  });
});

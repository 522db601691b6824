import assert from "node:assert/strict";
import { once } from "node:events";
import type { ServerHttp2Stream } from "node:http2";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import type { ConfigInput } from "../../src/config/schema.ts";
import type { ConnectionLimits } from "../../src/core/traffic.ts";
import { CALLERS, CART_1, CART_2, type LinkLab, linkLab, SHOP_1 } from "../helpers/link-lab.ts";
import { type LinkPeer, linkPeer } from "../helpers/link-peers.ts";
import { traffic } from "../helpers/route-lab.ts";
import { until } from "../helpers/until.ts";

interface Held {
  readonly lab: LinkLab;
  readonly other: LinkPeer;
  /** Requests that wait for `answer`, and the paths of all that came. */
  readonly held: ServerHttp2Stream[];
  readonly paths: string[];
  /** Answers the one that has waited longest. */
  answer(): void;
}

/** A host that answers when the test says so. */
async function holding(t: TestContext, config: ConfigInput = {}): Promise<Held> {
  const { lab, proof } = await linkLab(t, { config });
  const held: ServerHttp2Stream[] = [];
  const paths: string[] = [];
  const other = await linkPeer(proof, (stream, headers) => {
    paths.push(String(headers[":path"]));
    held.push(stream);
  });
  t.after(() => other.close());
  const answer = (): void => {
    const stream = held.shift();
    stream?.respond({ ":status": 200 });
    stream?.end("ok");
  };
  return { lab, other, held, paths, answer };
}

const limited = (connections: ConnectionLimits) => ({
  service: { traffic: traffic({ connections }), slots: { "": 7 } },
});

describe("limits of connections hold for endpoints of other hosts:", () => {
  test("of HTTP/1.1 each request counts as one", async (t) => {
    const { lab, other, held, answer } = await holding(t, {
      pool: { maxConnectionsPerEndpoint: 2 },
    });
    const { endpoints } = lab.serve(other);
    const slot = endpoints[0]?.slot ?? -1;
    const all = [lab.get("/a"), lab.get("/b", CART_2), lab.get("/c", SHOP_1)];
    await until(() => held.length === 2 && lab.plane.stats().pending === 1);
    assert.equal(lab.endpoints.connections(slot), 2);
    answer();
    await until(() => held.length === 2);
    answer();
    answer();
    for (const got of await Promise.all(all)) assert.equal(got.status, 200);
    await until(() => lab.endpoints.connections(slot) === 0);
  });

  test("of HTTP/2 as many as one connection would carry count as one", async (t) => {
    const config = { pool: { maxConnectionsPerEndpoint: 2, streamsPerConnection: 3 } };
    const { lab, other, held, answer } = await holding(t, config);
    const { endpoints } = lab.serve(other, [{}], { protocol: "http2" });
    const slot = endpoints[0]?.slot ?? -1;
    const all = Array.from({ length: 8 }, () => lab.get("/"));
    await until(() => held.length === 6 && lab.plane.stats().pending === 2);
    assert.equal(lab.endpoints.connections(slot), 2);
    for (let at = 0; at < 8; at++) {
      await until(() => held.length > 0);
      answer();
    }
    for (const got of await Promise.all(all)) assert.equal(got.status, 200);
    await until(() => lab.endpoints.connections(slot) === 0);
  });

  test("of the service, over all its endpoints, and those that wait", async (t) => {
    const { lab, other, held, answer } = await holding(t);
    lab.serve(other, [{}, {}], limited({ maxConnections: 1, maxPending: 1 }));
    const first = lab.get("/a");
    await until(() => held.length === 1);
    const second = lab.get("/b");
    await until(() => lab.plane.stats().pending === 1);
    const third = await lab.get("/c");
    assert.deepEqual([third.status, third.headers["x-hostmesh-error"]], [503, "CIRCUIT_OPEN"]);
    answer();
    assert.equal((await first).status, 200);
    await until(() => held.length === 1);
    answer();
    assert.equal((await second).status, 200);
  });

  test("who waits does so no longer than it may", async (t) => {
    const timeouts = { poolQueueMs: 200 };
    const { lab, other, held, answer } = await holding(t, {
      ...{ timeouts, pool: { maxConnectionsPerEndpoint: 1 } },
    });
    lab.serve(other);
    const first = lab.get("/a");
    await until(() => held.length === 1);
    const second = await lab.get("/b");
    assert.equal(second.headers["x-hostmesh-error"], "POOL_QUEUE_TIMEOUT");
    answer();
    assert.equal((await first).status, 200);
    const third = lab.get("/c");
    await until(() => held.length === 1);
    answer();
    assert.equal((await third).status, 200);
  });
});

describe("a host that cannot be reached", () => {
  test("fails all who wait for it, at once", async (t) => {
    const { lab, other, held } = await holding(t);
    other.close();
    lab.serve(other);
    const all = Array.from({ length: 20 }, () => lab.get("/"));
    for (const got of await Promise.all(all)) {
      assert.deepEqual([got.status, got.headers["x-hostmesh-error"]], [502, "CONNECT_REFUSED"]);
    }
    assert.equal(held.length, 0);
    const { idleUpstream, busyUpstream, pending } = lab.plane.stats();
    assert.deepEqual([idleUpstream, busyUpstream, pending], [0, 0, 0]);
  });

  test("is left for another one", async (t) => {
    const { lab, other, held, answer } = await holding(t);
    const gone = { mesh: { host: "127.0.0.1", port: 1 } };
    lab.serve(other, [gone, {}]);
    const all = [lab.get("/a"), lab.get("/b")];
    await until(() => held.length === 2);
    answer();
    answer();
    for (const got of await Promise.all(all)) assert.equal(got.status, 200);
  });

  test("is waited for as long as the service says", async (t) => {
    const { lab, other } = await holding(t);
    const silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    t.after(() => void silent.close());
    const { port } = silent.address() as AddressInfo;
    const mesh = { host: "127.0.0.1", port };
    lab.serve(other, [{ mesh }], limited({ connectTimeoutMs: 300 }));
    const got = await lab.get("/");
    assert.deepEqual([got.status, got.headers["x-hostmesh-error"]], [504, "CONNECT_TIMEOUT"]);
  });
});

describe("of what shares a connection", () => {
  test("an endpoint that leaves takes nothing with it, nor does a caller", async (t) => {
    const { lab, other, held, paths, answer } = await holding(t);
    lab.serve(other, [{}, {}]);
    const all = [lab.get("/a"), lab.get("/b", CART_2), lab.get("/c", CART_2)];
    await until(() => held.length === 3);
    const services = [lab.serve(other, [{}])];
    const [first] = CALLERS;
    lab.plane.apply({
      ...{ revision: 99, full: false, services, removedServices: [], workloads: [] },
      removedWorkloads: [first?.key ?? ""],
    });
    for (let at = 0; at < 3; at++) answer();
    const answers = await Promise.all(all);
    assert.deepEqual(
      answers.slice(1).map(({ status }) => status),
      [200, 200],
    );
    const again = lab.get("/d", CART_2);
    await until(() => paths.includes("/d"));
    answer();
    assert.equal((await again).status, 200);
    assert.equal(other.callers.length, 1);
  });

  test("a client that goes away ends its own stream", async (t) => {
    const { lab, other, held, answer } = await holding(t);
    lab.serve(other);
    const client = connect({ port: lab.port, host: "127.0.0.1", localAddress: CART_1 });
    client.write("GET /gone HTTP/1.1\r\nHost: web\r\n\r\n");
    await until(() => held.length === 1);
    const stays = lab.get("/stays", CART_2);
    await until(() => held.length === 2);
    client.resetAndDestroy();
    await until(() => held[0]?.destroyed === true);
    assert.equal(held[0]?.rstCode, 8);
    held.shift();
    answer();
    assert.equal((await stays).status, 200);
    assert.equal(other.sockets.size, 1);
  });
});

test("a connection that cannot be opened beside others fails nobody who can wait for those", async (t) => {
  const { lab, proof } = await linkLab(t);
  const held: ServerHttp2Stream[] = [];
  const other = await linkPeer(proof, (stream) => held.push(stream), {
    settings: { maxConcurrentStreams: 1 },
  });
  t.after(() => other.close());
  const wires: Socket[] = [];
  let turnedAway = 0;
  const relay = createServer((near) => {
    if (wires.length > 0) {
      turnedAway += 1;
      near.destroy();
      return;
    }
    const far = connect(other.address);
    wires.push(near, far);
    for (const one of [near, far]) one.on("error", () => one.destroy());
    near.pipe(far).pipe(near);
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  t.after(() => {
    relay.close();
    for (const wire of wires) wire.destroy();
  });
  const address = { host: "127.0.0.1", port: (relay.address() as AddressInfo).port };
  lab.serve({ ...other, address });
  const all = [lab.get("/a")];
  await until(() => held.length === 1);
  all.push(lab.get("/b"), lab.get("/c"));
  await until(() => turnedAway > 0 && lab.plane.stats().pending === 2);
  for (let at = 0; at < 3; at++) {
    await until(() => held.length > at);
    held[at]?.respond({ ":status": 200 }, { endStream: true });
  }
  for (const got of await Promise.all(all)) assert.equal(got.status, 200);
  assert.ok(turnedAway <= 4, `${turnedAway} attempts`);
});

test("a connection whose wire is stuck gets company, by which new requests go", async (t) => {
  const { lab, proof } = await linkLab(t);
  const other = await linkPeer(proof, (stream) => {
    stream.resume();
    stream.on("end", () => stream.respond({ ":status": 200 }, { endStream: true }));
  });
  t.after(() => other.close());
  const wires: Socket[] = [];
  const relay = createServer((near) => {
    const far = connect(other.address);
    wires.push(near, far);
    for (const one of [near, far]) one.on("error", () => one.destroy());
    near.pipe(far).pipe(near);
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  t.after(() => {
    relay.close();
    for (const wire of wires) wire.destroy();
  });
  const address = { host: "127.0.0.1", port: (relay.address() as AddressInfo).port };
  lab.serve({ ...other, address });
  assert.equal((await lab.get("/")).status, 200);
  const [stuck] = wires as [Socket];
  stuck.unpipe();
  stuck.pause();
  const bulk = Array.from({ length: 40 }, () =>
    lab.send({ method: "POST", path: "/bulk", body: Buffer.alloc(400_000), from: CART_2 }),
  );
  await until(() => lab.plane.stats().busyUpstream === 40);
  await until(
    async () => {
      const limit = AbortSignal.timeout(50);
      const got = await Promise.race([lab.get("/small"), once(limit, "abort").then(() => null)]);
      return got?.status === 200;
    },
    { what: "an answer by another connection" },
  );
  assert.ok(other.sessions.length > 1);
  stuck.pipe(wires[1] as Socket);
  for (const got of await Promise.all(bulk)) assert.equal(got.status, 200);
});

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { endpoint, planeLab, service } from "../helpers/plane.ts";
import { answering, RawClient, rawServer } from "../helpers/raw.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GET = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

type OnData = Parameters<typeof rawServer>[0];
type Options = NonNullable<Parameters<typeof planeLab>[0]>["config"];

async function setUp(servers: readonly OnData[], config: Options = {}) {
  const upstreams = await Promise.all(servers.map((onData) => rawServer(onData)));
  const lab = await planeLab({ config });
  lab.services(
    service(
      "web",
      upstreams.map(({ port }) => endpoint(port)),
    ),
  );
  const open = async () => {
    const client = await RawClient.open(lab.port);
    closers.push(() => client.close());
    return client;
  };
  closers.push(() => lab.close(), ...upstreams.map((one) => () => one.close()));
  return { lab, upstreams, open };
}

describe("a retry", () => {
  it("waits in the queue once where there is no other endpoint, and says how long", async () => {
    const config = { pool: { maxConnectionsPerEndpoint: 1 }, timeouts: { poolQueueMs: 300 } };
    const { lab, open } = await setUp([() => undefined], config);
    const holder = await open();
    holder.send(GET);
    const waiter = await open();
    waiter.send(GET);
    await waiter.until(/X-Hostmesh-Error: POOL_QUEUE_TIMEOUT\r\n/);
    const facts = lab.facts.find((one) => one.error === "POOL_QUEUE_TIMEOUT");
    assert.equal(facts?.attempts, 1);
    assert.ok((facts?.queueMs ?? 0) >= 250, `${facts?.queueMs} ms in the queue`);
  });

  it("counts the time at a failed endpoint as the endpoint's, not as the proxy's", async () => {
    const slowReset: OnData = (socket) => setTimeout(() => socket.resetAndDestroy(), 300);
    const { lab, open } = await setUp([slowReset, answering(OK)]);
    const client = await open();
    for (let index = 0; index < 2; index += 1) client.send(GET);
    await client.until(/ok[^]*ok$/);
    const retried = lab.facts.find((one) => one.attempts === 2);
    assert.ok((retried?.durationMs ?? 0) >= 250, "one request met the slow endpoint first");
    assert.ok((retried?.proxyMs ?? 999) < 150, `${retried?.proxyMs} ms in the proxy`);
  });

  it("does not go to the same endpoint because another one exists that takes nothing", async () => {
    const reset: OnData = (socket) => socket.resetAndDestroy();
    const { lab, upstreams, open } = await setUp([reset, answering(OK)]);
    const [bad, good] = upstreams.map(({ port }) => port);
    const critical = endpoint(good ?? 0, { health: "critical" });
    lab.services(service("web", [endpoint(bad ?? 0), critical]));
    const client = await open();
    client.send(GET);
    await client.until(/^HTTP\/1\.1 502 /);
    assert.equal(upstreams[0]?.sockets.length, 1);
  });

  it("does not follow an interim response that went to the client", async () => {
    const early: OnData = (socket) => socket.end("HTTP/1.1 103 Early Hints\r\n\r\n");
    const { upstreams, open } = await setUp([early, early]);
    const client = await open();
    client.send(GET);
    await client.until(/^HTTP\/1\.1 103 [^]*\r\n\r\nHTTP\/1\.1 502 /);
    assert.equal(client.received.split(" 103 ").length, 2);
    assert.equal(
      upstreams.reduce((sum, one) => sum + one.sockets.length, 0),
      1,
    );
  });

  it("goes once to the same endpoint, on a new connection, after a used one was lost", async () => {
    const connections: number[] = [];
    const once: OnData = (socket, received, index) => {
      connections[index] = received.split("\r\n\r\n").length - 1;
      if (connections[index] === 1) socket.write(OK);
      else socket.resetAndDestroy();
    };
    const { lab, open } = await setUp([once]);
    const client = await open();
    client.send(GET);
    await client.until(/ok$/);
    client.send(GET);
    await client.until(/ok[^]*ok$/);
    assert.deepEqual(connections, [2, 1]);
    assert.equal(lab.facts[1]?.attempts, 2);
  });

  it("is not blamed on time that an earlier try has used up", async () => {
    const slowReset: OnData = (socket) => setTimeout(() => socket.resetAndDestroy(), 500);
    const slowOk: OnData = (socket) => setTimeout(() => socket.write(OK), 500);
    const config = { timeouts: { responseHeadMs: 800 } };
    const { lab, open } = await setUp([slowReset, slowOk], config);
    const client = await open();
    client.send(GET + GET);
    await client.until(/ok[^]*ok$/);
    assert.ok(lab.facts.every((one) => one.status === 200));
  });
});

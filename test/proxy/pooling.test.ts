import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type Blackhole, blackhole } from "../helpers/blackhole.ts";
import { endpoint, planeLab, service, workload } from "../helpers/plane.ts";
import { answering, RawClient, rawServer } from "../helpers/raw.ts";
import { until, untilStill } from "../helpers/until.ts";
import { nothingHeld, OK, webLab } from "../helpers/web-lab.ts";

const GET = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 2\r\n\r\nhi";

const holes: Blackhole[] = [];
after(async () => {
  for (const hole of holes) await hole.close();
});

const hasEnded = (socket: Socket | undefined) =>
  socket?.readableEnded === true || socket?.destroyed === true;

describe("a pool of connections", () => {
  it("uses the connection that became free last, and lets the surplus grow old", async () => {
    const web = await webLab(() => undefined, {
      config: { timeouts: { upstreamIdleMs: 400 } },
    });
    for (let index = 0; index < 3; index += 1) await web.send(GET);
    await until(() => web.upstream.received.filter((one) => one.endsWith("\r\n\r\n")).length === 3);
    for (const index of [0, 2, 1]) {
      web.upstream.sockets[index]?.write(OK);
      await until(() => web.lab.facts.length === [0, 2, 1].indexOf(index) + 1);
    }
    const next = await web.open();
    for (let turn = 2; turn <= 6; turn += 1) {
      next.send(GET);
      await until(() => web.upstream.received[1]?.split(" HTTP/1.1\r\n").length === turn + 1);
      web.upstream.sockets[1]?.write(OK);
      await until(() => next.received.split("\r\n\r\nok").length === turn);
      await delay(80);
    }
    await until(() => hasEnded(web.upstream.sockets[0]) && hasEnded(web.upstream.sockets[2]));
    assert.equal(hasEnded(web.upstream.sockets[1]), false, "the one in use is kept");
    await until(() => hasEnded(web.upstream.sockets[1]), { what: "the idle timeout" });
    assert.equal(web.upstream.sockets.length, 3);
    await web.settle();
  });

  it("never opens more than the limit, and serves those who wait in order", async () => {
    const web = await webLab(() => undefined, {
      config: { pool: { maxConnectionsPerEndpoint: 2 } },
    });
    const clients: RawClient[] = [];
    for (let index = 0; index < 6; index += 1) {
      clients.push(await web.send(`GET /${index} HTTP/1.1\r\nHost: web\r\n\r\n`));
      await until(() => {
        const { busyUpstream, pending } = web.lab.plane.stats();
        return busyUpstream + pending === index + 1;
      });
    }
    assert.equal(web.lab.endpoints.connections(web.slot), 2);
    const order: string[] = [];
    const answered = new Map<Socket, number>();
    while (order.length < 6) {
      await until(() => {
        const at = web.upstream.received.findIndex((text, index) => {
          const socket = web.upstream.sockets[index] as Socket;
          return text.split("\r\n\r\n").length - 1 > (answered.get(socket) ?? 0);
        });
        if (at === -1) return false;
        const socket = web.upstream.sockets[at] as Socket;
        answered.set(socket, (answered.get(socket) ?? 0) + 1);
        order.push(/.*GET \/(\d)/s.exec(web.upstream.received[at] ?? "")?.[1] ?? "");
        socket.write(OK);
        return true;
      });
    }
    assert.deepEqual(order.slice(2), ["2", "3", "4", "5"]);
    for (const client of clients) await client.until(/ok$/);
    assert.equal(web.upstream.sockets.length, 2);
    await web.settle();
  });

  it("has a bounded queue, and says so", async () => {
    const web = await webLab(() => undefined, {
      config: {
        pool: { maxConnectionsPerEndpoint: 1, maxPendingPerEndpoint: 1 },
        timeouts: { poolQueueMs: 300 },
        limits: { attempts: 1 },
      },
    });
    const first = await web.send(GET);
    await until(() => web.lab.plane.stats().busyUpstream === 1);
    const second = await web.send(GET);
    await until(() => web.lab.plane.stats().pending === 1);
    const third = await web.send(GET);
    await third.until(/^HTTP\/1\.1 503 [^]*X-Hostmesh-Error: POOL_QUEUE_FULL\r\n/);
    await second.until(/^HTTP\/1\.1 503 [^]*X-Hostmesh-Error: POOL_QUEUE_TIMEOUT\r\n/);
    web.upstream.sockets[0]?.write(OK);
    await first.until(/ok$/);
    assert.equal(web.upstream.received.join("").split("GET /").length, 2, "only one was sent");
    await web.settle();
  });

  it("forgets a waiter that has left", async () => {
    const web = await webLab(() => undefined, {
      config: { pool: { maxConnectionsPerEndpoint: 1 } },
    });
    const first = await web.send(GET);
    await until(() => web.lab.plane.stats().busyUpstream === 1);
    const second = await web.send("GET /gone HTTP/1.1\r\nHost: web\r\n\r\n");
    await until(() => web.lab.plane.stats().pending === 1);
    second.socket.resetAndDestroy();
    await until(() => web.lab.plane.stats().pending === 0);
    const third = await web.send(GET);
    await until(() => web.lab.plane.stats().pending === 1);
    for (const client of [first, third]) {
      await until(() => web.upstream.received[0]?.endsWith("\r\n\r\n") ?? false);
      web.upstream.sockets[0]?.write(OK);
      await client.until(/ok$/);
    }
    assert.doesNotMatch(web.upstream.received.join(""), /gone/);
    assert.deepEqual(web.lab.facts.map((one) => one.error).sort(), ["CLIENT_CLOSED", null, null]);
    await web.settle();
  });

  it("names a connect that takes too long, even where the queue's limit is shorter", async () => {
    const hole = await blackhole();
    holes.push(hole);
    const timeouts = { connectMs: 400, poolQueueMs: 100 };
    const lab = await planeLab({ config: { timeouts, limits: { attempts: 1 } } });
    const place = endpoint(hole.port);
    lab.services(service("web", [place]));
    const clients = await Promise.all([RawClient.open(lab.port), RawClient.open(lab.port)]);
    for (const client of clients) client.send(GET);
    for (const client of clients) {
      await client.until(/^HTTP\/1\.1 504 [^]*X-Hostmesh-Error: CONNECT_TIMEOUT\r\n/);
      client.close();
    }
    assert.ok(lab.endpoints.failures(place.slot) >= 2, "it counts against the endpoint");
    await nothingHeld(lab, [place.slot]);
    assert.equal(lab.endpoints.connections(place.slot), 0);
    await lab.close();
  });

  it("moves on from a connect that takes too long", async () => {
    const hole = await blackhole();
    holes.push(hole);
    const good = await rawServer(answering(OK));
    const lab = await planeLab({ config: { timeouts: { connectMs: 300 } } });
    const places = [endpoint(hole.port), endpoint(good.port)];
    lab.services(service("web", places));
    const client = await RawClient.open(lab.port);
    for (let turn = 1; turn <= 2; turn += 1) {
      client.send(POST);
      await until(() => client.received.split("\r\n\r\nok").length === turn + 1);
    }
    client.close();
    await nothingHeld(
      lab,
      places.map((place) => place.slot),
    );
    await lab.close();
    await good.close();
  });

  it("is never shared by two workloads, nor by a workload and the host", async () => {
    const workloads = [workload(0, "a", "127.0.0.2"), workload(1, "b", "127.0.0.3")];
    const web = await webLab(answering(OK), { workloads });
    for (let round = 0; round < 3; round += 1) {
      for (const from of ["127.0.0.1", "127.0.0.2", "127.0.0.3"]) {
        const client = await web.send(GET, from);
        await client.until(/ok$/);
        client.close();
      }
    }
    assert.equal(web.upstream.sockets.length, 3);
    for (const text of web.upstream.received) {
      const sources = [...text.matchAll(/X-Forwarded-For: (\S+)/g)].map((match) => match[1]);
      assert.equal(sources.length, 3);
      assert.equal(new Set(sources).size, 1);
    }
    await web.settle();
  });

  it("takes an idle connection from another source where the endpoint's limit is reached", async () => {
    const workloads = [workload(0, "a", "127.0.0.2"), workload(1, "b", "127.0.0.3")];
    const web = await webLab(answering(OK), {
      workloads,
      config: { pool: { maxConnectionsPerEndpoint: 1 } },
    });
    for (const from of ["127.0.0.2", "127.0.0.3", "127.0.0.2"]) {
      const client = await web.send(GET, from);
      await client.until(/200 OK[^]*ok$/);
    }
    assert.equal(web.upstream.sockets.length, 3);
    assert.equal(web.lab.endpoints.connections(web.slot), 1);
    await web.settle();
  });

  it("gives up connections that are too old for a POST where the limit is reached", async () => {
    const web = await webLab(answering(OK), {
      config: { pool: { maxConnectionsPerEndpoint: 1 }, timeouts: { freshMs: 30 } },
    });
    const client = await web.send(GET);
    await client.until(/ok$/);
    await delay(60);
    client.send(POST);
    await client.until(/ok[^]*ok$/);
    assert.equal(web.upstream.sockets.length, 2);
    await web.settle();
  });

  it("closes idle connections at once when the endpoint goes, and lets a request end", async () => {
    const web = await webLab((socket, received) => {
      if (received.includes("/slow"))
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
      else socket.write(OK);
    });
    const slow = await web.send("GET /slow HTTP/1.1\r\nHost: web\r\n\r\n");
    await slow.until(/ab$/);
    const quick = await web.send(GET);
    await quick.until(/ok$/);
    web.lab.services();
    await until(() => hasEnded(web.upstream.sockets[1]), { what: "the idle one's end" });
    assert.equal(hasEnded(web.upstream.sockets[0]), false);
    web.upstream.sockets[0]?.write("cd");
    await slow.until(/abcd$/);
    await until(() => hasEnded(web.upstream.sockets[0]), { what: "the busy one's end" });
    quick.send(GET);
    await quick.until(/ok[^]*HTTP\/1\.1 404 /);
    await web.settle();
  });

  it("replays a GET once when the endpoint closes an idle connection at that moment", async () => {
    const web = await webLab((socket, received) => {
      // Every connection takes one request and is gone when the second arrives.
      if (received.split("\r\n\r\n").length > 2) socket.resetAndDestroy();
      else socket.write(OK);
    });
    const client = await web.send(GET);
    for (let turn = 1; turn <= 4; turn += 1) {
      await until(() => client.received.split("\r\n\r\nok").length === turn + 1);
      if (turn < 4) client.send(GET);
    }
    assert.doesNotMatch(client.received, /50\d/);
    assert.deepEqual(
      web.lab.facts.map((one) => one.attempts),
      [1, 2, 2, 2],
    );
    await web.settle();
  });

  it("sends what cannot be sent twice only on connections that were used just now", async () => {
    const web = await webLab(answering(OK), { config: { timeouts: { freshMs: 50 } } });
    const client = await web.send(GET);
    await client.until(/ok$/);
    const big = "x".repeat(100_000);
    const requests = [POST, `PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: 100000\r\n\r\n${big}`];
    for (const [index, request] of requests.entries()) {
      await delay(120);
      client.send(request);
      await until(() => client.received.split("\r\n\r\nok").length === index + 3);
      assert.equal(web.upstream.sockets.length, index + 2, "a connection of its own");
    }
    await delay(120);
    client.send(GET);
    await until(() => client.received.split("\r\n\r\nok").length === 5);
    assert.equal(web.upstream.sockets.length, 3, "GET takes an old one");
    await web.settle();
  });

  it("retires a connection after its number of requests", async () => {
    const web = await webLab(answering(OK), { config: { pool: { maxRequestsPerConnection: 2 } } });
    const client = await web.open();
    for (let turn = 1; turn <= 5; turn += 1) {
      client.send(GET);
      await until(() => client.received.split("\r\n\r\nok").length === turn + 1);
    }
    assert.equal(web.upstream.sockets.length, 3);
    await web.settle();
  });

  it("is not held up by a client that reads slowly", async () => {
    const body = "b".repeat(60_000);
    const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const web = await webLab(answering(answer), {
      config: { pool: { maxConnectionsPerEndpoint: 1 } },
    });
    const slow = await web.open();
    slow.socket.pause();
    slow.send(GET.repeat(1_000));
    await untilStill(() => web.lab.facts.length);
    const quick = await web.send(GET);
    await until(() => quick.received.endsWith(body), {
      timeoutMs: 1_000,
      what: "the quick client",
    });
    await web.settle();
  });
});

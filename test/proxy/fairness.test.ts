import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { afterEach, describe, it } from "node:test";
import type { ConfigInput } from "../../src/config/schema.ts";
import { endpoint, type PlaneLab, planeLab, service, workload } from "../helpers/plane.ts";
import { answering, RawClient, type RawServer, rawServer } from "../helpers/raw.ts";
import { until } from "../helpers/until.ts";

const NOISY = "127.0.0.2";
const QUIET = "127.0.0.3";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GET = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
const workloads = [workload(0, "noisy", NOISY), workload(1, "quiet", QUIET)];
const MIB = 1_048_576;

let lab: PlaneLab | null = null;
const servers: RawServer[] = [];
const clients: RawClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await lab?.close();
  for (const server of servers.splice(0)) await server.close();
  lab = null;
});

/** A plane with one service, `web`, whose server does with what it reads what the test says. */
async function start(
  limits: NonNullable<ConfigInput["limits"]>,
  onData: Parameters<typeof rawServer>[0] = answering(OK),
  more: Omit<ConfigInput, "limits"> = {},
): Promise<PlaneLab> {
  const server = await rawServer(onData);
  servers.push(server);
  lab = await planeLab({ workloads, config: { ...more, limits } });
  lab.services(service("web", [endpoint(server.port)]));
  return lab;
}

async function client(from: string): Promise<RawClient> {
  if (lab === null) throw new Error("there is no plane");
  const opened = await RawClient.open(lab.port, "127.0.0.1", from);
  clients.push(opened);
  return opened;
}

const answersIn = (text: string): number => text.split("HTTP/1.1 200 OK").length - 1;

describe("turns of the event loop", () => {
  it("lose and reorder nothing, however much a client pipelines", async () => {
    const { series } = await start({ turnRequests: 1 }, (socket, received) => {
      const heads = received.split("\r\n\r\n");
      if (received.endsWith("\r\n\r\n")) {
        const path = heads.at(-2)?.split(" ")[1] ?? "";
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`);
      }
    });
    const flood = await client(NOISY);
    const paths = Array.from({ length: 300 }, (_, at) => `/${at}`);
    flood.send(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: web\r\n\r\n`).join(""));
    await until(() => answersIn(flood.received) === 300);
    const order = [...flood.received.matchAll(/\r\n\r\n(\/\d+)/g)].map((match) => match[1]);
    assert.deepEqual(order, paths);
    const many = await Promise.all(Array.from({ length: 40 }, () => client(NOISY)));
    for (const one of many) one.send(GET);
    for (const one of many) await one.until(/200 OK/);
    // Connections are accepted one in a turn; from here on all of their requests are there at once.
    for (const one of many) one.send(GET);
    for (const one of many) await until(() => answersIn(one.received) === 2);
    assert.ok(series.event("turn_waited") > 30);
  });

  it("hold parked requests with bodies until their turn, and forget those whose client leaves", async () => {
    const { quotas, facts } = await start({ turnRequests: 1 });
    const many = await Promise.all(Array.from({ length: 60 }, () => client(NOISY)));
    const post = `POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 10\r\n\r\n01234`;
    for (const one of many) one.send(post);
    for (const one of many.slice(0, 30)) one.socket.resetAndDestroy();
    for (const one of many.slice(30)) one.send("56789");
    for (const one of many.slice(30)) await one.until(/200 OK[^]*ok$/);
    await until(() => quotas.inFlight(0) === 0);
    const whole = facts.filter(({ status }) => status === 200);
    assert.equal(whole.length, 30);
    assert.ok(whole.every(({ requestBytes }) => requestBytes === 10));
  });

  it("give a modest source its answer while a flood's requests wait in line", async () => {
    const order: string[] = [];
    await start({ turnRequests: 1 }, (socket, received) => {
      order.push(received.includes("/quiet") ? "quiet" : "noisy");
      socket.write(OK);
    });
    const flood = await Promise.all(Array.from({ length: 200 }, () => client(NOISY)));
    const quiet = await client(QUIET);
    // Connections are accepted one in a turn: each has served before, so that all requests are there at once.
    for (const one of [...flood, quiet]) one.send(GET);
    for (const one of [...flood, quiet]) await one.until(/200 OK/);
    order.length = 0;
    for (const one of flood) one.send(GET);
    quiet.send("GET /quiet HTTP/1.1\r\nHost: web\r\n\r\n");
    await until(() => order.length === 201);
    const before = order.indexOf("quiet");
    assert.ok(before >= 0 && before < 50, `${before} requests of the flood came before it`);
  });

  it("pass bodies and tunnels on whole while they take turns", async () => {
    const body = Buffer.alloc(3 * MIB, "0123456789abcdef");
    const sum = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
    const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body.toString("latin1")}`;
    await start({ turnRequests: 1 }, answering(answer));
    const readers = await Promise.all(
      Array.from({ length: 8 }, (_, at) => client(at < 4 ? NOISY : QUIET)),
    );
    for (const [at, one] of readers.entries()) {
      // Half of them over a tunnel.
      one.send(at % 2 === 0 ? GET : "CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n");
      if (at % 2 === 1) await one.until("established\r\nVia: 1.1 hostmesh\r\n\r\n");
      if (at % 2 === 1) one.send(GET);
    }
    for (const one of readers) {
      await until(() => one.received.length > body.length, { timeoutMs: 15_000 });
      const text = () => Buffer.from(one.received.slice(-body.length), "latin1");
      await until(() => one.received.endsWith(body.toString("latin1", body.length - 64)));
      assert.equal(sum(text()), sum(body));
    }
  });
});

describe("bytes in buffers", () => {
  const quota = 256 * 1_024;

  it("of a workload that does not read its answers are counted, bounded, and given back", async () => {
    const big = `HTTP/1.1 200 OK\r\nContent-Length: ${8 * MIB}\r\n\r\n${"x".repeat(8 * MIB)}`;
    const { quotas, facts } = await start({ workloadBufferBytes: quota }, (socket) =>
      socket.write(big, "latin1"),
    );
    const slow = await Promise.all(Array.from({ length: 20 }, () => client(NOISY)));
    for (const one of slow) {
      one.socket.pause();
      one.send(GET);
    }
    await until(() => quotas.bufferedBytes(0) >= quota, { what: "a full quota" });
    const next = await client(NOISY);
    next.send(GET);
    await next.until(/^HTTP\/1\.1 429 [^]*X-Hostmesh-Error: QUOTA_BUFFERS\r\n/);
    // Those that were reading when the quota became full keep one buffer and one write each.
    assert.ok(quotas.bufferedBytes(0) < quota + 20 * 128 * 1_024, `${quotas.bufferedBytes(0)}`);
    const quiet = await client(QUIET);
    quiet.send(GET);
    await until(() => quiet.received.length > 8 * MIB, { what: "the other's answer" });
    for (const one of slow) one.socket.resume();
    for (const one of slow) {
      await until(() => one.received.length > 8 * MIB || one.received.includes(" 429 "), {
        timeoutMs: 15_000,
      });
    }
    await until(() => quotas.bufferedBytes(0) === 0, { what: "empty buffers" });
    assert.ok(facts.some(({ error }) => error === "QUOTA_BUFFERS"));
    for (const one of clients) one.close();
    await until(() => quotas.isIdle(0) && quotas.isIdle(1));
  });

  it("are given back when their clients vanish", async () => {
    const big = `HTTP/1.1 200 OK\r\nContent-Length: ${8 * MIB}\r\n\r\n${"x".repeat(8 * MIB)}`;
    const { quotas } = await start({ workloadBufferBytes: quota }, (socket) =>
      socket.write(big, "latin1"),
    );
    const slow = await Promise.all(Array.from({ length: 10 }, () => client(NOISY)));
    for (const one of slow) {
      one.socket.pause();
      one.send(GET);
    }
    await until(() => quotas.bufferedBytes(0) >= quota);
    for (const one of slow) one.socket.resetAndDestroy();
    await until(() => quotas.isIdle(0), { what: "nothing that counts" });
    const next = await client(NOISY);
    next.send(GET);
    await until(() => next.received.length > 8 * MIB);
  });

  it("count what is sent ahead of its time, and heads that do not end", async () => {
    const { quotas } = await start({}, () => undefined);
    const ahead = await client(NOISY);
    ahead.send(GET.repeat(500));
    await until(() => quotas.bufferedBytes(0) > 10_000, { what: "pipelined requests" });
    const loris = await client(NOISY);
    const before = quotas.bufferedBytes(0);
    loris.send(`GET / HTTP/1.1\r\nHost: web\r\n${"X-A: aaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(80)}`);
    await until(() => quotas.bufferedBytes(0) > before + 1_000, { what: "an unfinished head" });
    ahead.socket.resetAndDestroy();
    loris.socket.resetAndDestroy();
    // Nobody listens to a client that has sent ahead, before it has its answer.
    for (const socket of servers[0]?.sockets ?? []) socket.resetAndDestroy();
    await until(() => quotas.isIdle(0), { what: "nothing that counts" });
  });

  it("count bodies that are kept for replays, and keep none where there is no room", async () => {
    const { quotas } = await start({ workloadBufferBytes: 60_000 }, () => undefined, {
      timeouts: { responseHeadMs: 500 },
    });
    const body = "x".repeat(50_000);
    const put = `PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const kept = Math.ceil(body.length / 1_024) * 1_024;
    for (let sent = 1; sent <= 3; sent += 1) {
      (await client(NOISY)).send(put);
      const held = () => quotas.inFlight(0) === sent && quotas.bufferedBytes(0) === kept;
      await until(held, { what: `one body of ${sent}` });
    }
    for (const one of clients) await one.until(/ 504 /);
    assert.equal(quotas.bufferedBytes(0), 0);
  });
});

describe("a workload's waiting requests", () => {
  it("are limited over all services, and others' are not", async () => {
    const { quotas } = await start({ workloadPending: 2 }, () => undefined, {
      pool: { maxConnectionsPerEndpoint: 1 },
    });
    const many = await Promise.all(Array.from({ length: 4 }, () => client(NOISY)));
    many[0]?.send(GET);
    await until(() => servers[0]?.received[0]?.endsWith("\r\n\r\n") === true);
    for (const one of many.slice(1)) one.send(GET);
    await until(() => many.filter((one) => one.received.includes("POOL_QUEUE_FULL")).length === 1);
    assert.equal(quotas.pending(0), 2);
    const quiet = await client(QUIET);
    quiet.send(GET);
    await until(() => quotas.pending(1) === 1);
    assert.equal(quiet.received, "");
    for (const one of clients) one.socket.resetAndDestroy();
    await until(() => quotas.isIdle(0) && quotas.isIdle(1));
  });

  it("may be retried so often at a time", async () => {
    const { quotas, services } = await start({ workloadRetries: 1 }, (socket) =>
      socket.resetAndDestroy(),
    );
    const silent = await rawServer(() => undefined);
    servers.push(silent);
    const places = servers.map(({ port }) => endpoint(port));
    services(service("web", places, { policy: "round-robin" }));
    const many = await Promise.all(Array.from({ length: 4 }, () => client(NOISY)));
    for (const one of many) one.send(GET);
    // Two of four go to the first endpoint; one of them is tried again, and stays under way.
    await until(() => many.filter((one) => one.received.includes("UPSTREAM_RESET")).length === 1);
    assert.equal(quotas.retries(0), 1);
    for (const one of clients) one.socket.resetAndDestroy();
    await until(() => quotas.isIdle(0));
  });
});

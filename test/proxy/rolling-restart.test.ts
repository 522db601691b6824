import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttp, type Server } from "node:http";
import { type AddressInfo, connect, createServer as createTcp } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { processClock } from "../../src/core/clock.ts";
import { endpoint, planeLab, service } from "../helpers/plane.ts";
import { ask, everything, table, traffic } from "../helpers/route-lab.ts";
import { until } from "../helpers/until.ts";

/** A program that can be stopped, and started again at its port. */
class Program {
  port = 0;
  requests = 0;
  readonly name: string;
  status = 200;
  /** The error that it names, as the daemon of its host would; "": none. */
  said = "";
  #server: Server | null = null;

  constructor(name: string) {
    this.name = name;
  }

  async start(): Promise<void> {
    this.#server = createHttp((_request, response) => {
      this.requests += 1;
      const said = this.said === "" ? {} : { "x-hostmesh-error": this.said };
      response.writeHead(this.status, said).end(this.name);
    });
    this.#server.listen(this.port, "127.0.0.1");
    await once(this.#server, "listening");
    this.port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    server?.closeAllConnections();
    if (server !== null) await new Promise((resolve) => server.close(resolve));
  }
}

/** Ejections last longer than any test. */
const BALANCE = { consecutiveFailures: 1, baseEjectionMs: 600_000, maxEjectionMs: 600_000 };

async function setUp(t: TestContext, extras: object = {}) {
  const programs = [new Program("a"), new Program("b")] as const;
  for (const one of programs) await one.start();
  const lab = await planeLab({ config: { balance: BALANCE } });
  const endpoints = programs.map(({ port }) => endpoint(port, { local: false, host: "other" }));
  lab.services({ ...service("web", endpoints), slots: { "": 1 }, ...extras });
  t.after(async () => {
    await lab.close();
    for (const one of programs) await one.stop();
  });
  const isEjected = (at: number) =>
    lab.endpoints.isEjected(endpoints[at]!.slot, processClock.now());
  const [a, b] = programs;
  /** Requests go on while `a` is away, and so it is ejected; then it is back. */
  const restartA = async (): Promise<void> => {
    await a.stop();
    for (let at = 0; at < 4; at++) assert.equal((await ask(lab.port, "/")).body, "b");
    assert.ok(isEjected(0), "a is ejected");
    await a.start();
  };
  return { lab, a, b, restartA, isEjected };
}

const POST = { method: "POST" };

describe("a rolling restart of two endpoints", () => {
  it("fails no request, though the one that is back is still ejected when the other goes", async (t) => {
    const { lab, a, b, restartA } = await setUp(t);
    await restartA();
    await b.stop();
    const before = a.requests;
    for (let at = 0; at < 6; at++) {
      const { status, body } = await ask(lab.port, "/", at % 2 === 0 ? {} : POST);
      assert.deepEqual([status, body], [200, "a"]);
    }
    assert.equal(a.requests - before, 6);
    assert.ok(lab.facts.every(({ status }) => status === 200));
  });

  it("keeps to the one that is in service as long as it answers", async (t) => {
    const { lab, a, restartA } = await setUp(t);
    await restartA();
    const before = a.requests;
    for (let at = 0; at < 6; at++) assert.equal((await ask(lab.port, "/")).body, "b");
    assert.equal(a.requests, before);
  });

  it("fails as before where the ejected one is away as well", async (t) => {
    const { lab, a, b, restartA } = await setUp(t);
    await restartA();
    await a.stop();
    await b.stop();
    const { status, headers } = await ask(lab.port, "/");
    assert.deepEqual([status, headers["x-hostmesh-error"]], [502, "CONNECT_REFUSED"]);
    await until(() => lab.facts.at(-1)?.status === 502);
    assert.ok((lab.facts.at(-1)?.attempts ?? 0) <= 4, `${lab.facts.at(-1)?.attempts} tries`);
  });

  it("fails none either where another host's daemon says that its endpoint is away", async (t) => {
    const { lab, a, b, restartA } = await setUp(t);
    await restartA();
    b.status = 502;
    b.said = "CONNECT_REFUSED";
    const before = a.requests;
    for (let at = 0; at < 3; at++) assert.equal((await ask(lab.port, "/")).body, "a");
    assert.equal(a.requests - before, 3);
  });

  it("leaves a rule that forbids retries in force", async (t) => {
    const never = { attempts: 0, on: [], statuses: [], unsafe: false, avoidTried: true };
    const rule = everything({ retry: { ...never, backoff: { baseMs: 0, maxMs: 0 } } });
    const { lab, a, b, isEjected } = await setUp(t, { routes: [table([rule])], routeStamp: "1" });
    await a.stop();
    while (!isEjected(0)) await ask(lab.port, "/");
    await a.start();
    await b.stop();
    const before = a.requests;
    assert.equal((await ask(lab.port, "/")).status, 502);
    assert.equal(a.requests, before);
  });

  it("does not send answers that are retried to an ejected one", async (t) => {
    const again = { attempts: 2, on: ["5xx"], statuses: [], unsafe: false, avoidTried: true };
    const retry = { ...again, backoff: { baseMs: 0, maxMs: 0 } } as const;
    const { lab, a, b, restartA } = await setUp(t, {
      routes: [table([everything({ retry: { ...retry, on: ["5xx"] } })])],
      routeStamp: "1",
      traffic: traffic({}),
    });
    await restartA();
    b.status = 503;
    const [beforeA, beforeB] = [a.requests, b.requests];
    assert.equal((await ask(lab.port, "/")).status, 503);
    assert.deepEqual([a.requests - beforeA, b.requests - beforeB], [0, 3]);
  });
});

it("an opaque connection takes an ejected endpoint, too, when all others refuse it", async (t) => {
  const greet = async (port: number, text: string) => {
    const server = createTcp((socket) => void socket.end(text)).listen(port, "127.0.0.1");
    await once(server, "listening");
    t.after(() => void server.close());
    return server;
  };
  const [a, b] = [await greet(0, "a"), await greet(0, "b")];
  const ports = [a, b].map((server) => (server.address() as AddressInfo).port);
  const lab = await planeLab({
    config: { balance: BALANCE },
    destination: { of: () => ({ host: "240.0.0.9", port: 80 }) },
  });
  t.after(() => lab.close());
  const web = service(
    "web",
    ports.map((port) => endpoint(port)),
    { protocol: "tcp" },
  );
  lab.services({ ...web, addresses: ["240.0.0.9"] });
  const hear = async (): Promise<string> => {
    const socket = connect(lab.port, "127.0.0.1");
    socket.on("error", () => undefined);
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString();
    });
    await once(socket, "close");
    return text;
  };
  const closed = (server: typeof a) => new Promise((resolve) => server.close(resolve));
  await closed(a);
  for (let at = 0; at < 4; at++) assert.equal(await hear(), "b");
  await greet(ports[0] as number, "a again");
  assert.equal(await hear(), "b", "a is ejected");
  await closed(b);
  for (let at = 0; at < 3; at++) assert.equal(await hear(), "a again");
});

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { request as requestHttp1 } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import { connect, type Socket } from "node:net";
import { after, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { ConfigInput } from "../../src/config/schema.ts";
import type { AppProtocol } from "../../src/core/model.ts";
import { type Answer, Http2Client, type Peer, peer } from "../helpers/h2-peers.ts";
import { endpoint, type PlaneLab, planeLab, service } from "../helpers/plane.ts";
import { until } from "../helpers/until.ts";

const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

interface Setup {
  readonly lab: PlaneLab;
  readonly peers: readonly Peer[];
  readonly client: Http2Client;
}

/** A service `web` of servers of one version, and a client of HTTP/2 at the proxy's explicit port. */
async function setUp(
  version: 1 | 2,
  answer: Answer,
  {
    protocol,
    servers = 1,
    config = {},
  }: { protocol?: AppProtocol; servers?: number; config?: ConfigInput } = {},
): Promise<Setup> {
  const peers: Peer[] = [];
  for (let at = 0; at < servers; at++) peers.push(await peer(version, answer));
  const lab = await planeLab({ config });
  const endpoints = peers.map(({ port }) => endpoint(port));
  lab.services(service("web", endpoints, protocol === undefined ? {} : { protocol }));
  const client = new Http2Client(lab.port);
  closers.push(
    () => client.close(),
    () => lab.close(),
    ...peers.map(({ close }) => close),
  );
  return { lab, peers, client };
}

const GET = { ":path": "/", ":authority": "web" };
const POST = { ...GET, ":method": "POST" };

/** Sends back what comes, its trailers too, and says what it saw. */
const ECHO: Answer = (request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    response.setHeader("x-seen", `${request.httpVersion} ${request.method} ${request.url}`);
    response.setHeader("x-head", JSON.stringify(request.headers));
    if (request.headers["x-want"] === "length") {
      response.setHeader("content-length", Buffer.concat(parts).length);
    } else response.setHeader("trailer", "x-sum");
    for (const part of parts) response.write(part);
    if (request.headers["x-want"] !== "length") {
      response.addTrailers({ "x-sum": request.trailers["x-sum"] ?? "none" });
    }
    response.end();
  });
};

const WAYS: readonly [name: string, version: 1 | 2, protocol: AppProtocol | undefined][] = [
  ["to servers of HTTP/1.1", 1, "http"],
  ["to servers of HTTP/2", 2, "http2"],
  ["to servers that nothing is said of, as it comes", 2, undefined],
];

for (const [name, version, protocol] of WAYS) {
  const declared = protocol === undefined ? {} : { protocol };
  describe(`requests of HTTP/2 ${name}`, () => {
    it("go there and their answers come back", async () => {
      const { client, lab } = await setUp(version, ECHO, declared);
      const got = await client.ask({ ...GET, ":path": "/a?b=c", "x-kept": "1", cookie: "a=1" });
      assert.equal(got.status, 200);
      assert.equal(got.headers["x-seen"], `${version === 1 ? "1.1" : "2.0"} GET /a?b=c`);
      const seen = JSON.parse(String(got.headers["x-head"]));
      assert.equal(seen["x-kept"], "1");
      assert.equal(seen.cookie, "a=1");
      assert.match(seen.via, /2\.0 hostmesh/);
      assert.match(seen["x-request-id"], /^[0-9a-f-]{36}$/);
      assert.equal(seen[version === 1 ? "host" : ":authority"], "web");
      assert.equal(got.headers.connection, undefined);
      await until(() => lab.facts.length === 1);
      assert.equal(lab.facts[0]?.status, 200);
    });

    it("carry bodies both ways, of known length and not, with trailers", async () => {
      const { client } = await setUp(version, ECHO, declared);
      for (const bytes of [1, 16_384, 70_000, 1_000_000]) {
        const body = randomBytes(bytes);
        const known = await client.ask({ ...POST, "content-length": bytes, "x-want": "length" }, [
          body,
        ]);
        assert.equal(known.headers["content-length"], String(bytes));
        assert.ok(known.body.equals(body), `${bytes} bytes of known length`);
        const open = await client.ask({ ...POST, te: "trailers" }, [body], { "x-sum": "7" });
        assert.ok(open.body.equals(body), `${bytes} bytes of unknown length`);
        assert.equal(open.trailers["x-sum"], "7");
      }
    });

    it("may have no body, nor their answers", async () => {
      const { client } = await setUp(
        version,
        (request, response) => {
          response.statusCode = request.method === "HEAD" ? 200 : 204;
          if (request.method === "HEAD") response.setHeader("content-length", 5);
          response.end();
        },
        declared,
      );
      const head = await client.ask({ ...GET, ":method": "HEAD" });
      assert.deepEqual([head.status, head.headers["content-length"]], [200, "5"]);
      const none = await client.ask({ ...GET, ":method": "DELETE" });
      assert.deepEqual([none.status, none.body.length], [204, 0]);
      const post = await client.ask({ ...POST }, [""]);
      assert.equal(post.status, 204);
    });

    it("run side by side, each balanced by itself", async () => {
      const counts = new Map<number | undefined, number>();
      const count: Answer = (request, response) => {
        const port = request.socket.localPort;
        counts.set(port, (counts.get(port) ?? 0) + 1);
        response.end("ok");
      };
      const { client } = await setUp(version, count, { ...declared, servers: 3 });
      const all: Promise<{ status: number }>[] = [];
      for (let round = 0; round < 10; round++) {
        for (let at = 0; at < 60; at++) all.push(client.ask(GET));
        await Promise.all(all);
      }
      const statuses = new Set((await Promise.all(all)).map(({ status }) => status));
      assert.deepEqual([...statuses], [200]);
      for (const got of counts.values()) assert.equal(got, 200, "round robin");
    });

    it("are held back by a slow reader, who holds up nobody else", async () => {
      let written = 0;
      const { client } = await setUp(
        version,
        (request, response) => {
          if (request.url === "/small") {
            response.end("small");
            return;
          }
          const part = Buffer.alloc(65_536);
          const more = (): void => {
            while (written < 64 * 1_048_576) {
              written += part.length;
              if (!response.write(part)) {
                response.once("drain", more);
                return;
              }
            }
            response.end();
          };
          more();
        },
        declared,
      );
      const slow = client.session.request({ ...GET, ":path": "/big" });
      slow.on("error", () => undefined);
      slow.pause();
      await until(() => written > 0);
      let before = -1;
      await until(async () => {
        const isStill = written === before;
        before = written;
        for (let at = 0; at < 20; at++) {
          const got = await client.ask({ ...GET, ":path": "/small" });
          assert.equal(got.body.toString(), "small");
        }
        return isStill;
      });
      assert.ok(written < 32 * 1_048_576, `${written} bytes are on their way`);
      slow.close();
    });

    it("that their client gives up are given up at the server", async () => {
      let closed = 0;
      const { client, lab } = await setUp(
        version,
        (request) => {
          request.on("close", () => {
            closed += 1;
          });
        },
        declared,
      );
      const stream = client.session.request(GET);
      stream.on("error", () => undefined);
      await until(() => lab.plane.stats().busyUpstream === 1);
      stream.close(8);
      await until(() => closed === 1);
      await until(() => lab.facts.length === 1);
      assert.equal(lab.facts[0]?.error, "CLIENT_CLOSED");
    });

    it("get an answer of the proxy's own where there is none", async () => {
      const { client, peers } = await setUp(version, (request) => request.socket.destroy(), {
        ...declared,
        config: { limits: { attempts: 1 } },
      });
      const lost = await client.ask({ ...POST }, ["x"]);
      assert.equal(lost.status, 502);
      assert.equal(lost.headers["x-hostmesh-error"], "UPSTREAM_RESET");
      await peers[0]?.close();
      await until(async () => (await client.ask(GET)).headers["x-hostmesh-error"] !== undefined);
      const nowhere = await client.ask({ ...GET, ":authority": "nobody.example" });
      assert.ok(nowhere.status >= 400, String(nowhere.status));
    });
  });
}

describe("requests of HTTP/1.1 to servers of HTTP/2", () => {
  it("are translated, both ways", async () => {
    const { lab } = await setUp(2, ECHO, { protocol: "grpc" });
    const body = randomBytes(100_000);
    const got = await new Promise<{ seen: string; body: Buffer; sum: string | undefined }>(
      (resolve, reject) => {
        const request = requestHttp1(
          {
            ...{ host: "127.0.0.1", port: lab.port, method: "POST", path: "/x" },
            headers: { host: "web", te: "trailers", connection: "te", trailer: "x-sum" },
          },
          (response) => {
            const parts: Buffer[] = [];
            response.on("data", (part: Buffer) => parts.push(part));
            response.on("end", () =>
              resolve({
                seen: String(response.headers["x-seen"]),
                body: Buffer.concat(parts),
                sum: response.trailers["x-sum"],
              }),
            );
          },
        );
        request.on("error", reject);
        request.write(body);
        request.addTrailers({ "x-sum": "9" });
        request.end();
      },
    );
    assert.equal(got.seen, "2.0 POST /x");
    assert.ok(got.body.equals(body));
    assert.equal(got.sum, "9");
  });
});

/** What a client of HTTP/2 says over a socket of its own. */
function over(socket: Socket): Http2Client {
  const client = new Http2Client(0, { createConnection: () => socket });
  closers.push(() => client.close());
  return client;
}

describe("an endpoint of HTTP/2 that greets at once", () => {
  const FORGED = "By=a;URI=spiffe://evil";
  const forged = { ...GET, "x-forwarded-client-cert": FORGED };

  async function greeted(captured: boolean): Promise<{ socket: Socket; server: Peer }> {
    const server = await peer(2, ECHO);
    const destination = { of: () => ({ host: "127.0.0.1", port: server.port }) };
    const lab = await planeLab(captured ? { destination } : {});
    lab.services(service("web", [endpoint(server.port)]));
    closers.push(
      () => lab.close(),
      () => server.close(),
    );
    const socket = connect(lab.port, "127.0.0.1");
    if (!captured) {
      socket.write("CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n");
      await once(socket, "data");
    }
    // The connection to the endpoint stands, and its SETTINGS have come.
    await until(() => server.sessions.size === 1);
    await delay(50);
    return { socket, server };
  }

  for (const captured of [true, false]) {
    it(`hides no request of a client that waits: ${captured ? "captured" : "CONNECT"}`, async () => {
      const { socket } = await greeted(captured);
      const got = await over(socket).ask(forged);
      const seen = JSON.parse(String(got.headers["x-head"]));
      assert.equal(seen.via, "2.0 hostmesh");
      assert.notEqual(seen["x-forwarded-client-cert"], FORGED);
    });
  }
});

describe("a proxy that ends", () => {
  it("tells clients of HTTP/2, and serves what is under way", async () => {
    const waiting: Http2ServerResponse[] = [];
    const { lab, client } = await setUp(2, (_request, response) => {
      waiting.push(response);
    });
    const late = client.ask(GET);
    await until(() => waiting.length === 1);
    let goaway = false;
    client.session.on("goaway", () => {
      goaway = true;
    });
    const drained = lab.plane.drain(20_000);
    await until(() => goaway);
    waiting[0]?.end("late");
    assert.equal((await late).body.toString(), "late");
    await drained;
    await until(() => client.session.closed || client.session.destroyed);
  });
});

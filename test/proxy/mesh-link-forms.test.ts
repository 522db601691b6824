import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { Http2Client, type Peer, peer } from "../helpers/h2-peers.ts";
import { HandTimers } from "../helpers/hand-timers.ts";
import { CART_1, CART_2, linkLab } from "../helpers/link-lab.ts";
import { type LinkPeer, linkPeer, type OnStream, olderPeer } from "../helpers/link-peers.ts";
import { RawClient } from "../helpers/raw.ts";
import { until } from "../helpers/until.ts";

/** An endpoint that says which version it was spoken to in. */
async function versionServer(t: TestContext, version: 1 | 2): Promise<Peer> {
  const server = await peer(version, (request, response) => {
    response.setHeader("x-version", request.httpVersion);
    request.pipe(response as never);
  });
  t.after(() => server.close());
  return server;
}

const at = (server: Peer) => [{ address: "127.0.0.1", port: server.port }];

function kept(t: TestContext, other: LinkPeer): LinkPeer {
  t.after(() => other.close());
  return other;
}

/** Joins tunnels to what they ask for, as a ztunnel does. */
const JOIN: OnStream = (stream, headers) => {
  if (headers[":method"] !== "CONNECT" || headers[":scheme"] !== undefined) {
    stream.respond({ ":status": 400 }, { endStream: true });
    return;
  }
  const [host, port] = String(headers[":authority"]).split(":");
  const endpoint = connect({ host: host as string, port: Number(port), allowHalfOpen: true });
  endpoint.on("error", () => stream.close(2));
  stream.on("close", () => endpoint.destroy());
  endpoint.once("connect", () => {
    stream.respond({ ":status": 200 });
    stream.pipe(endpoint).pipe(stream);
  });
};

/** Has a protocol of its own, which sends back what comes. */
async function ownProtocolServer(t: TestContext): Promise<number> {
  const server = createServer((_request, response) => response.end("http"));
  server.on("upgrade", (_request, socket) => {
    socket.write("HTTP/1.1 101 OK\r\nconnection: upgrade\r\nupgrade: own/1\r\n\r\n");
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.close());
  return (server.address() as AddressInfo).port;
}

async function leaveHttp(t: TestContext, port: number): Promise<void> {
  const client = await RawClient.open(port, "127.0.0.1", CART_1);
  t.after(() => client.close());
  client.send("GET / HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: own/1\r\n\r\n");
  await client.until(/101 [^]*own\/1\r\n[^]*\r\n\r\n/);
  client.send("ping");
  await client.until(/ping$/);
}

describe("to a host of an older version requests", () => {
  test("go by connections of their own, and the first one finds out", async (t) => {
    const { lab, proof } = await linkLab(t);
    const server = await versionServer(t, 1);
    const protocols: string[] = [];
    const other = kept(t, await olderPeer(proof, { protocols }));
    lab.serve(other, at(server));
    const first = await lab.send({ method: "POST", body: "abc" });
    assert.deepEqual([first.status, first.body, first.headers["x-version"]], [200, "abc", "1.1"]);
    assert.deepEqual(protocols, ["http/1.1"]);
    const all = Array.from({ length: 5 }, () => lab.get("/", CART_2));
    for (const got of await Promise.all(all)) assert.equal(got.status, 200);
    assert.equal(protocols.length, 1 + 5);
    assert.ok(other.callers.length <= 2 + 5, "nobody asks again");
  });

  test("of HTTP/2 share connections there", async (t) => {
    const { lab, proof } = await linkLab(t);
    const server = await versionServer(t, 2);
    const protocols: string[] = [];
    const other = kept(t, await olderPeer(proof, { protocols }));
    lab.serve(other, at(server), { protocol: "http2" });
    for (let count = 0; count < 5; count++) {
      assert.equal((await lab.get("/")).headers["x-version"], "2.0");
    }
    assert.deepEqual(protocols, ["h2"]);
  });

  test("go as HTTP/1.1 where it does not know HTTP/2 yet", async (t) => {
    const { lab, proof } = await linkLab(t);
    const server = await versionServer(t, 1);
    const protocols: string[] = [];
    const other = kept(t, await olderPeer(proof, { isOldest: true, protocols }));
    lab.serve(other, at(server), { protocol: "grpc" });
    for (let count = 0; count < 3; count++) {
      const { status, headers } = await lab.send({ method: "POST", body: "x" });
      assert.deepEqual([status, headers["x-version"]], [200, "1.1"]);
    }
    assert.deepEqual(protocols, ["h2", "http/1.1"]);
  });

  test("that leave HTTP find out, too", async (t) => {
    const { lab, proof } = await linkLab(t);
    const port = await ownProtocolServer(t);
    const other = kept(t, await olderPeer(proof));
    lab.serve(other, [{ address: "127.0.0.1", port }]);
    await leaveHttp(t, lab.port);
  });

  test("are streams once it was replaced, at the latest a minute later", async (t) => {
    const timers = new HandTimers();
    const { lab, proof } = await linkLab(t, { timers });
    const server = await versionServer(t, 1);
    const older = kept(t, await olderPeer(proof));
    lab.serve(older, at(server));
    assert.equal((await lab.get("/")).status, 200);
    older.close();
    await until(() => older.sockets.size === 0);
    let streams = 0;
    const newer = kept(
      t,
      await linkPeer(
        proof,
        (stream) => {
          streams += 1;
          stream.respond({ ":status": 200 }, { endStream: true });
        },
        { port: older.address.port },
      ),
    );
    assert.equal(newer.address.port, older.address.port);
    assert.ok((await lab.get("/")).status >= 500, "still asked in the older form");
    timers.advance(61_000);
    assert.equal((await lab.get("/")).status, 200);
    assert.equal(streams, 1);
  });
});

test("a request to leave HTTP for something else than a WebSocket goes by a tunnel of its own", async (t) => {
  const { lab, proof } = await linkLab(t);
  const port = await ownProtocolServer(t);
  const asked: unknown[] = [];
  const other = kept(
    t,
    await linkPeer(proof, (stream, headers) => {
      asked.push(headers[":method"]);
      if (headers[":method"] === "CONNECT") JOIN(stream, headers);
      else stream.respond({ ":status": 200 }, { endStream: true });
    }),
  );
  lab.serve(other, [{ address: "127.0.0.1", port }]);
  assert.equal((await lab.get("/")).status, 200);
  await leaveHttp(t, lab.port);
  assert.deepEqual(asked, ["GET", "CONNECT"]);
  assert.equal(other.callers.length, 1);
});

describe("to a host that takes tunnels only, like a ztunnel, requests", () => {
  test("of HTTP/1.1 go inside of tunnels, on one connection", async (t) => {
    const { lab, proof } = await linkLab(t);
    const server = await versionServer(t, 1);
    const asked: unknown[] = [];
    const other = kept(
      t,
      await linkPeer(
        proof,
        (stream, headers) => {
          asked.push([headers[":authority"], headers.forwarded, headers["baggage"]]);
          JOIN(stream, headers);
        },
        { requests: false },
      ),
    );
    lab.serve(other, at(server));
    const all = Array.from({ length: 10 }, () => lab.send({ method: "POST", body: "abc" }));
    for (const got of await Promise.all(all)) assert.equal(got.body, "abc");
    assert.equal((await lab.get("/", CART_2)).status, 200);
    assert.equal(other.callers.length, 1);
    assert.equal(asked.length, 11, "tunnels are used again, but by their own source only");
    const place = `127.0.0.1:${server.port}`;
    assert.deepEqual(asked[0], [
      place,
      `for="${CART_1}"`,
      "k8s.namespace.name=default,service.name=cart-1",
    ]);
    assert.deepEqual(asked[10], [
      place,
      `for="${CART_2}"`,
      "k8s.namespace.name=default,service.name=cart-2",
    ]);
    assert.equal((await lab.get("/")).status, 200);
    assert.equal(asked.length, 11);
  });

  test("of HTTP/2 share a session in a tunnel", async (t) => {
    const { lab, proof } = await linkLab(t);
    const server = await versionServer(t, 2);
    let tunnels = 0;
    const other = kept(
      t,
      await linkPeer(
        proof,
        (stream, headers) => {
          tunnels += 1;
          JOIN(stream, headers);
        },
        { requests: false },
      ),
    );
    lab.serve(other, at(server));
    const client = new Http2Client(lab.port, {
      createConnection: () => connect({ port: lab.port, host: "127.0.0.1", localAddress: CART_1 }),
    });
    t.after(() => client.close());
    const body = Buffer.alloc(400_000, "x");
    const ask = () => client.ask({ ":method": "POST", ":path": "/", ":authority": "web" }, [body]);
    for (const got of await Promise.all([ask(), ask(), ask()])) {
      assert.equal(got.headers["x-version"], "2.0");
      assert.ok(got.body.equals(body));
    }
    assert.equal(tunnels, 1);
    assert.equal(other.callers.length, 1);
  });

  test("say why there is no tunnel", async (t) => {
    const { lab, proof } = await linkLab(t);
    let status = 401;
    const other = kept(
      t,
      await linkPeer(
        proof,
        (stream) => {
          const fields = { ":status": status, "x-hostmesh-error": "not today" };
          stream.respond(fields, { endStream: true });
        },
        { requests: false },
      ),
    );
    lab.serve(other);
    const denied = await lab.get("/");
    assert.deepEqual([denied.status, denied.headers["x-hostmesh-error"]], [403, "ACCESS_DENIED"]);
    status = 503;
    const refused = await lab.get("/");
    assert.deepEqual([refused.status, refused.headers["x-hostmesh-error"]], [502, "MESH_REFUSED"]);
    assert.match(refused.body, /503 not today/);
  });
});

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttp2 } from "node:http2";
import { type AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { after, describe, it } from "node:test";
import type { AppProtocol } from "../../src/core/model.ts";
import type { DataService } from "../../src/core/snapshot.ts";
import { Http2Client } from "../helpers/h2-peers.ts";
import { endpoint, type PlaneLab, planeLab, service } from "../helpers/plane.ts";
import { rawServer } from "../helpers/raw.ts";
import { everything, table } from "../helpers/route-lab.ts";
import { acceptFor, openTunnel, type ServerTunnel, tunnelServer } from "../helpers/tunnels.ts";
import { until } from "../helpers/until.ts";

const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

async function labFor(
  port: number,
  protocol: AppProtocol,
  more: Partial<DataService> = {},
): Promise<PlaneLab> {
  const lab = await planeLab({ config: { limits: { attempts: 1 } } });
  lab.services({ ...service("web", [endpoint(port)], { protocol }), ...more });
  closers.push(() => lab.close());
  return lab;
}

/** Asks over HTTP/2 for a WebSocket at an endpoint of HTTP/1.1 that does this with what it has received. */
async function askRaw(answer: (key: string) => string) {
  const server = await rawServer((socket, received) => {
    if (!received.endsWith("\r\n\r\n")) return;
    const key = /^sec-websocket-key: (.*)\r$/im.exec(received)?.[1] ?? "";
    socket.write(answer(key), "latin1");
  });
  const lab = await labFor(server.port, "http");
  const tunnel = await openTunnel(2, lab.port);
  closers.push(
    () => tunnel.close(),
    () => server.close(),
  );
  return { lab, tunnel, server };
}

const switching = (accept: string, protocol = "websocket") =>
  `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;

describe("an extended CONNECT to an endpoint of HTTP/1.1", () => {
  it("is a handshake with a key of the proxy's own", async () => {
    const { tunnel, server, lab } = await askRaw((key) => `${switching(acceptFor(key))}first`);
    assert.equal(tunnel.status, 200);
    for (const name of ["sec-websocket-accept", "upgrade", "connection"]) {
      assert.equal(tunnel.headers[name], undefined, name);
    }
    const [sent = ""] = server.received;
    assert.match(sent, /^GET \/ HTTP\/1\.1\r\nHost: web\r\n/);
    assert.match(sent, /\r\nConnection: upgrade\r\nUpgrade: websocket\r\n/);
    assert.match(sent, /\r\nSec-WebSocket-Key: [A-Za-z0-9+/]{22}==\r\n/);
    assert.doesNotMatch(sent, /transfer-encoding|content-length/i);
    assert.equal(String((await once(tunnel.duplex as Duplex, "data"))[0]), "first");
    tunnel.close();
    await until(() => lab.facts.length === 1);
    assert.equal(lab.facts[0]?.status, 101);
  });

  it("is no tunnel where the endpoint answers with content", async () => {
    for (const status of [200, 201, 204]) {
      const { tunnel, lab } = await askRaw(
        () => `HTTP/1.1 ${status} Fine\r\nContent-Length: 0\r\n\r\n`,
      );
      assert.equal(tunnel.status, 502);
      assert.equal(tunnel.headers["x-hostmesh-error"], "UPSTREAM_PROTOCOL");
      await until(() => lab.facts.length === 1);
      assert.equal(lab.facts[0]?.error, "UPSTREAM_PROTOCOL");
    }
  });

  it("is no tunnel where the endpoint has not understood the handshake", async () => {
    const wrong = await askRaw(() => switching(acceptFor("another")));
    assert.equal(wrong.tunnel.status, 502);
    const other = await askRaw((key) => switching(acceptFor(key), "chat"));
    assert.equal(other.tunnel.status, 502);
  });

  it("gets a refusal as it is", async () => {
    const { tunnel } = await askRaw(
      () => "HTTP/1.1 403 No\r\nX-Why: so\r\nContent-Length: 0\r\n\r\n",
    );
    assert.deepEqual([tunnel.status, tunnel.headers["x-why"]], [403, "so"]);
  });

  it("sends nothing on before the tunnel stands: it would be a request of its own", async () => {
    const hidden = "GET /hidden HTTP/1.1\r\nHost: web\r\n\r\n";
    let grant: () => void = () => undefined;
    let refuse: () => void = () => undefined;
    const server = await rawServer((socket, received) => {
      const key = /^sec-websocket-key: (.*)\r$/im.exec(received)?.[1] ?? "";
      grant = () => socket.write(switching(acceptFor(key)), "latin1");
      refuse = () =>
        socket.write("HTTP/1.1 404 None\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    });
    const lab = await labFor(server.port, "http");
    const client = new Http2Client(lab.port);
    closers.push(
      () => client.close(),
      () => server.close(),
    );
    await once(client.session, "remoteSettings");
    const ask = () => {
      const fields = { ":method": "CONNECT", ":protocol": "websocket", ":scheme": "http" };
      const more = { ":path": "/", ":authority": "web", "sec-websocket-version": "13" };
      const stream = client.session.request({ ...fields, ...more }, { endStream: false });
      stream.on("error", () => undefined);
      stream.end(hidden);
      return stream;
    };
    const refused = ask();
    await until(() => server.received[0]?.endsWith("\r\n\r\n") === true);
    refuse();
    const [answer] = await once(refused, "response");
    assert.equal(answer[":status"], 404);
    const granted = ask();
    await until(() => server.received[1]?.endsWith("\r\n\r\n") === true);
    assert.doesNotMatch(server.received.join(""), /hidden/);
    grant();
    assert.equal((await once(granted, "response"))[0][":status"], 200);
    await until(() => server.received[1]?.endsWith(hidden) === true);
    assert.doesNotMatch(server.received[0] ?? "", /hidden/);
  });
});

describe("an extended CONNECT", () => {
  it("to another protocol is not implemented", async () => {
    const lab = await labFor(1, "http");
    const client = new Http2Client(lab.port);
    closers.push(() => client.close());
    await once(client.session, "remoteSettings");
    const fields = { ":method": "CONNECT", ":protocol": "connect-udp", ":scheme": "http" };
    const answer = await client.ask({ ...fields, ":path": "/", ":authority": "web" });
    assert.equal(answer.status, 501);
  });

  it("gets no tunnel from a rule that answers by itself", async () => {
    const rule = everything({ action: { kind: "respond", status: 200, body: "hello" } });
    const lab = await labFor(1, "http", { routes: [table([rule])], routeStamp: "1" });
    const tunnel = await openTunnel(2, lab.port);
    closers.push(() => tunnel.close());
    assert.equal(tunnel.status, 502);
  });

  it("fails at an endpoint of HTTP/2 that knows none, for clients of both versions", async () => {
    const server = createHttp2((_request, response) => response.end("plain")).listen(
      0,
      "127.0.0.1",
    );
    await once(server, "listening");
    closers.push(() => void server.close());
    const lab = await labFor((server.address() as AddressInfo).port, "http2");
    for (const version of [1, 2] as const) {
      const tunnel = await openTunnel(version, lab.port);
      closers.push(() => tunnel.close());
      assert.equal(tunnel.status, 502);
    }
  });
});

const PAIRS = [
  [1, 2],
  [2, 1],
  [2, 2],
] as const;

/** Two ends of a tunnel through the proxy. */
async function tunnelled(clientVersion: 1 | 2, serverVersion: 1 | 2) {
  const asked = Promise.withResolvers<ServerTunnel>();
  let isAsked = false;
  const server = await tunnelServer(serverVersion, (tunnel) => {
    if (isAsked) tunnel.accept();
    isAsked = true;
    asked.resolve(tunnel);
  });
  const lab = await labFor(server.port, serverVersion === 1 ? "http" : "http2");
  const opening = openTunnel(clientVersion, lab.port);
  const far = (await asked.promise).accept();
  const { duplex, close } = await opening;
  const near = duplex as Duplex;
  closers.push(close, () => server.close());
  return { near, far, lab, server };
}

function bytesOf(stream: Duplex): { text: string; ended: boolean; closed: boolean } {
  const got = { text: "", ended: false, closed: false };
  stream.on("data", (chunk: Buffer) => {
    got.text += chunk.toString("latin1");
  });
  stream.on("end", () => {
    got.ended = true;
  });
  stream.on("close", () => {
    got.closed = true;
  });
  return got;
}

for (const [client, server] of PAIRS) {
  describe(`a tunnel from HTTP/${client} to HTTP/${server}`, () => {
    it("passes the end of either direction on, and lets the other go on", async () => {
      for (const isNearFirst of [true, false]) {
        // Node's client of HTTP/1.1 ends its direction by itself when the other one has ended.
        if (client === 1 && !isNearFirst) continue;
        const { near, far, lab } = await tunnelled(client, server);
        const [first, second] = isNearFirst ? [near, far] : [far, near];
        const [atFirst, atSecond] = [bytesOf(first), bytesOf(second)];
        first.end("that is all");
        await until(() => atSecond.ended);
        assert.equal(atSecond.text, "that is all");
        second.write("not here");
        await until(() => atFirst.text === "not here");
        assert.equal(lab.facts.length, 0);
        second.end(", and now");
        await until(() => atFirst.ended);
        assert.equal(atFirst.text, "not here, and now");
        await until(() => lab.facts.length === 1 && lab.plane.stats().busyUpstream === 0);
        const { requestBytes, responseBytes } = lab.facts[0] ?? {};
        const [up, down] = isNearFirst ? [11, 17] : [17, 11];
        assert.deepEqual([requestBytes, responseBytes], [up, down]);
      }
    });

    it("is broken off at both ends where one is", async () => {
      for (const isNearFirst of [true, false]) {
        const { near, far, lab } = await tunnelled(client, server);
        const [first, second] = isNearFirst ? [near, far] : [far, near];
        const atSecond = bytesOf(second);
        first.write("begun");
        await until(() => atSecond.text === "begun");
        if (first instanceof Socket) first.resetAndDestroy();
        else first.destroy(new Error("lost"));
        await until(() => atSecond.closed);
        await until(() => lab.facts.length === 1 && lab.plane.stats().busyUpstream === 0);
      }
    });

    it("goes on when the endpoint's connection takes no more requests", async () => {
      if (server === 1) return;
      const { near, far, lab, server: target } = await tunnelled(client, server);
      const atFar = bytesOf(far);
      for (const session of target.sessions) session.goaway();
      await until(async () => {
        const next = await openTunnel(client, lab.port);
        assert.ok(next.duplex !== null, String(next.status));
        next.close();
        return target.sessions.size === 2;
      });
      near.write("still here");
      await until(() => atFar.text === "still here");
    });

    it("holds back whoever sends more than is read, and loses nothing", async () => {
      for (const isNearFirst of [true, false]) {
        const { near, far } = await tunnelled(client, server);
        const [from, to] = isNearFirst ? [near, far] : [far, near];
        const piece = randomBytes(65_536);
        const total = 64 * 1_048_576;
        let sent = 0;
        const more = (): void => {
          while (sent < total) {
            sent += piece.length;
            if (!from.write(piece)) {
              from.once("drain", more);
              return;
            }
          }
          from.end();
        };
        more();
        let before = -1;
        await until(() => {
          const isStill = sent === before;
          before = sent;
          return isStill && sent > 0;
        });
        assert.ok(sent < total / 2, `${sent} bytes are on their way`);
        let read = 0;
        for await (const chunk of to) {
          const bytes = chunk as Buffer;
          const at = read % piece.length;
          const expected = Buffer.concat([piece, piece, piece]).subarray(at, at + bytes.length);
          assert.ok(bytes.equals(expected), `at ${read}`);
          read += bytes.length;
        }
        assert.equal(read, total);
      }
    });
  });
}

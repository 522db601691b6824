import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { after, describe, it } from "node:test";
import { promisify } from "node:util";
import { CLIENT_PREFACE } from "../../src/http/h2/codes.ts";
import { FramePeer, headers, settings } from "../helpers/h2-lab.ts";
import { Http2Client, type Peer, peer } from "../helpers/h2-peers.ts";
import {
  endpoint,
  type PlaneLab,
  planeLab,
  policyUpdate,
  type ServiceOptions,
  service,
} from "../helpers/plane.ts";
import { answering, RawClient, rawServer } from "../helpers/raw.ts";
import { plainSocket } from "../helpers/tunnels.ts";
import { until } from "../helpers/until.ts";

const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

async function labFor(port: number, options: ServiceOptions = {}): Promise<PlaneLab> {
  const made = await planeLab();
  made.services(service("web", [endpoint(port)], options));
  closers.push(() => made.close());
  return made;
}

function clientOf(lab: PlaneLab): Http2Client {
  const client = new Http2Client(lab.port);
  closers.push(() => client.close());
  return client;
}

describe("CONNECT of a client of HTTP/2", () => {
  /** Opens a tunnel to `web`; `early` is sent before it stands. */
  async function connectTo(client: Http2Client, early = "", authority = "web:80") {
    const fields = { ":method": "CONNECT", ":authority": authority };
    const stream = client.session.request(fields, { endStream: false });
    stream.on("error", () => undefined);
    if (early !== "") stream.write(early);
    const [headers] = await once(stream, "response");
    const got = { text: "", ended: false };
    stream.on("data", (chunk: Buffer) => {
      got.text += chunk.toString();
    });
    stream.on("end", () => {
      got.ended = true;
    });
    return { stream, got, headers, status: Number(headers[":status"]) };
  }

  it("is a tunnel for any bytes, those that came early included", async () => {
    const server = await rawServer((socket, received) => socket.write(`<${received}>`));
    const lab = await labFor(server.port, { protocol: "tcp" });
    closers.push(() => server.close());
    const { stream, got, headers, status } = await connectTo(clientOf(lab), "early");
    assert.equal(status, 200);
    assert.equal(headers["content-length"], undefined);
    await until(() => got.text === "<early>");
    stream.end(" and late");
    await until(() => got.ended);
    assert.equal(server.received[0], "early and late");
    await until(() => lab.facts.length === 1);
    const { method, status: counted, requestBytes } = lab.facts[0] ?? {};
    assert.deepEqual([method, counted, requestBytes], ["CONNECT", 200, 14]);
    await until(() => lab.plane.stats().connections === 1);
  });

  it("is one of many streams, of which each ends by itself", async () => {
    const server = await rawServer((socket, received) => socket.write(received.toUpperCase()));
    const lab = await labFor(server.port, { protocol: "tcp" });
    closers.push(() => server.close());
    const client = clientOf(lab);
    const tunnels = await Promise.all([1, 2, 3].map(() => connectTo(client)));
    for (const [at, { stream }] of tunnels.entries()) stream.write(`n${at}`);
    await until(() => tunnels.every(({ got }, at) => got.text === `N${at}`));
    server.sockets[1]?.resetAndDestroy();
    await until(() => tunnels.filter(({ stream }) => stream.closed).length === 1);
    const [left] = tunnels.filter(({ stream }) => !stream.closed);
    left?.stream.write("more");
    await until(() => left?.got.text.endsWith("MORE") === true);
  });

  it("has requests in it served one by one, under the policies", async () => {
    const server = await rawServer(answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    const lab = await labFor(server.port);
    closers.push(() => server.close());
    const { stream, got } = await connectTo(clientOf(lab));
    stream.write("GET /in HTTP/1.1\r\nHost: web\r\nX-Forwarded-Client-Cert: me\r\n\r\n");
    await until(() => /^HTTP\/1\.1 200 OK\r\n[^]*ok$/.test(got.text));
    assert.match(server.received.join(""), /GET \/in [^]*Via: 1\.1 hostmesh/);
    assert.doesNotMatch(server.received.join(""), /client-cert: me/i);
    stream.end();
    await until(() => lab.facts.some(({ method }) => method === "CONNECT"));
  });

  it("gets an error where nobody is, and the connection goes on", async () => {
    const server = await rawServer(() => undefined);
    await server.close();
    const lab = await labFor(server.port, { protocol: "tcp" });
    const client = clientOf(lab);
    const failed = await connectTo(client);
    assert.equal(failed.status, 502);
    assert.equal(failed.headers["x-hostmesh-error"], "CONNECT_REFUSED");
    const again = await connectTo(client);
    assert.equal(again.status, 502);
    await until(() => lab.facts.length === 2);
  });

  it("that is given up before it stands leaves nothing behind", async () => {
    const server = await rawServer(answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    const lab = await labFor(server.port, { protocol: "http" });
    closers.push(() => server.close());
    const client = clientOf(lab);
    await once(client.session, "remoteSettings");
    for (let at = 0; at < 20; at++) {
      const fields = { ":method": "CONNECT", ":authority": "web:80" };
      const stream = client.session.request(fields, { endStream: false });
      stream.on("error", () => undefined);
      stream.close(8);
    }
    const get = { ":path": "/", ":authority": "web" };
    assert.equal((await client.ask({ ...get }, ["x"])).status, 200);
    lab.plane.apply(policyUpdate([]));
    assert.equal((await client.ask(get)).status, 200);
  });
});

const SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
const UPGRADE = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n";
const SETTINGS = "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n";

/** Answers with what it has seen. */
async function mirror(version: 1 | 2): Promise<Peer> {
  const made = await peer(version, (request, response) => {
    response.setHeader("x-seen", Object.keys(request.headers).join());
    response.setHeader("x-line", `${request.httpVersion} ${request.method} ${request.url}`);
    response.end(`${request.httpVersion} ${request.method} ${request.url}`);
  });
  closers.push(made.close);
  return made;
}

describe("Upgrade: h2c", () => {
  it("is answered by the proxy itself; the request is stream 1, and more follow", async () => {
    for (const [version, options] of [
      [1, { protocol: "http" }],
      [2, { protocol: "http2" }],
      // What only offers to change its version does not know what the endpoint speaks.
      [1, {}],
    ] as const) {
      const { port } = await mirror(version);
      const lab = await labFor(port, options);
      const socket = await plainSocket(lab.port);
      closers.push(() => void socket.destroy());
      socket.write(`GET /first?x=1 HTTP/1.1\r\nHost: web\r\nX-Own: 1\r\n${UPGRADE}${SETTINGS}\r\n`);
      const frames = new FramePeer(socket, SWITCHING);
      const first = await frames.until(/^headers 1 /);
      const shown = version === 1 ? "1.1" : "2.0";
      assert.match(first, /^headers 1 :status=200 /);
      assert.ok(first.includes(`x-line=${shown} GET /first?x=1`), first);
      assert.match(first, /x-seen=[^ ]*x-own/);
      assert.doesNotMatch(first, /x-seen=[^ ]*(?:upgrade|http2-settings|connection)/);
      await frames.until(/^data 1 \d+ last/);
      const get = [":method", "GET", ":scheme", "http", ":path", "/next", ":authority", "web"];
      frames.send(Buffer.from(CLIENT_PREFACE, "latin1"), settings(), headers(3, get));
      assert.ok((await frames.until(/^headers 3 /)).includes(`x-line=${shown} GET /next`));
      assert.equal(lab.plane.stats().connections, 1);
      socket.destroy();
      await until(() => lab.plane.stats().connections === 0);
    }
  });

  it("goes on with curl", async () => {
    const { port } = await mirror(1);
    const lab = await labFor(port);
    const curl = async (...args: string[]) => {
      const base = ["-s", "--max-time", "10", "-H", "host: web", "--http2", ...args];
      return (await promisify(execFile)("curl", base)).stdout;
    };
    const url = `http://127.0.0.1:${lab.port}`;
    const both = await curl("-w", "%{http_version}\n", `${url}/one`, `${url}/two`);
    assert.equal(both, "1.1 GET /one2\n1.1 GET /two2\n");
    // Its content comes with the offer, which is therefore not taken up.
    assert.equal(
      await curl("-w", "%{http_version}", "-d", "x=1", `${url}/post`),
      "1.1 POST /post1.1",
    );
    assert.equal(lab.facts.length, 3);
  });

  it("is ignored where it is not what it must be, and never goes to the endpoint", async () => {
    const { port } = await mirror(1);
    const lab = await labFor(port);
    const wrong: readonly [why: string, head: string, body?: string][] = [
      ["no settings", UPGRADE],
      ["two of them", UPGRADE + SETTINGS + SETTINGS],
      ["no base64url", `${UPGRADE}HTTP2-Settings: AAMA*\r\n`],
      ["half a setting", `${UPGRADE}HTTP2-Settings: AAMAAA\r\n`],
      [
        "settings that Connection does not name",
        `Connection: Upgrade\r\nUpgrade: h2c\r\n${SETTINGS}`,
      ],
      ["the token of TLS", UPGRADE.replace("h2c", "h2") + SETTINGS],
      ["a body", `${UPGRADE}${SETTINGS}Content-Length: 2\r\n`, "ab"],
      ["a body in chunks", `${UPGRADE}${SETTINGS}Transfer-Encoding: chunked\r\n`, "0\r\n\r\n"],
      ["a connection that ends", UPGRADE.replace("Upgrade,", "close, Upgrade,") + SETTINGS],
    ];
    for (const [why, head, body = ""] of wrong) {
      const client = await RawClient.open(lab.port);
      client.send(`POST /x HTTP/1.1\r\nHost: web\r\n${head}\r\n${body}`);
      const answer = await client.until(/1\.1 POST \/x/);
      assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/, why);
      if (!head.includes("h2\r\n")) assert.doesNotMatch(answer, /"upgrade"/, why);
      client.close();
    }
  });

  it("loses nothing of a client that does not wait for the 101", async () => {
    const { port } = await mirror(1);
    const lab = await labFor(port);
    const client = await RawClient.open(lab.port);
    closers.push(() => client.close());
    const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const ping = "\x00\x00\x08\x06\x00\x00\x00\x00\x00abcdefgh";
    const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    client.send(
      `GET / HTTP/1.1\r\nHost: web\r\n${UPGRADE}${SETTINGS}\r\n${preface}${settings}${ping}`,
    );
    await client.until(/^HTTP\/1\.1 101 /);
    await client.until("\x06\x01\x00\x00\x00\x00abcdefgh");
    await client.until("1.1 GET /");
  });
});

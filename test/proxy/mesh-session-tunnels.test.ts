import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { connect as connectHttp2, type OutgoingHttpHeaders } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import type { Policy } from "../../src/core/policy.ts";
import { CONNECT_ERROR, PROTOCOL_ERROR } from "../../src/http/h2/codes.ts";
import { peer } from "../helpers/h2-peers.ts";
import {
  CALLER,
  endOf,
  type MeshClient,
  type MeshHost,
  meshHost,
  OTHER,
  tcpServer,
} from "../helpers/mesh-streams.ts";
import { policyUpdate, service } from "../helpers/plane.ts";
import { until } from "../helpers/until.ts";

interface Stage {
  readonly host: MeshHost;
  readonly client: MeshClient;
  readonly place: string;
  readonly sockets: Socket[];
}

/** A server of TCP behind the mesh port, and a caller with one connection to that. */
async function stage(
  t: TestContext,
  serve: (socket: Socket) => void = (socket) => void socket.pipe(socket),
): Promise<Stage> {
  const { port, sockets } = await tcpServer(t, serve);
  const host = await meshHost(t);
  host.lab.services(service("web", [host.endpoint(port)], { protocol: "tcp" }));
  return { host, client: await host.client(), place: `127.0.0.1:${port}`, sockets };
}

function denyCallers(from: {
  readonly ipBlocks?: string[];
  readonly principals?: string[];
}): Policy {
  const base = { kind: "authorization", createdMs: 0, dryRun: false, action: "deny" } as const;
  const scope = { namespace: "default", labels: {} };
  const source = "AuthorizationPolicy default/deny";
  return { ...base, source, scope, rules: [{ from: [from], to: [], when: [] }] };
}

const DENY_CALLER = denyCallers({ principals: [CALLER.replace("spiffe://", "")] });

describe("HBONE's CONNECT by a stream", () => {
  test("carries bytes both ways, and the end of each direction by itself", async (t) => {
    const { client, host, place } = await stage(t);
    const { stream, status } = await client.tunnel(place, {
      forwarded: 'for="10.0.0.9:4711"',
      baggage: "k8s.namespace.name=default",
    });
    assert.equal(status, 200);
    const end = endOf(stream);
    const sent = Buffer.alloc(1_000_000, "x");
    stream.write(sent);
    stream.end("last");
    const { body, code } = await end;
    assert.equal(body.length, sent.length + 4);
    assert.equal(code, 0);
    await until(() => host.lab.facts.length === 1);
    const [facts] = host.lab.facts;
    assert.deepEqual(
      [facts?.entry, facts?.protocol, facts?.error, facts?.requestBytes],
      ["mesh", "tcp", null, sent.length + 4],
    );
    assert.equal(facts?.source?.key, "default/caller");
  });

  test("goes on in the one direction when the server has ended the other", async (t) => {
    let got = "";
    const { client, place, sockets } = await stage(t, (socket) => {
      socket.end("all I have");
      socket.on("data", (part) => {
        got += part;
      });
    });
    const { stream } = await client.tunnel(place);
    stream.setEncoding("utf8");
    let said = "";
    stream.on("data", (part) => {
      said += part;
    });
    await once(stream, "end");
    assert.equal(said, "all I have");
    stream.end("still here");
    await until(() => got === "still here" && sockets[0]?.readableEnded === true);
  });

  test("carries what its caller has sent before it was answered, and its end", async (t) => {
    const { client, place } = await stage(t);
    const headers = { ":method": "CONNECT", ":authority": place };
    const stream = client.open(headers, false);
    const end = endOf(stream);
    stream.end("in a hurry");
    const { body, status } = await end;
    assert.equal(status, 200);
    assert.equal(body.toString(), "in a hurry");
    const silent = await endOf(client.open(headers, true));
    assert.deepEqual([silent.status, silent.body.length, silent.code], [200, 0, 0]);
  });

  test("tells each end that the other has broken it off", async (t) => {
    const { client, place, sockets } = await stage(t);
    const first = await client.tunnel(place);
    first.stream.write("x");
    await once(first.stream, "data");
    const end = endOf(first.stream);
    sockets[0]?.resetAndDestroy();
    assert.equal((await end).code, CONNECT_ERROR);
    const second = await client.tunnel(place);
    second.stream.write("x");
    await once(second.stream, "data");
    const broken = once(sockets[1] as Socket, "error");
    client.socket.destroy();
    const [error] = await broken;
    assert.equal(error.code, "ECONNRESET");
  });

  test("is 400 where it asks for what is not here", async (t) => {
    const { client, host, place } = await stage(t);
    const foreign = await tcpServer(t, () => undefined);
    host.lab.services(
      service("web", [host.endpoint(Number(place.split(":")[1]))]),
      service("other", [host.endpoint(foreign.port, { identity: OTHER })]),
    );
    const asked = [
      ["127.0.0.1:1", {}],
      ["10.9.9.9:80", {}],
      ["web.default.svc.cluster.local:80", {}],
      [place.replace("127.0.0.1", "0127.0.0.1"), {}],
      [`127.0.0.1:${foreign.port}`, {}],
      [place, { forwarded: "for=unknown" }],
      [place, { forwarded: ['for="10.0.0.1"', 'for="10.0.0.2"'] }],
    ] as [string, OutgoingHttpHeaders][];
    for (const [authority, more] of asked) {
      const stream = client.open({ ":method": "CONNECT", ":authority": authority, ...more }, true);
      const { status, headers, body, code } = await endOf(stream);
      assert.equal(status, 400, authority);
      assert.ok(String(headers["x-hostmesh-error"]).length > 3);
      assert.deepEqual([body.length, code], [0, 0], authority);
    }
    assert.equal(foreign.sockets.length, 0, "a certificate for one does not open another");
    assert.equal((await client.tunnel(place)).status, 200, "the connection goes on");
  });

  test("is 401 where a policy forbids it, and nothing is connected", async (t) => {
    const { client, host, place, sockets } = await stage(t);
    host.lab.plane.apply(policyUpdate([denyCallers({ ipBlocks: ["10.0.0.2/32"] })]));
    const denied = await client.tunnel(place, { forwarded: 'for="10.0.0.2:1"' });
    assert.equal(denied.status, 401);
    assert.match(String(denied.headers["x-hostmesh-error"]), /AuthorizationPolicy default\/deny/);
    assert.equal(sockets.length, 0);
    assert.equal((await client.tunnel(place, { forwarded: 'for="10.0.0.3:1"' })).status, 200);
    assert.equal(host.lab.facts[0]?.error, "ACCESS_DENIED");
  });

  test("is 503 where the endpoint cannot be reached", async (t) => {
    const host = await meshHost(t);
    const { port } = await tcpServer(t, () => undefined);
    host.lab.services(service("web", [host.endpoint(1)], { protocol: "tcp" }));
    const client = await host.client();
    const { status, headers } = await client.tunnel("127.0.0.1:1");
    assert.equal(status, 503);
    assert.match(String(headers["x-hostmesh-error"]), /127\.0\.0\.1:1/);
    assert.notEqual(port, 1);
  });

  test("outlives the malformed requests of other streams", async (t) => {
    const { client, place } = await stage(t);
    const headers = { ":method": "CONNECT", ":authority": place };
    const kept = await client.tunnel(place);
    const bad = client.open({ ":method": "GET", ":path": "/x y", ":authority": "a" }, true);
    assert.equal((await endOf(bad)).code, PROTOCOL_ERROR);
    kept.stream.write("x");
    assert.equal(String((await once(kept.stream, "data"))[0]), "x");
    assert.equal((await client.tunnel(place, headers)).status, 200);
  });

  test("ends the dial of a caller that goes away before it is answered", async (t) => {
    const { client, host, place } = await stage(t);
    const stream = client.open({ ":method": "CONNECT", ":authority": place }, false);
    stream.close(8);
    await once(stream, "close");
    await until(() => host.lab.plane.stats().connections === 1);
    assert.equal((await client.tunnel(place)).status, 200);
  });

  test("is one of very many on the one connection", async (t) => {
    const { client, host, place } = await stage(t);
    const all = Array.from({ length: 200 }, async (_, at) => {
      const { stream } = await client.tunnel(place, { forwarded: `for="10.0.0.${at % 9}:1"` });
      const end = endOf(stream);
      stream.end(`tunnel ${at}`);
      return (await end).body.toString();
    });
    for (const [at, text] of (await Promise.all(all)).entries()) assert.equal(text, `tunnel ${at}`);
    assert.equal(host.lab.plane.stats().connections, 1);
  });

  test("does not hold up others when its server does not read", async (t) => {
    const { client, place, sockets } = await stage(t, (socket) => void socket.pause());
    const { stream } = await client.tunnel(place);
    stream.write(Buffer.alloc(4_000_000));
    await until(() => sockets.length === 1);
    const others = await client.tunnel(place);
    const second = sockets[1];
    assert.ok(second);
    second.pipe(second);
    for (let count = 0; count < 50; count++) {
      others.stream.write("small");
      assert.equal(String((await once(others.stream, "data"))[0]), "small");
    }
    let bytes = 0;
    sockets[0]?.on("data", (part) => {
      bytes += part.length;
    });
    sockets[0]?.resume();
    await until(() => bytes === 4_000_000);
  });
});

describe("requests within a CONNECT by a stream", () => {
  async function web(t: TestContext): Promise<Stage & { seen: IncomingHttpHeaders[] }> {
    const seen: IncomingHttpHeaders[] = [];
    const server = createServer((incoming, response) => {
      seen.push(incoming.headers);
      response.end(`${incoming.method} ${incoming.url}`);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    const { port } = server.address() as AddressInfo;
    const host = await meshHost(t);
    host.lab.services(service("web", [host.endpoint(port)]));
    const place = `127.0.0.1:${port}`;
    return { host, client: await host.client(), place, sockets: [], seen };
  }

  test("are found, judged one by one, and cannot say who sends them", async (t) => {
    const { client, host, place, seen } = await web(t);
    const paths: Policy = {
      ...denyCallers({}),
      rules: [{ from: [], to: [{ paths: ["/secret"] }], when: [] }],
    } as Policy;
    const { stream, status } = await client.tunnel(place);
    assert.equal(status, 200);
    stream.setEncoding("latin1");
    let text = "";
    stream.on("data", (part) => {
      text += part;
    });
    const rest = "HTTP/1.1\r\nHost: web\r\nX-Forwarded-Client-Cert: URI=forged\r\n\r\n";
    stream.write("GET /o");
    await new Promise(setImmediate);
    stream.write(`pen ${rest}`);
    await until(() => text.includes("GET /open"));
    assert.match(String(seen[0]?.["x-forwarded-client-cert"]), new RegExp(`URI=${CALLER}$`));
    host.lab.plane.apply(policyUpdate([paths]));
    stream.write(`GET /secret ${rest}`);
    await until(() => / 403 /.test(text));
    assert.equal(seen.length, 1);
  });

  test("may be HTTP/2", async (t) => {
    const server = await peer(2, (incoming, response) => {
      response.setHeader("x-seen", String(incoming.headers["x-forwarded-client-cert"]));
      incoming.on("data", (part: Buffer) => response.write(part));
      incoming.on("end", () => response.end());
    });
    t.after(() => server.close());
    const host = await meshHost(t);
    host.lab.services(service("web", [host.endpoint(server.port)], { protocol: "grpc" }));
    const client = await host.client();
    const { stream, status } = await client.tunnel(`127.0.0.1:${server.port}`);
    assert.equal(status, 200);
    const inner = connectHttp2("http://web", { createConnection: () => stream });
    t.after(() => inner.destroy());
    inner.on("error", () => undefined);
    const bodies = Array.from({ length: 40 }, (_, at) => Buffer.alloc(at * 10_000, at));
    const all = bodies.map(async (body, at) => {
      const headers = { ":method": "POST", ":path": `/${at}`, "x-forwarded-client-cert": "forged" };
      const one = inner.request(headers);
      one.on("error", () => undefined);
      const end = endOf(one);
      one.end(body);
      return end;
    });
    for (const [at, got] of (await Promise.all(all)).entries()) {
      assert.equal(got.status, 200, String(at));
      assert.ok(got.body.equals(bodies[at] as Buffer), String(at));
      assert.match(String(got.headers["x-seen"]), new RegExp(`URI=${CALLER}$`));
    }
    inner.close();
    await once(stream, "close");
    host.lab.plane.apply(policyUpdate([DENY_CALLER]));
    assert.equal((await client.tunnel(`127.0.0.1:${server.port}`)).status, 401);
  });
});

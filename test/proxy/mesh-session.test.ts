import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { describe, type TestContext, test } from "node:test";
import type { AppProtocol } from "../../src/core/model.ts";
import type { Policy } from "../../src/core/policy.ts";
import { SETTINGS_MESH_REQUESTS } from "../../src/http/h2/mesh-wire.ts";
import { websocketAccept } from "../../src/http/h2/websocket-key.ts";
import { type Answer, type Peer, peer } from "../helpers/h2-peers.ts";
import {
  CALLER,
  endOf,
  type MeshClient,
  type MeshHost,
  meshHost,
  tcpServer,
  toEndpoint,
} from "../helpers/mesh-streams.ts";
import { policyUpdate, service } from "../helpers/plane.ts";
import { until } from "../helpers/until.ts";

interface Stage {
  readonly host: MeshHost;
  readonly server: Peer;
  readonly client: MeshClient;
}

/** A server behind the mesh port, and a caller with one connection to that. */
async function stage(
  t: TestContext,
  version: 1 | 2,
  answer: Answer,
  protocol?: AppProtocol,
): Promise<Stage> {
  const server = await peer(version, answer);
  t.after(() => server.close());
  const host = await meshHost(t);
  const declared = protocol === undefined ? {} : { protocol };
  host.lab.services(service("web", [host.endpoint(server.port)], declared));
  return { host, server, client: await host.client() };
}

/** Says what it has seen, and sends the content back. */
const ECHO: Answer = (incoming, response) => {
  response.setHeader("x-version", incoming.httpVersion);
  response.setHeader("x-seen", JSON.stringify(incoming.headers));
  incoming.on("data", (part: Buffer) => response.write(part));
  incoming.on("end", () => response.end());
};

const seenIn = (headers: Record<string, unknown>) =>
  JSON.parse(String(headers["x-seen"])) as Record<string, string>;

function authorization(
  action: "allow" | "deny",
  from: { readonly ipBlocks?: string[]; readonly principals?: string[] },
): Policy {
  const base = { kind: "authorization", createdMs: 0, dryRun: false } as const;
  const scope = { namespace: "default", labels: {} };
  const source = `AuthorizationPolicy default/${action}`;
  return { ...base, action, source, scope, rules: [{ from: [from], to: [], when: [] }] };
}

describe("requests by streams of another host", () => {
  test("are announced in the settings", async (t) => {
    const { client } = await stage(t, 1, ECHO);
    await once(client.session, "remoteSettings");
    const { customSettings, maxConcurrentStreams, enableConnectProtocol } =
      client.session.remoteSettings;
    assert.deepEqual(customSettings, { [SETTINGS_MESH_REQUESTS]: 1 });
    assert.equal(maxConcurrentStreams, 1_000);
    assert.equal(enableConnectProtocol, true);
  });

  test("go to the endpoint that they name, for the client that they name", async (t) => {
    const { client, host, server } = await stage(t, 1, ECHO);
    const got = await client.ask(
      { ...toEndpoint(server.port), ":method": "POST", "x-forwarded-client-cert": "URI=forged" },
      "abc",
    );
    assert.equal(got.status, 200);
    assert.equal(got.body.toString(), "abc");
    const seen = seenIn(got.headers);
    assert.match(seen["x-forwarded-client-cert"] ?? "", new RegExp(`URI=${CALLER}$`));
    assert.deepEqual(
      Object.keys(seen).filter((name) => name.startsWith("x-hostmesh")),
      [],
      "what is between hosts is not for the application",
    );
    await until(() => host.lab.facts.length === 1);
    const [facts] = host.lab.facts;
    assert.equal(facts?.entry, "mesh");
    assert.equal(facts?.source?.key, "default/caller");
    assert.equal(facts?.error, null);
  });

  const versions = [
    ["http/1.1", 1, undefined, "1.1"],
    ["h2", 2, undefined, "2.0"],
    ["http/1.1", 2, "grpc", "2.0"],
    ["h2", 1, "http", "1.1"],
  ] as const;
  for (const [protocol, version, declared, expected] of versions) {
    test(`that say ${protocol} of a service that says ${declared} are HTTP/${expected}`, async (t) => {
      const { client, server } = await stage(t, version, ECHO, declared);
      const got = await client.ask(toEndpoint(server.port, { protocol }));
      assert.equal(got.headers["x-version"], expected);
    });
  }

  test("share one connection, however many there are, of both versions", async (t) => {
    const { client, host, server } = await stage(t, 1, ECHO);
    const second = await peer(2, ECHO);
    t.after(() => second.close());
    host.lab.services(
      service("web", [host.endpoint(server.port)]),
      service("h2", [host.endpoint(second.port)], { protocol: "http2" }),
    );
    const bodies = Array.from({ length: 300 }, (_, at) => randomBytes(1 + at * 40));
    const all = bodies.map((body, at) => {
      const port = at % 2 === 0 ? server.port : second.port;
      const target = toEndpoint(port, { client: `10.0.0.${at % 7}` });
      return client.ask({ ...target, ":method": "POST" }, body);
    });
    for (const [at, got] of (await Promise.all(all)).entries()) {
      assert.equal(got.status, 200, String(at));
      assert.ok(got.body.equals(bodies[at] as Buffer), String(at));
    }
    assert.equal(host.lab.plane.stats().connections, 1);
    assert.equal(host.lab.facts.filter(({ error }) => error === null).length, 300);
  });

  test("are judged by the client of each", async (t) => {
    const { client, host, server } = await stage(t, 1, ECHO);
    host.lab.plane.apply(policyUpdate([authorization("deny", { ipBlocks: ["10.0.0.2/32"] })]));
    const clients = ["10.0.0.1", "10.0.0.2", "10.0.0.1", "::ffff:10.0.0.2", "fd00::2"];
    const ask = (one: string) => client.ask(toEndpoint(server.port, { client: one }));
    const got = await Promise.all(clients.map(ask));
    assert.deepEqual(
      got.map(({ status }) => status),
      [200, 403, 200, 403, 200],
    );
  });

  test("are judged by the certificate of the connection", async (t) => {
    const { client, host, server } = await stage(t, 1, ECHO);
    host.lab.plane.apply(
      policyUpdate([authorization("allow", { principals: [CALLER.replace("spiffe://", "")] })]),
    );
    assert.equal((await client.ask(toEndpoint(server.port))).status, 200);
    const other = await host.client("spiffe://cluster.local/ns/default/sa/nobody");
    const got = await other.ask({
      ...toEndpoint(server.port),
      "x-forwarded-client-cert": `URI=${CALLER}`,
    });
    assert.equal(got.status, 403);
  });

  test("may open a WebSocket", async (t) => {
    const { client, host } = await stage(t, 1, ECHO);
    const { port } = await tcpServer(t, (socket) => {
      socket.once("data", (head) => {
        const [, key = ""] = /^sec-websocket-key: (.*)\r$/im.exec(String(head)) ?? [];
        const accept = websocketAccept(`GET / HTTP/1.1\r\nSec-WebSocket-Key: ${key}\r\n\r\n`);
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
        );
        socket.pipe(socket);
      });
    });
    host.lab.services(service("web", [host.endpoint(port)]));
    const upgrade = { ":method": "CONNECT", ":protocol": "websocket" };
    const stream = client.open({ ...toEndpoint(port), ...upgrade }, false);
    const end = endOf(stream);
    await once(stream, "response");
    stream.end("frames");
    const { status, body } = await end;
    assert.deepEqual([status, body.toString()], [200, "frames"]);
  });

  test("whose client is slow to read do not hold up others", async (t) => {
    const whole = randomBytes(3_000_000);
    const { client, server } = await stage(t, 1, (incoming, response) => {
      response.end(incoming.url === "/large" ? whole : "small");
    });
    const large = client.open({ ...toEndpoint(server.port), ":path": "/large" }, true);
    await once(large, "response");
    large.pause();
    for (let count = 0; count < 50; count++) {
      assert.equal((await client.ask(toEndpoint(server.port))).body.toString(), "small");
    }
    const parts: Buffer[] = [];
    large.on("data", (part: Buffer) => parts.push(part));
    large.resume();
    await once(large, "end");
    assert.ok(Buffer.concat(parts).equals(whole));
  });

  test("whose application is slow to read do not hold up others", async (t) => {
    let bytes = 0;
    let goOn = () => {};
    const { client, server } = await stage(t, 1, (incoming, response) => {
      if (incoming.url === "/slow") {
        goOn = () => incoming.resume();
        incoming.on("end", () => response.end("taken"));
        incoming.on("data", (part: Buffer) => {
          bytes += part.length;
        });
        incoming.pause();
      } else response.end("small");
    });
    const slow = client.open(
      { ...toEndpoint(server.port), ":method": "POST", ":path": "/slow" },
      false,
    );
    slow.end(Buffer.alloc(4_000_000));
    for (let count = 0; count < 50; count++) {
      const got = await client.ask(toEndpoint(server.port));
      assert.equal(got.body.toString(), "small", JSON.stringify([got.status, got.code, count]));
    }
    goOn();
    slow.resume();
    await once(slow, "end");
    assert.equal(bytes, 4_000_000);
  });
});

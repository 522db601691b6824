import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { request } from "node:http";
import { describe, type TestContext, test } from "node:test";
import type { AppProtocol } from "../../src/core/model.ts";
import { type Answer, Http2Client, type Peer, peer } from "../helpers/h2-peers.ts";
import { credentialsOf, issue, newAuthority, spiffe } from "../helpers/mesh-lab.ts";
import { endpoint, type PlaneLab, planeLab, service } from "../helpers/plane.ts";
import { until } from "../helpers/until.ts";

const WEB = spiffe("web");
const HOST_A = "spiffe://cluster.local/ns/hostmesh-hosts/sa/node-a";
const GET = { ":path": "/", ":authority": "web" };

interface TwoHosts {
  readonly a: PlaneLab;
  readonly b: PlaneLab;
  readonly server: Peer;
  readonly client: Http2Client;
}

/** A data plane that dials and one that is dialled, with mutual TLS between them, and a server behind the second. */
async function twoHosts(
  t: TestContext,
  version: 1 | 2,
  answer: Answer,
  protocol?: AppProtocol,
): Promise<TwoHosts> {
  const server = await peer(version, answer);
  t.after(() => server.close());
  const authority = newAuthority();
  const b = await planeLab({ config: { host: "node-b" } });
  t.after(() => b.close());
  const mesh = await b.plane.listen({
    ...{ entry: "mesh", host: "127.0.0.1", port: 0, reusePort: false },
  });
  b.plane.setCredentials(credentialsOf([authority], [issue(authority, WEB)]));
  const declared = protocol === undefined ? {} : { protocol };
  b.services(service("web", [endpoint(server.port, { identity: WEB })], declared));
  const a = await planeLab({ config: { host: "node-a" } });
  t.after(() => a.close());
  a.plane.setCredentials(credentialsOf([authority], [issue(authority, HOST_A)]));
  const place = { local: false, host: "node-b", identity: WEB };
  const remote = endpoint(server.port, {
    ...place,
    mesh: { host: "127.0.0.1", port: mesh.port },
  });
  a.services(service("web", [remote], declared));
  const client = new Http2Client(a.port);
  t.after(() => client.close());
  return { a, b, server, client };
}

const ECHO: Answer = (incoming, response) => {
  response.setHeader("x-caller", String(incoming.headers["x-forwarded-client-cert"] ?? ""));
  response.setHeader("x-version", incoming.httpVersion);
  incoming.on("end", () => {
    response.addTrailers({ "x-sum": incoming.trailers["x-sum"] ?? "none" });
    response.end();
  });
  incoming.on("data", (part: Buffer) => response.write(part));
};

describe("HTTP/2 between hosts", () => {
  for (const protocol of [undefined, "grpc"] as const) {
    test(`streams of one client share a connection to the other host: ${protocol}`, async (t) => {
      const { client, a, b, server } = await twoHosts(t, 2, ECHO, protocol);
      const bodies = Array.from({ length: 200 }, (_, at) => randomBytes(1 + at * 50));
      const all = bodies.map((body, at) =>
        client.ask({ ...GET, ":method": "POST", te: "trailers" }, [body], { "x-sum": `${at}` }),
      );
      for (const [at, got] of (await Promise.all(all)).entries()) {
        assert.ok(got.body.equals(bodies[at] as Buffer), String(at));
        assert.equal(got.trailers["x-sum"], String(at));
        assert.equal(got.headers["x-version"], "2.0");
        assert.match(String(got.headers["x-caller"]), /node-a/);
      }
      await until(() => a.facts.length === 200 && b.facts.length === 200);
      assert.ok(b.plane.stats().connections <= 4, `${b.plane.stats().connections} from host A`);
      assert.ok(server.opened() <= 4, `${server.opened()} to the server`);
      assert.ok(b.facts.every(({ status, error }) => status === 200 && error === null));
    });
  }

  test("a server of HTTP/1.1 there is spoken to in its own version", async (t) => {
    const { client } = await twoHosts(t, 1, ECHO, "http");
    const got = await client.ask({ ...GET, ":method": "POST" }, ["abc"]);
    assert.equal(got.headers["x-version"], "1.1");
    assert.equal(got.body.toString(), "abc");
  });

  test("so is one of HTTP/2, by clients of HTTP/1.1", async (t) => {
    const { a } = await twoHosts(t, 2, ECHO, "http2");
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const headers = { host: "web" };
    request({ port: a.port, host: "127.0.0.1", headers }, (response) => {
      response.resume();
      response.on("end", () => resolve(String(response.headers["x-version"])));
    })
      .on("error", reject)
      .end();
    assert.equal(await promise, "2.0");
  });

  test("a connection that breaks between hosts fails what is under way, and nothing more", async (t) => {
    const held: (() => void)[] = [];
    const { client, b } = await twoHosts(t, 2, (_incoming, response) => {
      held.push(() => response.end("late"));
    });
    const late = client.ask({ ...GET, ":method": "POST" }, ["x"]);
    await until(() => held.length === 1);
    await b.plane.drain(0);
    const got = await late;
    assert.equal(got.status, 502);
    assert.match(String(got.headers["x-hostmesh-error"]), /^UPSTREAM_|^MESH_|^CONNECT_/);
    const next = await client.ask(GET);
    assert.ok(next.status >= 500, "the other host is gone");
  });
});

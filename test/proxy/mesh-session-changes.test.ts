import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { describe, type TestContext, test } from "node:test";
import type { Policy } from "../../src/core/policy.ts";
import { NO_ERROR, REFUSED_STREAM } from "../../src/http/h2/codes.ts";
import { peer } from "../helpers/h2-peers.ts";
import { credentialsOf, issue, newAuthority } from "../helpers/mesh-lab.ts";
import {
  CALLER,
  endOf,
  type MeshClient,
  type MeshHost,
  meshHost,
  OTHER,
  tcpServer,
  toEndpoint,
  WEB,
} from "../helpers/mesh-streams.ts";
import { policyUpdate, service } from "../helpers/plane.ts";
import { until } from "../helpers/until.ts";

interface Stage {
  readonly host: MeshHost;
  readonly client: MeshClient;
  /** Of the server of HTTP. */
  readonly web: number;
  /** Of the server of TCP, which sends back what it gets. */
  readonly tcp: number;
  /** Answers to /slow, which have begun. */
  readonly slow: ServerResponse<IncomingMessage>[];
}

/** Two endpoints of one identity, and a caller with one connection to their host. */
async function stage(t: TestContext): Promise<Stage> {
  const slow: ServerResponse<IncomingMessage>[] = [];
  const server = await peer(1, (incoming, response) => {
    if (incoming.url !== "/slow") response.end("here");
    else {
      response.write("begun, ");
      slow.push(response as never);
    }
  });
  t.after(() => server.close());
  const echo = await tcpServer(t, (socket) => void socket.pipe(socket));
  const host = await meshHost(t);
  const parts = { host, web: server.port, tcp: echo.port, slow };
  register(parts);
  return { ...parts, client: await host.client() };
}

/** Both endpoints; `owner` has the one of HTTP. */
function register({ host, web, tcp }: Omit<Stage, "client">, owner = WEB): void {
  host.lab.services(
    service("web", [host.endpoint(web, { identity: owner })]),
    service("tcp", [host.endpoint(tcp)], { protocol: "tcp" }),
  );
}

const DENY_CALLER: Policy = {
  ...{ kind: "authorization", createdMs: 0, dryRun: false, action: "deny" },
  source: "AuthorizationPolicy default/deny",
  scope: { namespace: "default", labels: {} },
  rules: [{ from: [{ principals: [CALLER.replace("spiffe://", "")] }], to: [], when: [] }],
};

async function openTunnel({ client, tcp }: Stage) {
  const { stream, status } = await client.tunnel(`127.0.0.1:${tcp}`);
  assert.equal(status, 200);
  stream.write("x");
  await once(stream, "data");
  return { stream, end: endOf(stream) };
}

async function beginSlow({ client, web, slow }: Stage) {
  const stream = client.open({ ...toEndpoint(web), ":path": "/slow" }, true);
  const end = endOf(stream);
  await once(stream, "response");
  return { end, response: slow.at(-1) as ServerResponse<IncomingMessage> };
}

describe("a change while streams of another host are served", () => {
  test("of policies ends what they forbid, and nothing else", async (t) => {
    const all = await stage(t);
    const other = await all.host.client("spiffe://cluster.local/ns/default/sa/somebody");
    const kept = await openTunnel({ ...all, client: other });
    const tunnel = await openTunnel(all);
    const request = await beginSlow(all);
    all.host.lab.plane.apply(policyUpdate([DENY_CALLER]));
    assert.notEqual((await tunnel.end).code, NO_ERROR);
    assert.notEqual((await request.end).code, NO_ERROR);
    assert.equal((await all.client.ask(toEndpoint(all.web))).status, 403);
    assert.equal((await all.client.tunnel(`127.0.0.1:${all.tcp}`)).status, 401);
    kept.stream.end("still");
    assert.equal((await kept.end).body.toString(), "still");
    assert.equal(all.client.session.closed, false, "the connection itself goes on");
  });

  test("of an endpoint's owner ends that endpoint's streams only", async (t) => {
    const all = await stage(t);
    const tunnel = await openTunnel(all);
    const request = await beginSlow(all);
    register(all, OTHER);
    assert.notEqual((await request.end).code, NO_ERROR);
    const late = await all.client.ask(toEndpoint(all.web));
    assert.deepEqual([late.status, late.code], [0, REFUSED_STREAM], "safe to send elsewhere");
    await until(() => all.host.lab.facts.at(-1)?.error === "NO_ROUTE");
    tunnel.stream.end("still");
    assert.equal((await tunnel.end).body.toString(), "still");
    register(all);
    assert.equal((await all.client.ask(toEndpoint(all.web))).status, 200);
  });

  test("in which an endpoint leaves refuses what comes for it, in a way that is safe to repeat", async (t) => {
    const all = await stage(t);
    assert.equal((await all.client.ask(toEndpoint(all.web))).status, 200);
    all.host.lab.services(service("tcp", [all.host.endpoint(all.tcp)], { protocol: "tcp" }));
    for (const body of [undefined, "content"]) {
      const got = await all.client.ask({ ...toEndpoint(all.web), ":method": "POST" }, body);
      assert.deepEqual([got.status, got.code], [0, REFUSED_STREAM]);
    }
    assert.equal((await all.client.tunnel(`127.0.0.1:${all.web}`)).status, 400);
    assert.equal((await all.client.tunnel(`127.0.0.1:${all.tcp}`)).status, 200);
  });

  test("of authorities lets requests end well, and nothing come after them", async (t) => {
    const all = await stage(t);
    const tunnel = await openTunnel(all);
    const request = await beginSlow(all);
    const next = newAuthority("next");
    all.host.lab.plane.setCredentials(credentialsOf([next], [issue(next, WEB)], 2));
    // The caller has not heard of it yet.
    assert.equal((await all.client.ask(toEndpoint(all.web))).code, REFUSED_STREAM);
    assert.notEqual((await tunnel.end).code, NO_ERROR);
    await until(() => all.client.goaways.length > 0);
    request.response.end("and done");
    const { status, body, code } = await request.end;
    assert.deepEqual([status, body.toString(), code], [200, "begun, and done", NO_ERROR]);
    await until(() => all.host.lab.plane.stats().connections === 0);
  });

  test("of the certificate alone changes nothing", async (t) => {
    const all = await stage(t);
    const tunnel = await openTunnel(all);
    const { authority, lab } = all.host;
    lab.plane.setCredentials(credentialsOf([authority], [issue(authority, WEB)]));
    assert.equal((await all.client.ask(toEndpoint(all.web))).status, 200);
    tunnel.stream.end("y");
    assert.equal((await tunnel.end).body.toString(), "y");
  });
});

describe("a shutdown while streams of another host are served", () => {
  test("is announced by GOAWAY, and what has begun goes on", async (t) => {
    const all = await stage(t);
    const request = await beginSlow(all);
    const tunnel = await openTunnel(all);
    const over = all.host.lab.plane.drain(10_000);
    await until(() => all.client.goaways.length > 0);
    assert.equal(all.client.goaways[0], NO_ERROR);
    request.response.end("and done");
    assert.equal((await request.end).body.toString(), "begun, and done");
    tunnel.stream.end("and this");
    assert.equal((await tunnel.end).body.toString(), "and this");
    await over;
    await until(() => all.client.socket.destroyed);
  });

  test("ends at its deadline what is still there", async (t) => {
    const all = await stage(t);
    const request = await beginSlow(all);
    const tunnel = await openTunnel(all);
    await all.host.lab.plane.drain(100);
    assert.equal((await request.end).body.toString(), "begun, ");
    await tunnel.end;
    await until(() => all.host.lab.facts.length === 2);
    assert.deepEqual(all.host.lab.facts.map(({ protocol }) => protocol).sort(), ["http", "tcp"]);
  });
});

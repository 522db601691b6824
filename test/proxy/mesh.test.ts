import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, request, type ServerResponse } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net";
import { describe, type TestContext, test } from "node:test";
import type { ConfigInput } from "../../src/config/schema.ts";
import { processClock } from "../../src/core/clock.ts";
import type { Credentials } from "../../src/core/identity.ts";
import type { Policy, PolicyTarget } from "../../src/core/policy.ts";
import type { DataEndpoint, DataService, DataWorkload } from "../../src/core/snapshot.ts";
import type { Authority } from "../../src/identity/x509.ts";
import { credentialsOf, issue, newAuthority, spiffe } from "../helpers/mesh-lab.ts";
import {
  endpoint,
  type PlaneLab,
  planeLab,
  policyUpdate,
  service,
  workload,
} from "../helpers/plane.ts";
import { RawClient } from "../helpers/raw.ts";
import { until } from "../helpers/until.ts";

/** Two hosts: a data plane that dials and one that is dialled, with real TLS between them. */
const WEB = spiffe("web");
const OTHER = spiffe("other");
const HOST_A = "spiffe://cluster.local/ns/hostmesh-hosts/sa/node-a";

const target: PolicyTarget = {
  key: "default/web",
  namespace: "default",
  serviceAccount: "web",
  labels: {},
  services: ["web"],
  identity: WEB,
};

interface TwoHosts {
  readonly a: PlaneLab;
  readonly b: PlaneLab;
  readonly meshPort: number;
  readonly seen: IncomingHttpHeaders[];
  get(path?: string): Promise<{ status: number; body: string }>;
}

interface Options {
  readonly authority?: Authority;
  /** Of host A; default: its own identity, from the same authority. */
  readonly credentials?: Credentials | null | "pending";
  /** What host A believes of the endpoint. */
  readonly expected?: Partial<DataEndpoint>;
  readonly mtls?: "required";
  readonly config?: ConfigInput;
  readonly protocol?: "tcp";
  /** Host A calls everything opaque. */
  readonly opaqueCaller?: boolean;
  readonly greeting?: number;
  readonly workloads?: readonly DataWorkload[];
}

/** Responses to /slow, which end when a test says so. */
const slow: ServerResponse[] = [];

async function application(t: TestContext, seen: IncomingHttpHeaders[]): Promise<number> {
  const server = createServer((incoming, response) => {
    seen.push(incoming.headers);
    if (incoming.url !== "/slow") response.end("from b");
    else {
      response.write("from ");
      slow.push(response);
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.closeAllConnections());
  t.after(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Sends back what it gets, behind a greeting of so many bytes. */
async function echoServer(t: TestContext, greeting: number): Promise<number> {
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    if (greeting > 0) socket.write(Buffer.alloc(greeting, "g"));
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.close());
  return (server.address() as AddressInfo).port;
}

async function twoHosts(t: TestContext, options: Options = {}): Promise<TwoHosts> {
  const seen: IncomingHttpHeaders[] = [];
  const port =
    options.protocol === "tcp"
      ? await echoServer(t, options.greeting ?? 0)
      : await application(t, seen);
  const authority = options.authority ?? newAuthority();
  const b = await planeLab({ config: { host: "node-b" } });
  t.after(() => b.close());
  const { port: meshPort } = await b.plane.listen({
    ...{ entry: "mesh", host: "127.0.0.1", port: 0, reusePort: false },
  });
  b.plane.setCredentials(
    credentialsOf([authority], [issue(authority, WEB), issue(authority, OTHER)]),
  );
  const declared = options.protocol === undefined ? {} : { protocol: options.protocol };
  b.services(service("web", [endpoint(port, { identity: WEB, target })], declared));
  const captured = { of: () => ({ host: "127.0.0.1", port }) };
  const a = await planeLab({
    config: { host: "node-a", ...options.config },
    ...(options.workloads === undefined ? {} : { workloads: options.workloads }),
    ...(options.protocol === "tcp" || options.opaqueCaller ? { destination: captured } : {}),
  });
  t.after(() => a.close());
  const { credentials = credentialsOf([authority], [issue(authority, HOST_A)]) } = options;
  if (credentials !== "pending") a.plane.setCredentials(credentials);
  const remote = endpoint(port, {
    ...{ local: false, host: "node-b", identity: WEB, mesh: { host: "127.0.0.1", port: meshPort } },
    ...options.expected,
  });
  const believed = options.opaqueCaller ? { protocol: "tcp" as const } : declared;
  const known: DataService = service("web", [remote], believed);
  a.services(options.mtls === undefined ? known : { ...known, mtls: options.mtls });
  return { a, b, meshPort, seen, get: (path = "/") => ask(a.port, path) };
}

async function ask(port: number, path: string): Promise<{ status: number; body: string }> {
  const outgoing = request({ port, host: "127.0.0.1", path, headers: { host: "web" } });
  outgoing.end();
  const [response] = await once(outgoing, "response");
  let body = "";
  for await (const chunk of response) body += chunk;
  return { status: response.statusCode, body };
}

const scope = { namespace: "default", labels: {} };
const strict: Policy = {
  ...{ kind: "peer", source: "PeerAuthentication default/strict", createdMs: 0, scope },
  ...{ mode: "strict", ports: {} },
};

function denyFrom(principal: string): Policy {
  const rules = [{ from: [{ principals: [principal] }], to: [], when: [] }];
  const source = "AuthorizationPolicy default/deny";
  return {
    kind: "authorization",
    source,
    createdMs: 0,
    scope,
    action: "deny",
    dryRun: false,
    rules,
  };
}

function denyPath(path: string): Policy {
  const base = { kind: "authorization", createdMs: 0, dryRun: false, action: "deny" } as const;
  const rules = [{ from: [], to: [{ paths: [path] }], when: [] }];
  const scope = { namespace: "default", labels: {} };
  return { ...base, source: "AuthorizationPolicy default/path", scope, rules };
}

describe("requests to another host", () => {
  test("go by mutual TLS, and the application learns who calls", async (t) => {
    const mesh = await twoHosts(t);
    mesh.b.plane.apply(policyUpdate([strict]));
    assert.deepEqual(await mesh.get(), { status: 200, body: "from b" });
    assert.match(
      String(mesh.seen[0]?.["x-forwarded-client-cert"]),
      new RegExp(`^By=${WEB};Hash=[0-9a-f]{64};URI=${HOST_A}$`),
    );
    assert.equal(mesh.b.facts[0]?.entry, "mesh");
    for (const { facts } of [mesh.a, mesh.b]) assert.equal(facts[0]?.security, "mutual_tls");
    assert.equal(mesh.b.facts[0]?.source?.key, "hostmesh-hosts/node-a", "whom it is counted for");
    assert.equal(mesh.seen[0]?.["x-forwarded-for"], "127.0.0.1", "the client once");
    assert.equal(mesh.seen[0]?.via, "1.1 hostmesh, 2.0 hostmesh");
  });

  test("share a connection", async (t) => {
    const mesh = await twoHosts(t);
    for (let count = 0; count < 5; count++) assert.equal((await mesh.get()).status, 200);
    assert.equal(mesh.b.plane.stats().connections, 1);
  });

  test("are judged by the other host's policies, request by request", async (t) => {
    const mesh = await twoHosts(t);
    assert.equal((await mesh.get()).status, 200);
    mesh.b.plane.apply(policyUpdate([denyFrom(HOST_A.replace("spiffe://", ""))]));
    assert.equal((await mesh.get()).status, 403);
    assert.equal(mesh.b.facts.at(-1)?.error, "ACCESS_DENIED");
  });

  test("do not go to a host that proves another identity than the registry says", async (t) => {
    const mesh = await twoHosts(t, { expected: { identity: OTHER } });
    const { status, body } = await mesh.get();
    assert.equal(status, 502);
    // The certificate for OTHER is there, but the endpoint is not of that identity.
    assert.match(body, /UPSTREAM_REFUSED/);
    assert.equal(mesh.seen.length, 0);
  });

  test("wait for the certificate that is on its way, and do not leave in the clear", async (t) => {
    const authority = newAuthority();
    const mesh = await twoHosts(t, { authority, credentials: "pending" });
    const answer = mesh.get();
    await until(() => mesh.a.plane.stats().pending === 1);
    mesh.a.plane.setCredentials(credentialsOf([authority], []));
    assert.equal(mesh.seen.length, 0, "credentials that lack this caller's change nothing");
    mesh.a.plane.setCredentials(credentialsOf([authority], [issue(authority, HOST_A)]));
    assert.equal((await answer).status, 200);
  });

  test("go in the clear from a host without identity, unless the service demands mutual TLS", async (t) => {
    const open = await twoHosts(t, { credentials: null });
    assert.equal((await open.get()).status, 200);
    assert.equal(open.a.facts[0]?.security, "no_identity");
    assert.equal(open.b.facts.length, 0, "straight to the application");
    const demanding = await twoHosts(t, { credentials: null, mtls: "required" });
    const { status, body } = await demanding.get();
    assert.equal(status, 503);
    assert.match(body, /MTLS_UNAVAILABLE/);
    const offered = await twoHosts(t, { mtls: "required", expected: { mesh: undefined as never } });
    assert.match((await offered.get()).body, /MTLS_UNAVAILABLE.*node-b takes no mutual TLS/s);
  });

  test("of a caller without identity go in the clear, or nowhere", async (t) => {
    const workloads = [workload(0, "stranger", "127.0.0.1")];
    const open = await twoHosts(t, { workloads });
    assert.equal((await open.get()).status, 200);
    assert.equal(open.b.facts.length, 0, "straight to the application");
    const demanding = await twoHosts(t, { workloads, mtls: "required" });
    assert.match((await demanding.get()).body, /MTLS_UNAVAILABLE.*the caller has no identity/s);
  });

  test("fail where the other host's authority is a stranger's", async (t) => {
    const stranger = newAuthority("stranger");
    const own = credentialsOf([stranger], [issue(stranger, HOST_A)]);
    const mesh = await twoHosts(t, { credentials: own });
    const { status, body } = await mesh.get();
    assert.equal(status, 502);
    assert.match(body, /TLS_FAILED|IDENTITY_MISMATCH/);
  });

  test("an authority that is no longer trusted ends what it vouched for; its successor's go on", async (t) => {
    const [old, next] = [newAuthority("old"), newAuthority("next")];
    const mesh = await twoHosts(t, { authority: old });
    assert.equal((await mesh.get()).status, 200);
    const both = (issuer: Authority, ids: readonly string[]) =>
      credentialsOf(
        [old, next],
        ids.map((id) => issue(issuer, id)),
      );
    mesh.b.plane.setCredentials(both(next, [WEB]));
    mesh.a.plane.setCredentials(both(old, [HOST_A]));
    assert.equal((await mesh.get()).status, 200);
    mesh.a.plane.setCredentials(both(next, [HOST_A]));
    assert.equal((await mesh.get()).status, 200);
    assert.equal(mesh.b.plane.stats().connections, 1, "a renewal breaks nothing");
    const underWay = mesh.get("/slow");
    await until(() => slow.length === 1);
    mesh.a.plane.setCredentials(credentialsOf([next], [issue(next, HOST_A)], 2));
    mesh.b.plane.setCredentials(credentialsOf([next], [issue(next, WEB)], 2));
    slow[0]?.end("b");
    assert.deepEqual(
      await underWay,
      { status: 200, body: "from b" },
      "what is under way ends well",
    );
    await until(() => mesh.b.plane.stats().connections === 0);
    assert.equal((await mesh.get()).status, 200);
  });
});

describe("opaque connections to another host", () => {
  test("in which there are requests are judged like requests, whatever the caller's host calls them", async (t) => {
    const mesh = await twoHosts(t, { opaqueCaller: true });
    const client = await RawClient.open(mesh.a.port);
    t.after(() => client.close());
    const rest = "HTTP/1.1\r\nHost: web\r\nX-Forwarded-Client-Cert: URI=forged\r\n\r\n";
    client.send(`GET / ${rest.slice(0, 5)}`);
    await new Promise(setImmediate);
    client.send(`${rest.slice(5)}GET /again ${rest}`);
    await client.until(/200 OK[^]*200 OK/);
    mesh.b.plane.apply(policyUpdate([denyPath("/secret")]));
    client.send(`GET /secret ${rest}`);
    await client.until(/403 Forbidden/);
    const said = mesh.seen.map((headers) => headers["x-forwarded-client-cert"]);
    assert.equal(said.length, 2);
    for (const one of said) {
      assert.match(String(one), new RegExp(`^By=${WEB};Hash=[0-9a-f]{64};URI=${HOST_A}$`));
    }
    client.close();
    await until(() => mesh.b.facts.length === 3);
    assert.deepEqual(
      mesh.b.facts.map(({ protocol, status }) => [protocol, status]),
      [
        ["http", 200],
        ["http", 200],
        ["http", 403],
      ],
    );
  });

  test("bring what the server says first, whole, to a client that has ended its side at once", async (t) => {
    for (const greeting of [20, 300_000]) {
      const mesh = await twoHosts(t, { protocol: "tcp", greeting });
      for (let count = 0; count < 25; count++) {
        const socket = connect({ port: mesh.a.port, host: "127.0.0.1", allowHalfOpen: true });
        t.after(() => void socket.destroy());
        socket.end();
        let bytes = 0;
        for await (const chunk of socket) bytes += chunk.length;
        assert.equal(bytes, greeting, `connection ${count}`);
      }
    }
  });

  test("carry bytes both ways, with half-close", async (t) => {
    const mesh = await twoHosts(t, { protocol: "tcp" });
    const socket = connect({ port: mesh.a.port, host: "127.0.0.1", allowHalfOpen: true });
    t.after(() => void socket.destroy());
    socket.end("half-closed");
    let text = "";
    for await (const chunk of socket) text += chunk;
    assert.equal(text, "half-closed");
    assert.equal(mesh.b.facts.at(-1)?.entry, "mesh");
  });

  test("are closed when a policy forbids them, before and while they carry bytes", async (t) => {
    const mesh = await twoHosts(t, { protocol: "tcp" });
    const socket = connect(mesh.a.port, "127.0.0.1");
    t.after(() => void socket.destroy());
    socket.on("error", () => undefined);
    socket.write("ping");
    assert.equal(String((await once(socket, "data"))[0]), "ping");
    mesh.b.plane.apply(policyUpdate([denyFrom(HOST_A.replace("spiffe://", ""))]));
    await new Promise((resolve) => socket.once("close", resolve));
    const late = connect(mesh.a.port, "127.0.0.1");
    late.on("error", () => undefined);
    late.write("ping");
    await new Promise((resolve) => late.once("close", resolve));
    await until(() => mesh.a.facts.at(-1)?.error === "ACCESS_DENIED");
  });

  test("that the other host denies say nothing about its endpoints: nobody can have one ejected so", async (t) => {
    const mesh = await twoHosts(t, { config: { balance: { consecutiveFailures: 2 } } });
    await mesh.get();
    const known = mesh.a.facts[0]?.endpoint;
    assert.ok(known);
    const two = [0, 1].map(() => ({ ...known, slot: endpoint(1).slot }));
    mesh.a.services(service("web", two));
    mesh.b.plane.apply(policyUpdate([denyFrom(HOST_A.replace("spiffe://", ""))]));
    for (let count = 0; count < 8; count++) {
      const socket = connect(mesh.a.port, "127.0.0.1");
      t.after(() => void socket.destroy());
      socket.write("CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n");
      assert.match(String((await once(socket, "data"))[0]), /^HTTP\/1.1 403 .*ACCESS_DENIED/s);
    }
    const ejected = two.map(({ slot }) => mesh.a.endpoints.isEjected(slot, processClock.now()));
    assert.deepEqual(ejected, [false, false]);
  });
});

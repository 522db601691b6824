import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, request } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import type { Policy, PolicyTarget } from "../../src/core/policy.ts";
import type { DataEndpoint } from "../../src/core/snapshot.ts";
import {
  endpoint,
  type LabOptions,
  type PlaneLab,
  planeLab,
  policyUpdate,
  service,
} from "../helpers/plane.ts";
import { until } from "../helpers/until.ts";

/** Policies where they take effect: in a real data plane, with real sockets on both sides. */
const WEB = "spiffe://cluster.local/ns/default/sa/web";
const HOST = "spiffe://cluster.local/ns/hostmesh-hosts/sa/node-a";

const target: PolicyTarget = {
  key: "default/web",
  namespace: "default",
  serviceAccount: "web",
  labels: { app: "web" },
  services: ["web"],
  identity: WEB,
};

interface Lab extends PlaneLab {
  readonly seen: IncomingHttpHeaders[];
  policies(...list: Policy[]): void;
  get(path?: string, headers?: Record<string, string>): Promise<number>;
}

/** A guarded workload behind a data plane; callers are processes of the host. */
async function lab(t: TestContext, options: LabOptions = {}): Promise<Lab> {
  const seen: IncomingHttpHeaders[] = [];
  const server = createServer((incoming, response) => {
    seen.push(incoming.headers);
    if (incoming.url === "/slow") response.write("begun");
    else response.end("ok");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.closeAllConnections());
  t.after(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const plane = await planeLab({ ...options, config: { ...options.config, host: "node-a" } });
  t.after(() => plane.close());
  plane.services(service("web", [endpoint(port, { identity: WEB, target })]));
  const get = (path = "/", headers: Record<string, string> = {}) => ask(plane.port, path, headers);
  return { ...plane, seen, get, policies: (...list) => plane.plane.apply(policyUpdate(list)) };
}

async function ask(port: number, path: string, headers: Record<string, string>): Promise<number> {
  const outgoing = request({ port, host: "127.0.0.1", path, headers: { host: "web", ...headers } });
  outgoing.end();
  const [response] = await once(outgoing, "response");
  response.resume();
  await once(response, "end");
  return response.statusCode;
}

const scope = { namespace: "default", labels: {} };

function deny(rules: object[]): Policy {
  return policy("deny", rules);
}

function allow(rules: object[]): Policy {
  return policy("allow", rules);
}

function policy(action: "allow" | "deny", rules: object[]): Policy {
  const full = rules.map((rule) => ({ from: [], to: [], when: [], ...rule }));
  const source = `AuthorizationPolicy default/${action}`;
  const base = { kind: "authorization", source, createdMs: 0, scope, dryRun: false } as const;
  return { ...base, action, rules: full };
}

const strict: Policy = {
  kind: "peer",
  source: "PeerAuthentication default/strict",
  createdMs: 0,
  scope,
  mode: "strict",
  ports: {},
};

describe("policies of HTTP requests", () => {
  test("what is not allowed gets 403 with the policy's name, and never reaches the workload", async (t) => {
    const mesh = await lab(t);
    assert.equal(await mesh.get(), 200);
    mesh.policies(deny([{ to: [{ paths: ["/admin*"] }] }]));
    assert.equal(await mesh.get("/public"), 200);
    const before = mesh.seen.length;
    assert.equal(await mesh.get("/admin/users"), 403);
    assert.equal(mesh.facts.at(-1)?.error, "ACCESS_DENIED");
    assert.equal(mesh.seen.length, before);
  });

  test("paths are matched in their normal form, and that form is sent on", async (t) => {
    const mesh = await lab(t, { config: { mesh: { pathNormalization: "merge-slashes" } } });
    mesh.policies(deny([{ to: [{ paths: ["/admin*"] }] }]));
    for (const path of ["/public/../admin", "/%61dmin", "//admin", "/./admin"]) {
      assert.equal(await mesh.get(path), 403, path);
    }
    assert.equal(await mesh.get("/a/%00"), 400);
    assert.equal(await mesh.get("/public\\..\\admin"), 400, "no request target at all");
  });

  test("the caller is whom the kernel says: processes of the host have its identity", async (t) => {
    const mesh = await lab(t);
    mesh.policies(allow([{ from: [{ principals: ["cluster.local/ns/default/sa/shop"] }] }]));
    assert.equal(await mesh.get(), 403);
    const principals = [HOST.replace("spiffe://", "")];
    mesh.policies(allow([{ from: [{ principals }] }]), strict);
    assert.equal(await mesh.get(), 200, "the host's own identity counts as mutual TLS");
  });

  test("identity headers of the application do not get through; ours does", async (t) => {
    const mesh = await lab(t);
    const forged = { "x-forwarded-client-cert": "By=a;URI=spiffe://cluster.local/ns/x/sa/admin" };
    assert.equal(await mesh.get("/", { ...forged, x_forwarded_client_cert: "URI=b" }), 200);
    const headers = mesh.seen.at(-1) ?? {};
    assert.equal(headers["x-forwarded-client-cert"], `By=${WEB};URI=${HOST}`);
    assert.equal(headers["x_forwarded_client_cert"], undefined);
  });

  test("a change ends a response that is under way and is no longer allowed", async (t) => {
    const mesh = await lab(t);
    const outgoing = request({ port: mesh.port, path: "/slow", headers: { host: "web" } });
    outgoing.end();
    outgoing.on("error", () => undefined);
    const [response] = await once(outgoing, "response");
    await once(response, "data");
    const broken = once(response, "error");
    mesh.policies(deny([{}]));
    assert.match(String((await broken)[0]), /aborted|ECONNRESET/);
    assert.equal(mesh.facts.at(-1)?.error, "ACCESS_DENIED");
  });
});

describe("policies of opaque connections", () => {
  /** A TCP server that says what it gets, and a captured port that leads to it. */
  async function tcpLab(t: TestContext, more: Partial<DataEndpoint> = {}) {
    const server = createTcpServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const destination = { of: () => ({ host: "127.0.0.1", port }) };
    const plane = await planeLab({ destination, config: { host: "node-a" } });
    t.after(() => plane.close());
    const guarded = endpoint(port, { identity: WEB, target, ...more });
    plane.services(service("web", [guarded], { protocol: "tcp" }));
    return { ...plane, policies: (...list: Policy[]) => plane.plane.apply(policyUpdate(list)) };
  }

  function open(t: TestContext, port: number): Socket {
    const socket = connect(port, "127.0.0.1");
    t.after(() => void socket.destroy());
    socket.on("error", () => undefined);
    socket.write("ping");
    return socket;
  }

  /** Resolves when it is closed, which must be before it has carried anything. */
  async function refused(socket: Socket): Promise<void> {
    let carried = "";
    socket.on("data", (chunk) => {
      carried += chunk;
    });
    await new Promise((resolve) => socket.once("close", resolve));
    assert.equal(carried, "");
  }

  test("a forbidden one is reset, and recorded with the reason", async (t) => {
    const mesh = await tcpLab(t);
    mesh.policies(deny([{}]));
    await refused(open(t, mesh.port));
    await until(() => mesh.facts.at(-1)?.error === "ACCESS_DENIED");
    assert.equal(mesh.facts.length, 1, "recorded once");
  });

  test("ALLOW by HTTP attributes allows no TCP; DENY by them denies it", async (t) => {
    const mesh = await tcpLab(t);
    mesh.policies(allow([{ to: [{ methods: ["GET"] }] }]));
    await refused(open(t, mesh.port));
    mesh.policies(deny([{ to: [{ methods: ["POST"] }] }]));
    await refused(open(t, mesh.port));
  });

  test("a change closes a tunnel that is no longer allowed, and leaves others alone", async (t) => {
    const mesh = await tcpLab(t);
    const socket = open(t, mesh.port);
    const [echoed] = await once(socket, "data");
    assert.equal(String(echoed), "ping");
    mesh.policies(deny([{ from: [{ namespaces: ["elsewhere"] }] }]));
    socket.write("more");
    assert.equal(String((await once(socket, "data"))[0]), "more");
    mesh.policies(deny([{}]));
    await once(socket, "close");
  });
});

describe("CONNECT through the explicit port", () => {
  /** Opens a tunnel to the workload and says what a request through it gets; "" once the tunnel is closed. */
  async function tunnel(t: TestContext, port: number) {
    const socket = connect(port, "127.0.0.1");
    t.after(() => void socket.destroy());
    socket.on("error", () => undefined);
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.write("CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n");
    await until(() => text.includes("\r\n\r\n") || socket.destroyed);
    return { socket, status: Number(text.split(" ")[1]) };
  }

  test("is judged as TCP, and closed when a policy comes that forbids it", async (t) => {
    const mesh = await lab(t);
    const { socket, status } = await tunnel(t, mesh.port);
    assert.equal(status, 200);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    mesh.policies(deny([{}]));
    await closed;
    assert.equal((await tunnel(t, mesh.port)).status, 403);
  });
});

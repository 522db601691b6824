import assert from "node:assert/strict";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  createAuthority,
  generateKeys,
  issueLeaf,
  privateKeyPem,
} from "../../../src/identity/x509.ts";
import { KubeApi, type WatchEvent } from "../../../src/kubernetes/api/kube-api.ts";
import { KubeApiError } from "../../../src/kubernetes/api/kube-api-error.ts";
import { type ApiResource, pathOf } from "../../../src/kubernetes/api/objects.ts";
import { KubeApiServer } from "../../helpers/kube-api-server.ts";
import { definitionOf } from "../../helpers/kube-store.ts";
import { until } from "../../helpers/until.ts";
import { keepingLog, tempFolder } from "../../registry/setup.ts";

const PODS: ApiResource = {
  ...{ group: "", version: "v1", kind: "Pod", plural: "pods", namespaced: true },
};
const SLICES: ApiResource = {
  ...{ group: "discovery.k8s.io", version: "v1", kind: "EndpointSlice" },
  ...{ plural: "endpointslices", namespaced: true },
};
const NODES: ApiResource = { ...PODS, kind: "Node", plural: "nodes", namespaced: false };

function podOf(name: string, labels: Record<string, string> = {}, namespace = "default") {
  return { apiVersion: "v1", kind: "Pod", metadata: { name, namespace, labels }, spec: {} };
}

async function refusal(promise: Promise<unknown>): Promise<KubeApiError> {
  const error = await promise.then(
    () => assert.fail("it was not refused"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof KubeApiError, String(error));
  return error;
}

test("paths of collections, objects and their status", () => {
  assert.equal(pathOf(PODS), "/api/v1/pods");
  assert.equal(pathOf(PODS, "shop"), "/api/v1/namespaces/shop/pods");
  assert.equal(pathOf(PODS, "shop", "web-1"), "/api/v1/namespaces/shop/pods/web-1");
  assert.equal(
    pathOf(SLICES, "shop", "web", "status"),
    "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/web/status",
  );
  assert.equal(pathOf(NODES, "ignored", "n1"), "/api/v1/nodes/n1");
  assert.equal(pathOf(PODS, "a/../b", "c?d"), "/api/v1/namespaces/a%2F..%2Fb/pods/c%3Fd");
});

test("lists are read in pages, and items of built-in kinds know what they are", async (t) => {
  const server = await KubeApiServer.start(t, { prefix: "/k8s/clusters/c1" });
  for (const name of ["a", "b", "c"]) server.apply(podOf(name));
  server.apply(podOf("d", {}, "other"));
  const api = await server.open();
  const first = await api.list(PODS, { limit: 2 });
  assert.deepEqual(
    first.items.map(({ kind, apiVersion, metadata }) => [kind, apiVersion, metadata.name]),
    [
      ["Pod", "v1", "a"],
      ["Pod", "v1", "b"],
    ],
  );
  server.remove(podOf("c"));
  const second = await api.list(PODS, { limit: 2, continue: first.continue });
  assert.deepEqual(
    second.items.map(({ metadata }) => metadata.name),
    ["c", "d"],
  );
  assert.equal(second.continue, "");
  assert.equal(second.resourceVersion, first.resourceVersion);
  assert.equal((await api.list(PODS, { namespace: "other" })).items.length, 1);
  assert.deepEqual((await api.list(NODES)).items, [], "Go writes an empty list as null");
  assert.equal(server.count(/resourceVersion=/), 0, "nothing older than now is asked for");
  assert.equal(server.calls[0]?.userAgent, "hostmesh");
});

test("a watch tells of changes after a version, and ends when the server ends it", async (t) => {
  const server = await KubeApiServer.start(t);
  server.apply(podOf("a", { app: "web" }));
  const api = await server.open();
  const { resourceVersion } = await api.list(PODS);
  const seen: WatchEvent[] = [];
  const query = { resourceVersion, timeoutSeconds: 300, labelSelector: "app=web" };
  const aborter = new AbortController();
  const ended = api.watch(PODS, query, (event) => seen.push(event), aborter.signal);
  await until(() => server.watches() === 1);
  server.apply(podOf("b", { app: "web" }));
  server.apply(podOf("c", { app: "db" }));
  server.apply(podOf("b", { app: "web", v: "2" }));
  server.remove(podOf("a"));
  server.bookmark();
  await until(() => seen.length === 4);
  assert.deepEqual(
    seen.map((event) => [event.type, "object" in event ? event.object.metadata.name : ""]),
    [
      ["ADDED", "b"],
      ["MODIFIED", "b"],
      ["DELETED", "a"],
      ["BOOKMARK", ""],
    ],
  );
  assert.equal(seen.at(-1)?.resourceVersion, String(server.store.version));
  server.endWatches();
  await ended;
  const { query: sent } = server.calls.at(-1)!;
  assert.deepEqual(Object.fromEntries(sent), {
    ...{ watch: "1", allowWatchBookmarks: "true", labelSelector: "app=web" },
    ...{ resourceVersion, timeoutSeconds: "300" },
  });
});

test("a watch can be left, and closing the client ends it too", async (t) => {
  const server = await KubeApiServer.start(t);
  const api = await server.open();
  const query = { resourceVersion: "100", timeoutSeconds: 300 };
  const aborter = new AbortController();
  const left = api.watch(PODS, query, () => {}, aborter.signal);
  await until(() => server.watches() === 1);
  aborter.abort(new Error("enough"));
  await assert.rejects(left);
  const closed = api.watch(PODS, query, () => {}, new AbortController().signal);
  await until(() => server.watches("pods") === 1);
  await Promise.all([assert.rejects(closed), api.close()]);
  await until(() => server.watches() === 0);
});

const HOSTILE: [string, string | Buffer, RegExp][] = [
  ["no JSON", "{what}\n", /JSON/],
  ["no event", '["ADDED"]\n', /without a resourceVersion/],
  ["no object", '{"type":"ADDED"}\n', /without a resourceVersion/],
  [
    "no name",
    '{"type":"ADDED","object":{"metadata":{"resourceVersion":"7"}}}\n',
    /no metadata\.name/,
  ],
  [
    "an unknown type",
    '{"type":"MOVED","object":{"metadata":{"name":"a","resourceVersion":"7"}}}\n',
    /unknown type/,
  ],
  ["an event of 16 MiB", Buffer.alloc(16_777_217, "x"), /longer than 16777216 bytes/],
];
for (const [what, bytes, expected] of HOSTILE) {
  test(`a watch that says ${what} is an error, and its connection ends`, async (t) => {
    const server = await KubeApiServer.start(t);
    const api = await server.open();
    const query = { resourceVersion: "100", timeoutSeconds: 300 };
    const watch = api.watch(PODS, query, () => assert.fail(), new AbortController().signal);
    const failed = assert.rejects(watch, expected);
    await until(() => server.watches() === 1);
    server.tellWatches(bytes);
    await failed;
    await until(() => server.watches() === 0);
  });
}

test("a watch that ends in the middle of an event is an error", async (t) => {
  const server = await KubeApiServer.start(t);
  const api = await server.open();
  server.fail(/watch=1/, { kind: "bytes", text: '{"type":"ADDED","obj' });
  const query = { resourceVersion: "100", timeoutSeconds: 300 };
  const watch = api.watch(PODS, query, () => assert.fail(), new AbortController().signal);
  await assert.rejects(watch, /in the middle of an event/);
});

for (const goneAsEvent of [false, true]) {
  test(`history that is gone is told ${goneAsEvent ? "by an event" : "by the status"}`, async (t) => {
    const server = await KubeApiServer.start(t);
    server.goneAsEvent = goneAsEvent;
    const api = await server.open();
    server.apply(podOf("a"));
    server.store.compact();
    const query = { resourceVersion: "100", timeoutSeconds: 300 };
    const watch = api.watch(PODS, query, () => assert.fail(), new AbortController().signal);
    const { status, reason, message } = await refusal(watch);
    assert.equal(status, 410);
    assert.equal(reason, "Expired");
    assert.match(message, /too old resource version/);
  });
}

test("refusals say their status, reason and message, and how long to wait", async (t) => {
  const server = await KubeApiServer.start(t);
  const api = await server.open();
  const missing = await refusal(
    api.request({ method: "GET", path: pathOf(PODS, "default", "no") }),
  );
  assert.deepEqual([missing.status, missing.reason], [404, "NotFound"]);
  assert.match(missing.message, /"no" not found/);
  const busy = { kind: "answer", status: 429, headers: { "retry-after": "7" } } as const;
  server.fail(/pods/, busy);
  assert.equal((await refusal(api.list(PODS))).retryAfterMs, 7_000);
  server.fail(/pods/, { kind: "answer", status: 502, body: "<html>bad gateway</html>" });
  const gateway = await refusal(api.list(PODS));
  assert.deepEqual(
    [gateway.status, gateway.reason, gateway.message, gateway.retryAfterMs],
    [502, "", "<html>bad gateway</html>", null],
  );
  const details = { retryAfterSeconds: 3 };
  server.fail(/pods/, { kind: "answer", status: 503, body: { kind: "Status", details } });
  assert.equal((await refusal(api.list(PODS))).retryAfterMs, 3_000);
  server.fail(/pods/, { kind: "answer", status: 200, body: { kind: "PodList" } });
  await assert.rejects(api.list(PODS), /no list of pods/);
});

test("a server that is not there, hangs or breaks off is told from one that refuses", async (t) => {
  const server = await KubeApiServer.start(t);
  const api = await server.open();
  server.fail(/pods/, { kind: "reset" });
  await assert.rejects(api.list(PODS), { message: /^no answer of the API server at http/ });
  server.fail(/pods/, { kind: "hang" });
  const hung = api.request({ method: "GET", path: "/api/v1/pods", timeoutMs: 50 });
  await assert.rejects(hung, (error: Error) => (error.cause as Error).name === "TimeoutError");
  server.fail(/pods/, { kind: "hang" });
  const aborter = new AbortController();
  const left = api.list(PODS, {}, aborter.signal);
  await until(() => server.count(/pods/) === 3);
  aborter.abort(new Error("enough"));
  await assert.rejects(left);
  await server.stop();
  await assert.rejects(api.list(PODS), (error: unknown) => !(error instanceof KubeApiError));
});

test("objects are created, changed and their status patched", async (t) => {
  const server = await KubeApiServer.start(t);
  const api = await server.open();
  const path = pathOf(PODS, "default");
  const { status, body } = await api.request({ method: "POST", path, body: podOf("a") });
  assert.equal(status, 201);
  const made = body as { metadata: { resourceVersion: string; generation: number } };
  const again = await refusal(api.request({ method: "POST", path, body: podOf("a") }));
  assert.deepEqual([again.status, again.reason], [409, "AlreadyExists"]);
  await api.request({
    ...{ method: "PATCH", path: pathOf(PODS, "default", "a", "status") },
    ...{ body: { status: { phase: "Running" } }, contentType: "application/merge-patch+json" },
  });
  const stale = { ...podOf("a"), metadata: { ...podOf("a").metadata, ...made.metadata } };
  const conflict = await refusal(
    api.request({ method: "PUT", path: pathOf(PODS, "default", "a"), body: stale }),
  );
  assert.deepEqual([conflict.status, conflict.reason], [409, "Conflict"]);
  const kept = server.get("v1", "Pod", "default", "a");
  assert.equal(kept.status.phase, "Running");
  assert.equal(kept.metadata.generation, made.metadata.generation);
  await api.request({ method: "DELETE", path: pathOf(PODS, "default", "a") });
  assert.equal(server.get("v1", "Pod", "default", "a"), undefined);
});

test("all kinds are discovered, but those of a group that does not answer", async (t) => {
  const server = await KubeApiServer.start(t);
  server.apply(definitionOf("networking.istio.io", "VirtualService", ["v1", "v1beta1"]));
  server.fail(/\/coordination/, { kind: "answer", status: 503 });
  const log = keepingLog();
  const api = await server.open(log);
  const found = await api.discover();
  const texts = found.map(({ group, version, kind }) => `${group}/${version} ${kind}`);
  for (const text of [
    "/v1 Pod",
    "discovery.k8s.io/v1 EndpointSlice",
    "networking.istio.io/v1 VirtualService",
    "networking.istio.io/v1beta1 VirtualService",
  ]) {
    assert.ok(texts.includes(text), `${text} is not among ${texts}`);
  }
  assert.ok(found.every(({ plural }) => !plural.includes("/")));
  assert.ok(!texts.includes("coordination.k8s.io/v1 Lease"));
  assert.equal(log.lines.length, 1);
});

test("a token that is not taken any more is read anew, once for a call", async (t) => {
  const folder = await tempFolder(t);
  const script = join(folder, "token-of");
  const token = join(folder, "token.json");
  const write = (text: string) =>
    writeFile(token, JSON.stringify({ kind: "ExecCredential", status: { token: text } }));
  await writeFile(script, `#!/bin/sh\ncat ${token}\n`);
  await chmod(script, 0o700);
  const exec = { apiVersion: "client.authentication.k8s.io/v1", command: script };
  const server = await KubeApiServer.start(t, { user: { exec } });
  server.tokens = new Set(["one"]);
  await write("one");
  const api = await server.open();
  await api.list(PODS);
  await write("two");
  server.tokens = new Set(["two"]);
  await api.list(PODS);
  assert.deepEqual(
    server.calls.map(({ authorization }) => authorization),
    ["Bearer one", "Bearer one", "Bearer two"],
  );
  server.tokens = new Set(["three"]);
  assert.equal((await refusal(api.list(PODS))).status, 401);
  assert.equal(server.calls.length, 5);
});

/** Takes only clients with a certificate of its authority. */
async function tlsServer(t: TestContext): Promise<KubeApiServer> {
  const nowMs = Date.now();
  const day = { notBefore: new Date(nowMs - 1_000), notAfter: new Date(nowMs + 86_400_000) };
  const authority = createAuthority({ commonName: "kubernetes", ...day });
  const leaf = (names: { dnsNames?: string[]; ips?: string[] }) => {
    const { privateKey, publicKey } = generateKeys();
    const cert = issueLeaf(authority, { publicKey, names, ...day });
    return { cert, key: privateKeyPem(privateKey) };
  };
  const own = leaf({ dnsNames: ["localhost"], ips: ["127.0.0.1"] });
  const client = leaf({ dnsNames: ["client"] });
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const server = await KubeApiServer.start(t, {
    tls: {
      ...own,
      ...{ serverCa: authority.certificate, ca: authority.certificate },
      ...{ requestCert: true, rejectUnauthorized: true },
    },
    user: {
      "client-certificate-data": base64(client.cert),
      "client-key-data": base64(client.key),
    },
  });
  return server;
}

async function changeCluster(kubeconfig: string, fields: Record<string, string>): Promise<void> {
  const config = JSON.parse(await readFile(kubeconfig, "utf8"));
  Object.assign(config.clusters[0].cluster, fields);
  await writeFile(kubeconfig, JSON.stringify(config));
}

test("the server is verified by the kubeconfig's authority, and sees the client's certificate", async (t) => {
  const server = await tlsServer(t);
  server.apply(podOf("a"));
  assert.equal((await (await server.open()).list(PODS)).items.length, 1);
  const other = await tlsServer(t);
  await changeCluster(other.kubeconfig, { server: `https://127.0.0.1:${server.port}` });
  const mistaken = await other.open();
  await assert.rejects(mistaken.list(PODS), (error: Error) =>
    /certificate|signature/i.test(String((error.cause as Error).message)),
  );
});

test("requests go by the proxy that the kubeconfig names", async (t) => {
  const server = await tlsServer(t);
  const seen: string[] = [];
  const proxy = createServer();
  proxy.on("connect", (request, socket, head) => {
    seen.push(request.url ?? "");
    const onward = connect(server.port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    onward.on("error", () => socket.destroy());
    socket.on("error", () => onward.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  const { port } = proxy.address() as { port: number };
  await changeCluster(server.kubeconfig, { "proxy-url": `http://127.0.0.1:${port}` });
  const api = await server.open();
  assert.deepEqual((await api.list(PODS)).items, []);
  assert.deepEqual(seen, [`127.0.0.1:${server.port}`]);
});

test("a configuration that names no cluster says what is wrong with it", async (t) => {
  const server = await KubeApiServer.start(t);
  const log = keepingLog();
  const open = (kubeconfig: string, context = "") => KubeApi.open({ kubeconfig, context, log });
  await assert.rejects(open("/nowhere/config"), /the kubeconfig \/nowhere\/config cannot be read/);
  await assert.rejects(
    open(server.kubeconfig, "prod"),
    /no cluster for the context "prod"; its contexts: test/,
  );
  const api = await open(server.kubeconfig, "test");
  t.after(() => api.close());
  assert.equal(api.server, `http://127.0.0.1:${server.port}`);
});

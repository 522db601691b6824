import assert from "node:assert/strict";
import { test } from "node:test";
import { processClock } from "../../../src/core/clock.ts";
import { SecretPrivateStore } from "../../../src/kubernetes/secrets/secret-private-store.ts";
import { processTimers } from "../../../src/registry/timers.ts";
import { KubeApiServer } from "../../helpers/kube-api-server.ts";
import { until } from "../../helpers/until.ts";
import { privateStoreConformance } from "../../registry/identity/private-store-conformance.ts";
import { keepingLog } from "../../registry/setup.ts";

async function openOn(server: KubeApiServer): Promise<SecretPrivateStore> {
  return new SecretPrivateStore({
    api: await server.open(),
    ...{ namespace: "hostmesh-system", name: "hostmesh-ca" },
    ...{ timers: processTimers, clock: processClock, random: Math.random, log: keepingLog() },
  });
}

privateStoreConformance("a Secret", async (t) => {
  const server = await KubeApiServer.start(t);
  return async () => {
    const store = await openOn(server);
    t.after(() => store.close());
    return store;
  };
});

test("what else stands in the Secret stays, and only its own Secret is watched", async (t) => {
  const server = await KubeApiServer.start(t);
  const metadata = { namespace: "hostmesh-system", name: "hostmesh-ca" };
  server.apply({
    ...{ apiVersion: "v1", kind: "Secret", type: "Opaque" },
    metadata: { ...metadata, labels: { team: "mesh" } },
    data: { note: "aGVsbG8=" },
  });
  const store = await openOn(server);
  t.after(() => store.close());
  await store.write("authorities.json", "{}", null);
  const secret = server.get("v1", "Secret", "hostmesh-system", "hostmesh-ca");
  assert.deepEqual(secret.metadata.labels, { team: "mesh" });
  assert.deepEqual(secret.data, { note: "aGVsbG8=", "authorities.json": "e30=" });
  assert.equal((await store.read("note"))?.content, "hello");
  const told: string[] = [];
  store.watch((name) => told.push(name));
  await until(() => told.length === 2, { what: "what is there at the start" });
  const watched = () => server.calls.filter(({ query }) => query.has("watch"));
  await until(() => watched().length > 0, { what: "a watch behind the list" });
  assert.deepEqual(
    watched().map(({ path, query }) => [path, query.get("fieldSelector")]),
    [["/api/v1/namespaces/hostmesh-system/secrets", "metadata.name=hostmesh-ca"]],
  );
  server.remove({ apiVersion: "v1", kind: "Secret", metadata });
  await until(() => told.length === 4, { what: "the removal of the Secret" });
});

test("an entry too many is refused before the API server is asked, and names no content", async (t) => {
  const server = await KubeApiServer.start(t);
  const store = await openOn(server);
  t.after(() => store.close());
  await store.write("one", "x".repeat(700_000), null);
  const writes = server.count(/^(PUT|POST)/);
  await assert.rejects(store.write("two", "secret".repeat(100_000), null), (error: Error) => {
    assert.match(error.message, /hostmesh-ca \(two\): a Secret holds 1048576 bytes at most/);
    return !error.message.includes("secretsecret");
  });
  assert.equal(server.count(/^(PUT|POST)/), writes);
});

test("an API server that refuses, breaks off or answers nonsense fails the write, and later ones succeed", async (t) => {
  const server = await KubeApiServer.start(t);
  const store = await openOn(server);
  t.after(() => store.close());
  const first = await store.write("a", "1", null);
  server.fail(/^PUT/, { kind: "answer", status: 403 });
  await assert.rejects(store.write("a", "2", first));
  server.fail(/^PUT/, { kind: "reset" });
  await assert.rejects(store.write("a", "2", first));
  server.fail(/^GET/, { kind: "bytes", text: '{"data":{"a":"c2VjcmV0"}}' });
  await assert.rejects(store.read("a"), (error: Error) => {
    return /answered no Secret/.test(error.message) && !error.message.includes("c2VjcmV0");
  });
  await store.write("a", "2", first);
  assert.equal((await store.read("a"))?.content, "2");
});

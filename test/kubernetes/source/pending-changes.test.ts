import assert from "node:assert/strict";
import { test } from "node:test";
import { PendingChanges } from "../../../src/kubernetes/source/pending-changes.ts";

function entry(name: string, creationTimestamp: string) {
  const object = {
    ...{ apiVersion: "networking.istio.io/v1", kind: "ServiceEntry" },
    metadata: { name, namespace: "shop", creationTimestamp },
  };
  return { key: `networking.istio.io/ServiceEntry/shop/${name}`, object, content: object };
}

const keysOf = (changes: PendingChanges, weight: number) =>
  changes.take(weight).map(({ key }) => key.slice(key.lastIndexOf("/") + 1));

test("of custom resources the older come first, whichever came first, and of one age the first by name", () => {
  const changes = new PendingChanges();
  changes.put(entry("a", "2026-01-01T00:00:09Z"));
  changes.put(entry("d", "2026-01-01T00:00:05Z"));
  changes.put(entry("c", "2026-01-01T00:00:05Z"));
  changes.put(entry("b", "2026-01-01T00:00:01Z"));
  assert.deepEqual(keysOf(changes, 2), ["b", "c"]);
  changes.put(entry("e", "2026-01-01T00:00:00Z"));
  assert.deepEqual(keysOf(changes, 9), ["e", "d", "a"]);
  assert.equal(changes.size, 0);
});

test("what is gone comes before everything, and what others build on before them", () => {
  const changes = new PendingChanges();
  changes.put(entry("a", "2026-01-01T00:00:00Z"));
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "shop" } };
  changes.put({ key: "core/Pod/shop/p", object: pod, content: pod });
  changes.put({ key: "core/Service/shop/gone", content: null });
  assert.deepEqual(keysOf(changes, 9), ["gone", "p", "a"]);
});

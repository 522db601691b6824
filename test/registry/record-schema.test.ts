import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeRecord,
  recordKind,
  versionedChangeSchema,
} from "../../src/registry/record-schema.ts";
import { isPublished, publish, type RecordValues } from "../../src/registry/records.ts";

const values: Pick<RecordValues, "host" | "trust" | "resource" | "policy" | "workload"> = {
  host: { name: "node-1", address: "10.0.0.1", meshPort: 15_008 },
  trust: { trustDomain: "cluster.local", anchors: ["-----BEGIN"], issuer: "ab" },
  resource: {
    ...{ group: "g", kind: "K", namespace: "n", name: "a", content: { spec: { deep: [1, null] } } },
    ...{ createdMs: 1, generation: 2, warnings: [{ path: "spec", message: "m" }] },
    ...{ records: [{ kind: "policy", key: "k" }], provides: ["p"], needs: ["q"] },
  },
  policy: {
    ...{ kind: "peer", source: "s", createdMs: 3, mode: "strict", ports: { "80": "disable" } },
    scope: { namespace: null, labels: { a: "b" }, service: "x", exceptServices: ["y"] },
  },
  workload: {
    ...{ name: "w", namespace: "n", serviceAccount: "s", host: "h", addresses: ["10.0.0.5"] },
    labels: { app: "web" },
  },
};

for (const [kind, value] of Object.entries(values)) {
  test(`a ${kind} comes back from the store as it was, and is told to daemons if they need it`, () => {
    const parsed = recordKind.parse(kind);
    const facts = { key: "k", revision: 5, created: 4 };
    const record = decodeRecord({ kind: parsed, ...facts, json: JSON.stringify(value) });
    assert.deepEqual(record, { kind, ...facts, value });
    const told = publish(record);
    assert.equal(told !== null, isPublished(parsed));
    if (told === null) return;
    assert.deepEqual(versionedChangeSchema.parse(JSON.parse(JSON.stringify(told))), {
      ...{ kind, key: "k", version: 5 },
      value,
    });
    const gone = publish({ kind: parsed, key: "k", revision: 6, value: null });
    assert.deepEqual(gone, { kind, key: "k", version: 6, value: null });
  });
}

test("a resource that an earlier version stored with its policies is read", () => {
  const { records: _records, ...rest } = values.resource;
  const json = JSON.stringify({ ...rest, policies: ["k", "k#2"] });
  const record = decodeRecord({ kind: "resource", key: "k", revision: 1, created: 1, json });
  const records = ["k", "k#2"].map((key) => ({ kind: "policy", key }));
  assert.deepEqual(record.value, { ...values.resource, records });
});

test("a stored record of another shape is named", () => {
  const raw = {
    kind: "policy",
    key: "k",
    revision: 1,
    created: 1,
    json: '{"kind":"other"}',
  } as const;
  assert.throws(() => decodeRecord(raw), { message: "the stored policy k cannot be read" });
});

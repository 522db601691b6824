import assert from "node:assert/strict";
import test from "node:test";
import type { DataService } from "../../../../src/core/snapshot.ts";
import { HostTable } from "../../../../src/proxy/routing/match/host-table.ts";
import { service } from "../../../helpers/plane.ts";

const named = (namespace: string, hosts: readonly string[], more = {}): DataService => ({
  ...service("entry", []),
  ...{ namespace, key: `${namespace}/entry`, hosts, ...more },
});

test("services that share a host: the caller's own, one that it sees, and what is left of them", () => {
  const table = new HostTable();
  const a = named("a", ["api.example"], { exportTo: ["a"] });
  const b = named("b", ["api.example"]);
  const c = named("c", ["api.example"]);
  for (const one of [c, a, b]) table.add(one);
  const found = (namespace: string) => table.get("api.example", namespace)?.namespace;
  assert.deepEqual([found("a"), found("c"), found("other")], ["a", "c", "b"]);
  table.delete(b);
  assert.deepEqual([found("a"), found("other")], ["a", "c"]);
  table.delete(c);
  assert.equal(found("other"), "a", "there, though not for this caller");
  table.delete(a);
  assert.equal(found("a"), undefined);
});

test("the longest pattern counts, exact hosts before all", () => {
  const table = new HostTable();
  const wide = named("wide", ["*.example"]);
  const near = named("near", ["*.api.example", "b.api.example"]);
  const far = named("far", ["*.api.example"], { exportTo: ["far"] });
  for (const one of [wide, near, far]) table.add(one);
  const found = (host: string, namespace = "x") => table.get(host, namespace)?.namespace;
  assert.equal(found("a.example"), "wide");
  assert.equal(found("a.api.example"), "near");
  assert.equal(found("a.api.example", "far"), "far");
  assert.equal(found("*.api.example"), "near");
  table.delete(near);
  assert.equal(found("b.api.example"), "far");
  assert.equal(found("example"), undefined);
});

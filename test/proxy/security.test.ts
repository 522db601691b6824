import assert from "node:assert/strict";
import { test } from "node:test";
import type { Security } from "../../src/core/security.ts";
import type { DataEndpoint } from "../../src/core/snapshot.ts";
import type { ToCluster } from "../../src/proxy/clusters.ts";
import type { Origin } from "../../src/proxy/context.ts";
import type { Plane } from "../../src/proxy/plane.ts";
import { meshRoute } from "../../src/proxy/secure-transport.ts";
import { securityOfOrigin, securityTo } from "../../src/proxy/security.ts";
import { endpoint, service, workload } from "../helpers/plane.ts";

const WEB = "spiffe://cluster.local/ns/default/sa/web";
const offered = { local: false, identity: WEB, mesh: { host: "10.0.0.2", port: 15_008 } };

const origin = (more: Partial<Origin> = {}): Origin => ({
  ...{ entry: "captured", address: "10.1.0.5", workload: workload(1, "client", "10.1.0.5") },
  ...{ destination: null, identity: WEB, peer: null, ...more },
});

function to(
  from: Origin,
  target: Partial<DataEndpoint>,
  { mtls, isMeshed = true }: { mtls?: "disable"; isMeshed?: boolean } = {},
): Security {
  const settings = mtls === undefined ? {} : { mtls };
  const cluster = { service: service("web", []), settings } as unknown as ToCluster["cluster"];
  const destination: ToCluster = { kind: "cluster", cluster, fixed: null };
  const called = endpoint(80, target);
  const plane = { transport: { isMeshed } } as Plane;
  return securityTo(plane, destination, called, from, meshRoute(destination, called, from, "tcp"));
}

test("while no endpoint is chosen, the way by which the caller came counts", () => {
  const nobody = { workload: null, identity: "" };
  assert.equal(securityOfOrigin(origin()), "same_host");
  assert.equal(securityOfOrigin(origin({ ...nobody, address: "127.0.0.1" })), "same_host");
  assert.equal(securityOfOrigin(origin(nobody)), "unknown_caller");
  assert.equal(securityOfOrigin(origin({ ...nobody, entry: "inbound" })), "unknown_caller");
  assert.equal(securityOfOrigin(origin({ ...nobody, entry: "mesh" })), "mutual_tls");
});

test("to this host nothing leaves it, whoever calls", () => {
  const nobody = { workload: null, identity: "" };
  assert.equal(to(origin(), { local: true }), "same_host");
  assert.equal(to(origin(nobody), { local: true }), "unknown_caller");
  assert.equal(to(origin({ ...nobody, entry: "mesh" }), { local: true }), "mutual_tls");
});

test("to another host mutual TLS, or the reason why not", () => {
  assert.equal(to(origin(), offered), "mutual_tls");
  assert.equal(to(origin(), offered, { isMeshed: false }), "no_identity");
  assert.equal(to(origin({ identity: "" }), offered), "no_identity");
  assert.equal(to(origin(), offered, { mtls: "disable" }), "disabled");
  assert.equal(to(origin(), { local: false, identity: WEB }), "not_in_mesh");
  assert.equal(to(origin({ workload: null, identity: "" }), offered), "unknown_caller");
});

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { status } from "@grpc/grpc-js";
import type { PolicyTarget } from "../../src/core/policy.ts";
import type { DataEndpoint, DataService } from "../../src/core/snapshot.ts";
import type { RouteRule } from "../../src/core/traffic.ts";
import {
  deadPort,
  ended,
  GrpcClient,
  type GrpcHandlers,
  grpcServer,
  sendAll,
} from "../helpers/grpc-peers.ts";
import { credentialsOf, issue, newAuthority, spiffe } from "../helpers/mesh-lab.ts";
import { endpoint, planeLab, service } from "../helpers/plane.ts";
import { CALLER, retry } from "../helpers/resilience-lab.ts";
import { everything, table } from "../helpers/route-lab.ts";
import { until } from "../helpers/until.ts";

/** Calls of gRPC from one host to another, by mutual TLS. */
const WEB = spiffe("web");
const target: PolicyTarget = {
  ...{ key: "default/web", namespace: "default", serviceAccount: "web" },
  ...{ labels: {}, services: ["web"], identity: WEB },
};

const echo: GrpcHandlers = {
  unary: (call, done) => done(null, call.request),
  chat(call) {
    call.on("data", (part: Buffer) => call.write(part));
    call.on("end", () => call.end());
    call.on("error", () => undefined);
  },
};

/** A client on one host, and on the other servers at these ports. */
async function twoHosts(t: TestContext, ports: readonly number[], rule?: Partial<RouteRule>) {
  const authority = newAuthority();
  const b = await planeLab({ config: { host: "node-b" } });
  t.after(() => b.close());
  const { port: meshPort } = await b.plane.listen({
    ...{ entry: "mesh", host: "127.0.0.1", port: 0, reusePort: false },
  });
  b.plane.setCredentials(credentialsOf([authority], [issue(authority, WEB)]));
  const web = (list: readonly DataEndpoint[]): DataService =>
    service("web", list, { protocol: "grpc" });
  b.services(web(ports.map((port) => endpoint(port, { identity: WEB, target }))));
  const a = await planeLab({
    ...{ config: { host: "node-a" }, random: () => 0 },
    workloads: [{ ...CALLER, identity: spiffe("caller") }],
  });
  t.after(() => a.close());
  a.plane.setCredentials(credentialsOf([authority], [issue(authority, spiffe("caller"))]));
  const mesh = { host: "127.0.0.1", port: meshPort };
  const remote = { local: false, host: "node-b", identity: WEB, mesh };
  a.services({
    ...web(ports.map((port) => endpoint(port, remote))),
    ...(rule === undefined ? {} : { routes: [table([everything(rule)])], routeStamp: "1" }),
  });
  const client = new GrpcClient(a.port, "web");
  t.after(() => client.close());
  return { a, b, client };
}

async function serverOf(t: TestContext, handlers: GrpcHandlers) {
  const server = await grpcServer(handlers);
  t.after(() => server.close());
  return server;
}

test("calls go to another host and back, of both sizes and kinds", async (t) => {
  const { port } = await serverOf(t, echo);
  const { a, b, client } = await twoHosts(t, [port]);
  for (const size of [0, 100, 1_000_000]) {
    const { code, messages, details } = await client.unary(Buffer.alloc(size, 1));
    assert.deepEqual([code, messages[0]?.length], [status.OK, size], details);
  }
  const call = client.chat();
  const whole = ended(call);
  const parts = Array.from({ length: 100 }, (_, at) => Buffer.alloc(at * 50, at));
  sendAll(call, parts);
  const { code, messages } = await whole;
  assert.equal(code, status.OK);
  assert.deepEqual(messages, parts);
  for (const { facts } of [a, b]) {
    await until(() => facts.length === 4);
    assert.ok(facts.every(({ grpcStatus, error }) => grpcStatus === 0 && error === null));
    assert.deepEqual([facts[3]?.requestMessages, facts[3]?.responseMessages], [100, 100]);
  }
  assert.equal(b.facts[0]?.entry, "mesh");
});

test("what fails there comes as its status, and says whose failure it is", async (t) => {
  const { b, client } = await twoHosts(t, [await deadPort()]);
  const { code, details, trailers } = await client.unary("x");
  assert.equal(code, status.UNAVAILABLE, details);
  assert.deepEqual(trailers.get("x-hostmesh-error"), ["CONNECT_REFUSED"]);
  await until(() => b.facts.length > 0);
  assert.equal(b.facts[0]?.error, "CONNECT_REFUSED");
});

test("a call whose endpoint there is gone is tried at another, where the rule says so", async (t) => {
  const well = await serverOf(t, echo);
  const rule = { retry: retry({ on: ["unavailable"] }) };
  const { a, client } = await twoHosts(t, [await deadPort(), well.port], rule);
  const { code, messages, details } = await client.unary("again");
  assert.deepEqual([code, messages.join()], [status.OK, "again"], details);
  await until(() => a.facts.length === 1);
  assert.deepEqual([a.facts[0]?.attempts, a.facts[0]?.grpcStatus], [2, 0]);
});

test("deadlines and cancellations reach a server on another host", async (t) => {
  const left: number[] = [];
  let cancelled = 0;
  const { port } = await serverOf(t, {
    unary(call) {
      left.push(Number(call.getDeadline()) - Date.now());
      call.on("cancelled", () => {
        cancelled += 1;
      });
    },
  });
  const { client } = await twoHosts(t, [port], { timeouts: { requestMs: 300 } });
  const { code } = await client.unary("x", { deadline: Date.now() + 25_000 });
  assert.equal(code, status.DEADLINE_EXCEEDED);
  await until(() => cancelled === 1);
  assert.ok(left[0]! <= 300, String(left[0]));
});

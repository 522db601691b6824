import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { status } from "@grpc/grpc-js";
import type { RouteRule } from "../../src/core/traffic.ts";
import { recordsOfText } from "../dialects/translated.ts";
import { grpcLab } from "../helpers/grpc-lab.ts";
import type { GrpcHandlers } from "../helpers/grpc-peers.ts";
import { Http2Client } from "../helpers/h2-peers.ts";
import { ask } from "../helpers/route-lab.ts";
import { until } from "../helpers/until.ts";

const well: GrpcHandlers = { unary: (call, done) => done(null, call.request) };
const CALL = {
  ...{ ":path": "/hostmesh.test.Echo/unary", ":method": "POST", ":authority": "web" },
  "content-type": "application/grpc",
};

/** A service whose rule answers by itself, with clients of gRPC, HTTP/2 and HTTP/1.1. */
async function answering(t: TestContext, rule: Partial<RouteRule>) {
  const made = await grpcLab(t, [well], { protocol: "grpc", rule });
  const plain = new Http2Client(made.lab.port);
  t.after(() => plain.close());
  return { ...made, plain };
}

describe("what a rule answers itself is, to a call of gRPC, a response of gRPC:", () => {
  const ANSWERS = [
    [200, status.UNKNOWN],
    [401, status.UNAUTHENTICATED],
    [403, status.PERMISSION_DENIED],
    [404, status.UNIMPLEMENTED],
    [429, status.UNAVAILABLE],
    [503, status.UNAVAILABLE],
  ] as const;

  for (const [http, code] of ANSWERS) {
    it(`respond with ${http} is ${status[code]}, with the text as its message`, async (t) => {
      const body = "closed, 50 % für heute\n";
      const { client, lab } = await answering(t, {
        action: { kind: "respond", status: http, body },
        responseHeaders: { set: [["x-rule", "1"]] },
      });
      const got = await client.unary("x");
      assert.deepEqual([got.code, got.details], [code, body]);
      assert.deepEqual(got.trailers.get("x-rule"), ["1"]);
      await until(() => lab.facts.length === 1);
      const [facts] = lab.facts;
      assert.deepEqual([facts?.status, facts?.grpcStatus, facts?.error], [200, code, null]);
    });
  }

  it("trailers only; other requests get what the rule says", async (t) => {
    const action = { kind: "respond", status: 403, body: "no" } as const;
    const { lab, plain } = await answering(t, { action });
    const { status: http, headers, body, trailers } = await plain.ask(CALL, ["x"]);
    assert.deepEqual([http, headers["content-type"]], [200, "application/grpc"]);
    assert.deepEqual([headers["grpc-status"], headers["grpc-message"]], ["7", "no"]);
    assert.deepEqual([body.length, trailers], [0, {}]);
    const web = await plain.ask({ ...CALL, "content-type": "application/grpc-web" }, ["x"]);
    assert.deepEqual([web.status, web.body.toString()], [403, "no"]);
    const old = await ask(lab.port, "/", { method: "POST" }, "x");
    assert.deepEqual([old.status, old.body], [403, "no"]);
    await until(() => lab.facts.length === 3);
    assert.deepEqual(
      lab.facts.map((one) => [one.status, one.grpcStatus]),
      [
        [200, 7],
        [403, -1],
        [403, -1],
      ],
    );
  });

  it("a text longer than gRPC's metadata may be is cut", async (t) => {
    const action = { kind: "respond", status: 503, body: "ü".repeat(60_000) } as const;
    const { client } = await answering(t, { action });
    const got = await client.unary("x");
    assert.equal(got.code, status.UNAVAILABLE);
    assert.equal(got.details, "ü".repeat(800));
  });

  it("a redirect has no status but UNKNOWN, and says where it would have led", async (t) => {
    const redirect = { host: "other.example", status: 302 } as const;
    const { plain, client } = await answering(t, { action: { kind: "redirect", redirect } });
    assert.equal((await client.unary("x")).code, status.UNKNOWN);
    const { status: http, headers } = await plain.ask(CALL, ["x"]);
    assert.deepEqual([http, headers["grpc-status"]], [200, "2"]);
    assert.match(String(headers["location"]), /^http:\/\/other\.example/);
  });

  it("a rate limit's refusal", async (t) => {
    const one = { name: "one", requests: 1, periodMs: 3_600_000, burst: 1, per: [] };
    const { client } = await answering(t, { rateLimits: [one] });
    assert.equal((await client.unary("x")).code, status.OK);
    const { code, details, trailers } = await client.unary("x");
    assert.equal(code, status.UNAVAILABLE, details);
    assert.deepEqual(trailers.get("x-hostmesh-error"), ["RATE_LIMITED"]);
  });
});

describe("Istio's fault.abort.grpcStatus", () => {
  const rule = (grpcStatus: string): RouteRule => {
    const [route] = recordsOfText(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web, namespace: default }
spec:
  hosts: [web]
  http:
    - fault: { abort: { grpcStatus: ${grpcStatus}, percentage: { value: 100 } } }
      route: [{ destination: { host: web } }]
`).flatMap(({ kind, value }) => (kind === "route" ? [value] : []));
    return route!.rules[0]!;
  };

  for (const [name, code, http] of [
    ["UNAVAILABLE", status.UNAVAILABLE, 503],
    ["RESOURCE_EXHAUSTED", status.RESOURCE_EXHAUSTED, 429],
    ["DEADLINE_EXCEEDED", status.DEADLINE_EXCEEDED, 504],
    ["8", status.RESOURCE_EXHAUSTED, 429],
    ["UNIMPLEMENTED", status.UNIMPLEMENTED, 501],
    ["DATA_LOSS", status.DATA_LOSS, 500],
  ] as const) {
    it(`${name} is that status to a call, and ${http} to any other request`, async (t) => {
      const { client, lab, plain, servers } = await answering(t, rule(name));
      const got = await client.unary("x");
      assert.equal(got.code, code, got.details);
      assert.match(got.details, /^hostmesh: FAULT_INJECTED: /);
      assert.equal((await ask(lab.port, "/")).status, http);
      assert.equal(
        (await plain.ask({ ...CALL, "content-type": "text/plain" }, ["x"])).status,
        http,
      );
      assert.equal(servers[0]?.calls(), 0);
      await until(() => lab.facts.length === 3);
      assert.deepEqual(
        lab.facts.map((one) => [one.status, one.grpcStatus, one.error]),
        [
          [200, code, "FAULT_INJECTED"],
          [http, -1, "FAULT_INJECTED"],
          [http, -1, "FAULT_INJECTED"],
        ],
      );
    });
  }

  it("a call names its own in Envoy's header, where the rule has an abort", async (t) => {
    const { client } = await answering(t, rule("UNAVAILABLE"));
    const metadata = { "x-envoy-fault-abort-grpc-request": "5" };
    assert.equal((await client.unary("x", { metadata })).code, status.NOT_FOUND);
  });
});

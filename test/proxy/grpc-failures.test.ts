import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ServerUnaryCall, status } from "@grpc/grpc-js";
import type { Policy } from "../../src/core/policy.ts";
import { type GrpcLab, type GrpcLabOptions, grpcLab } from "../helpers/grpc-lab.ts";
import { deadPort, ended, GrpcClient, type GrpcHandlers } from "../helpers/grpc-peers.ts";
import { Http2Client } from "../helpers/h2-peers.ts";
import { endpoint, policyUpdate } from "../helpers/plane.ts";
import { everything, table } from "../helpers/route-lab.ts";
import { until } from "../helpers/until.ts";

const well: GrpcHandlers = { unary: (call, done) => done(null, call.request) };
const IDENTITY = "spiffe://cluster.local/ns/default/sa/web";
const DENY: Policy = {
  ...{ kind: "authorization", source: "AuthorizationPolicy default/no", createdMs: 0 },
  ...{ scope: { namespace: "default", labels: {} }, dryRun: false, action: "deny" },
  rules: [{ from: [], to: [], when: [] }],
} as Policy;

interface Failure {
  readonly what: string;
  readonly code: number;
  readonly error: string;
  readonly options?: GrpcLabOptions;
  readonly make?: (made: GrpcLab) => void | Promise<void>;
  readonly authority?: string;
}

const FAILURES: readonly Failure[] = [
  {
    ...{ what: "no endpoint", code: status.UNAVAILABLE, error: "NO_ENDPOINT" },
    make: ({ lab, web }) => lab.services(web()),
  },
  {
    ...{ what: "an endpoint that is not there", code: status.UNAVAILABLE },
    error: "CONNECT_REFUSED",
    make: async ({ lab, web }) => lab.services(web(endpoint(await deadPort()))),
  },
  {
    ...{ what: "a name that nobody has", code: status.UNIMPLEMENTED, error: "NO_ROUTE" },
    authority: "nobody",
  },
  {
    ...{ what: "no rule for it", code: status.UNIMPLEMENTED, error: "ROUTE_NOT_FOUND" },
    make: ({ lab, web, endpoints }) =>
      lab.services({ ...web(...endpoints), routes: [table([])], routeStamp: "2" }),
  },
  {
    ...{ what: "a policy against it", code: status.PERMISSION_DENIED, error: "ACCESS_DENIED" },
    make({ lab, web, endpoints: [one] }) {
      const target = {
        ...{ key: "default/web", namespace: "default", serviceAccount: "web" },
        ...{ labels: {}, services: ["web"], identity: IDENTITY },
      };
      lab.services(web({ ...one!, identity: IDENTITY, target }));
      lab.plane.apply(policyUpdate([DENY]));
    },
  },
  {
    ...{ what: "an injected fault", code: status.UNAVAILABLE, error: "FAULT_INJECTED" },
    options: { rule: { fault: { abort: { status: 503, percent: 100 } } } },
  },
];

describe("a failure of the proxy's own is a status of gRPC:", () => {
  for (const { what, code, error, options = {}, make, authority = "web" } of FAILURES) {
    it(`${what} is ${status[code]}`, async (t) => {
      const made = await grpcLab(t, [well], { protocol: "grpc", ...options });
      await make?.(made);
      const client = new GrpcClient(made.lab.port, authority);
      t.after(() => client.close());
      const got = await client.unary("x");
      assert.equal(got.code, code, got.details);
      assert.match(got.details, new RegExp(`^hostmesh: ${error}: `));
      assert.deepEqual(got.trailers.get("x-hostmesh-error"), [error]);
      await until(() => made.lab.facts.length === 1);
      const [facts] = made.lab.facts;
      assert.deepEqual([facts?.status, facts?.grpcStatus, facts?.error], [200, code, error]);
    });
  }

  it("a response of trailers only, with HTTP's status 200", async (t) => {
    const { lab, web } = await grpcLab(t, [well]);
    lab.services(web());
    const client = new Http2Client(lab.port);
    t.after(() => client.close());
    const ask = (type: string) =>
      client.ask(
        { ":path": "/a.B/c", ":method": "POST", ":authority": "web", "content-type": type },
        ["x"],
      );
    const { status: http, headers, body, trailers } = await ask("application/grpc+proto");
    assert.deepEqual([http, headers["content-type"]], [200, "application/grpc"]);
    assert.deepEqual([headers["grpc-status"], body.length, trailers], ["14", 0, {}]);
    assert.equal((await ask("application/grpc-web")).status, 503);
    assert.equal((await ask("text/plain")).status, 503);
  });

  it("behind the begin of an answer it comes as trailers, and what has come is kept", async (t) => {
    const begun: GrpcHandlers = {
      expand(call) {
        call.write(Buffer.from("first"));
        call.write(Buffer.from("second"));
      },
    };
    const { client, servers, lab } = await grpcLab(t, [begun], { protocol: "grpc" });
    const call = client.expanding(Buffer.alloc(0));
    const whole = ended(call);
    let got = 0;
    call.on("data", () => {
      got += 1;
    });
    await until(() => got === 2);
    servers[0]?.close();
    const { code, messages, details } = await whole;
    assert.deepEqual([code, messages.join(" ")], [status.UNAVAILABLE, "first second"], details);
    assert.match(details, /^hostmesh: UPSTREAM_/);
    await until(() => lab.facts.length === 1);
    assert.deepEqual([lab.facts[0]?.status, lab.facts[0]?.grpcStatus], [200, status.UNAVAILABLE]);
  });
});

/** Says how long the server has, in ms. */
const leftMs = (call: ServerUnaryCall<Buffer, Buffer>): number =>
  Number(call.getDeadline()) - Date.now();
const telling: GrpcHandlers = {
  unary: (call, done) => done(null, Buffer.from(String(leftMs(call)))),
};

describe("the deadline of a call", () => {
  const timeouts = (requestMs: number) => ({ rule: everything({ timeouts: { requestMs } }) });

  for (const known of [true, false]) {
    const who = known ? "of a workload" : "of anybody";
    const options = known ? {} : { workloads: [] };

    it(`${who} reaches the server, less what has passed`, async (t) => {
      const { client } = await grpcLab(t, [telling], options);
      for (let round = 0; round < 3; round++) {
        const { messages } = await client.unary("x", { deadline: Date.now() + 20_000 });
        const left = Number(messages[0]);
        assert.ok(left > 5_000 && left <= 20_000, String(left));
      }
    });

    it(`${who} is shortened by the rule's limit, and never lengthened`, async (t) => {
      const { client } = await grpcLab(t, [telling], { ...options, ...timeouts(10_000) });
      for (const [deadlineMs, most] of [
        [20_000, 10_000],
        [8_000, 8_000],
        [Number.POSITIVE_INFINITY, 10_000],
      ] as const) {
        for (let round = 0; round < 2; round++) {
          const { messages } = await client.unary("x", { deadline: Date.now() + deadlineMs });
          const left = Number(messages[0]);
          assert.ok(left > 2_000 && left <= most, `${left} of ${most}`);
        }
      }
    });
  }

  it("is not there where nobody sets one", async (t) => {
    const { client } = await grpcLab(t, [telling]);
    assert.equal((await client.unary("x")).messages.join(), "Infinity");
  });

  it("that the rule sets ends a call with DEADLINE_EXCEEDED, at the server too", async (t) => {
    let cancelled = 0;
    const silent: GrpcHandlers = {
      unary: (call) => void call.on("cancelled", () => (cancelled += 1)),
    };
    const { client, lab } = await grpcLab(t, [silent], timeouts(150));
    const { code, details } = await client.unary("x", { deadline: Date.now() + 25_000 });
    assert.equal(code, status.DEADLINE_EXCEEDED);
    // The server was told of the same limit, and may be the first to say so.
    assert.match(details, /^hostmesh: REQUEST_TIMEOUT: |deadline/i);
    await until(() => cancelled === 1);
    assert.equal(lab.facts[0]?.grpcStatus, 4);
  });

  it("of its caller holds while messages are still sent", async (t) => {
    const silent: GrpcHandlers = { chat: () => undefined };
    const { lab } = await grpcLab(t, [silent]);
    const client = new Http2Client(lab.port);
    t.after(() => client.close());
    const stream = client.session.request(
      {
        ...{ ":path": "/hostmesh.test.Echo/chat", ":method": "POST", ":authority": "web" },
        ...{ "content-type": "application/grpc", "grpc-timeout": "150m", te: "trailers" },
      },
      { endStream: false },
    );
    t.after(() => stream.close());
    stream.resume();
    let grpcStatus: unknown;
    stream.on("error", () => undefined);
    for (const event of ["response", "trailers"]) {
      stream.on(event, (fields) => {
        grpcStatus = fields["grpc-status"] ?? grpcStatus;
      });
    }
    await until(() => grpcStatus !== undefined);
    assert.equal(grpcStatus, "4");
  });
});

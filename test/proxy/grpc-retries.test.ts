import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Metadata, status } from "@grpc/grpc-js";
import { GRPC_RETRY_CONDITIONS, type GrpcRetryCondition } from "../../src/core/grpc.ts";
import type { RetryRule } from "../../src/core/traffic.ts";
import { type GrpcLabOptions, grpcLab } from "../helpers/grpc-lab.ts";
import { type GrpcHandlers, metadataOf } from "../helpers/grpc-peers.ts";
import { retry } from "../helpers/resilience-lab.ts";
import { until } from "../helpers/until.ts";

const well: GrpcHandlers = {
  unary: (call, done) => done(null, call.request),
  collect(call, done) {
    const parts: Buffer[] = [];
    call.on("data", (part: Buffer) => parts.push(part));
    call.on("end", () => done(null, Buffer.concat(parts)));
  },
};

/** Fails each call, when it is whole, by a response of trailers only. */
function failing(code: number, trailers: Record<string, string> = {}): GrpcHandlers {
  const error = { code, details: "broken", metadata: metadataOf(trailers) };
  return {
    unary: (_call, done) => done(error),
    collect: (call, done) => void call.on("data", () => undefined).on("end", () => done(error)),
  };
}

const CODES: Readonly<Record<GrpcRetryCondition, number>> = {
  cancelled: status.CANCELLED,
  "deadline-exceeded": status.DEADLINE_EXCEEDED,
  internal: status.INTERNAL,
  "resource-exhausted": status.RESOURCE_EXHAUSTED,
  unavailable: status.UNAVAILABLE,
};

const DECLARED = { protocol: "grpc", random: () => 0 } as const;
const rule = (more: Partial<RetryRule>): GrpcLabOptions => ({
  ...DECLARED,
  rule: { retry: retry({ on: [], ...more }) },
});

describe("a rule retries calls of gRPC that fail with", () => {
  for (const condition of GRPC_RETRY_CONDITIONS) {
    it(`${condition}, and with no other status`, async (t) => {
      for (const [name, code] of Object.entries(CODES)) {
        const made = await grpcLab(t, [failing(code), well], rule({ on: [condition] }));
        const { client, servers, lab } = made;
        const got = await client.unary("message");
        const isRetried = name === condition;
        assert.deepEqual(
          [got.code, servers.map(({ calls }) => calls())],
          isRetried ? [status.OK, [1, 1]] : [code, [1, 0]],
          name,
        );
        if (isRetried) assert.equal(got.messages.join(), "message");
        await until(() => lab.facts.length === 1);
        assert.deepEqual(
          [lab.facts[0]?.attempts, lab.facts[0]?.grpcStatus],
          [isRetried ? 2 : 1, got.code],
        );
      }
    });
  }
});

describe("a call is sent again", () => {
  it("with all of its messages, if they fit", async (t) => {
    const on = ["unavailable"] as const;
    const { client } = await grpcLab(t, [failing(status.UNAVAILABLE), well], rule({ on }));
    const parts = Array.from({ length: 10 }, (_, at) => Buffer.alloc(1_000, at));
    const got = await client.collect(parts);
    assert.equal(got.code, status.OK);
    assert.ok(got.messages[0]?.equals(Buffer.concat(parts)));
  });

  it("not where its messages are more than is kept", async (t) => {
    const broken = () => failing(status.UNAVAILABLE);
    const made = await grpcLab(t, [broken(), broken()], rule({ on: ["unavailable"] }));
    assert.equal((await made.client.unary(Buffer.alloc(1_048_576))).code, status.UNAVAILABLE);
    await until(() => made.lab.facts.length === 1);
    assert.equal(made.lab.facts[0]?.attempts, 1);
  });

  it("as often as the rule says, and then its client gets the status", async (t) => {
    const broken = () => failing(status.UNAVAILABLE, { "x-why": "so" });
    const { client, servers } = await grpcLab(
      t,
      [broken(), broken(), broken()],
      rule({ on: ["unavailable"], attempts: 2 }),
    );
    const { code, details, trailers } = await client.unary("x");
    assert.deepEqual(
      [code, details, trailers.get("x-why")],
      [status.UNAVAILABLE, "broken", ["so"]],
    );
    assert.deepEqual(
      servers.map(({ calls }) => calls()),
      [1, 1, 1],
    );
  });

  it("never where a response has begun", async (t) => {
    const begun: GrpcHandlers = {
      unary(call, done) {
        call.sendMetadata(new Metadata());
        done({ code: status.UNAVAILABLE, details: "behind" });
      },
    };
    const made = await grpcLab(t, [begun, well], rule({ on: ["unavailable"] }));
    const { code, details } = await made.client.unary("x");
    assert.deepEqual([code, details], [status.UNAVAILABLE, "behind"]);
    assert.equal(made.servers[1]?.calls(), 0);
  });

  it("not by conditions of HTTP: its status is 200, and it is a POST", async (t) => {
    const options = rule({ on: ["5xx", "gateway-error", "reset", "retriable-4xx"] });
    const made = await grpcLab(t, [failing(status.UNAVAILABLE), well], options);
    assert.equal((await made.client.unary("x")).code, status.UNAVAILABLE);
  });

  it("not where its own deadline comes before the pause is over", async (t) => {
    const options = rule({ on: ["unavailable"], backoff: { baseMs: 60_000, maxMs: 60_000 } });
    const broken = () => failing(status.UNAVAILABLE);
    const made = await grpcLab(t, [broken(), broken()], { ...options, random: () => 0.9 });
    const got = await made.client.unary("x", { deadline: Date.now() + 20_000 });
    assert.deepEqual([got.code, got.details], [status.UNAVAILABLE, "broken"]);
  });

  it("where it asks for that itself, by Envoy's field or Linkerd's", async (t) => {
    for (const [name, value, isRetried] of [
      ["x-envoy-retry-grpc-on", "cancelled, unavailable", true],
      ["x-envoy-retry-grpc-on", "internal", false],
      ["x-envoy-retry-grpc-on", "5xx", false],
      ["x-envoy-retry-on", "unavailable", false],
      ["l5d-retry-grpc", "unavailable", true],
      ["l5d-retry-grpc", "nonsense", false],
    ] as const) {
      let seen: unknown[] = [];
      const looking: GrpcHandlers = {
        unary(call, done) {
          seen = call.metadata.get(name);
          done(null, call.request);
        },
      };
      const made = await grpcLab(t, [failing(status.UNAVAILABLE), looking], DECLARED);
      const { code } = await made.client.unary("x", { metadata: { [name]: value } });
      assert.equal(code === status.OK, isRetried, `${name}: ${value}`);
      assert.deepEqual(seen, []);
    }
  });
});

describe("a server that asks for a pause (grpc-retry-pushback-ms)", () => {
  const pushing = (value: string) =>
    failing(status.UNAVAILABLE, { "grpc-retry-pushback-ms": value });

  it("gets it", async (t) => {
    const made = await grpcLab(t, [pushing("150"), well], rule({ on: ["unavailable"] }));
    const { code } = await made.client.unary("x");
    assert.equal(code, status.OK);
    await until(() => made.lab.facts.length === 1);
    const took = made.lab.facts[0]?.durationMs ?? 0;
    assert.ok(took >= 150, `${took} ms`);
  });

  it("is not asked again where that is negative, no number, or very long", async (t) => {
    for (const value of ["-1", "soon", "", "1e3", "99999999"]) {
      const made = await grpcLab(t, [pushing(value), well], rule({ on: ["unavailable"] }));
      const { code, trailers } = await made.client.unary("x");
      assert.equal(code, status.UNAVAILABLE, value);
      assert.deepEqual(trailers.get("grpc-retry-pushback-ms"), [value]);
      assert.equal(made.servers[1]?.calls(), 0);
    }
  });
});

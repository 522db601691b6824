import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { status } from "@grpc/grpc-js";
import { grpcLab } from "../helpers/grpc-lab.ts";
import { ended, type GrpcHandlers } from "../helpers/grpc-peers.ts";
import { endpoint } from "../helpers/plane.ts";
import { until } from "../helpers/until.ts";

/** A server that sends back what it gets. */
const echo = (): GrpcHandlers => ({
  unary: (call, done) => done(null, call.request),
  chat(call) {
    call.on("data", (part: Buffer) => call.write(part));
    call.on("end", () => call.end());
    call.on("error", () => undefined);
  },
});

describe("calls of one client", () => {
  it("spread over all endpoints", async (t) => {
    const { client, servers } = await grpcLab(t, [echo(), echo(), echo()], { protocol: "grpc" });
    for (let round = 0; round < 10; round++) {
      const calls = Array.from({ length: 30 }, () => client.unary("x"));
      for (const { code } of await Promise.all(calls)) assert.equal(code, status.OK);
    }
    const counts = servers.map(({ calls }) => calls());
    assert.deepEqual(counts, [100, 100, 100]);
  });

  it("find endpoints that come, and leave those that go", async (t) => {
    const all = [echo(), echo(), echo()];
    const { client, servers, lab, web, endpoints } = await grpcLab(t, all, { protocol: "grpc" });
    const [first, second, third] = endpoints;
    const ask = async (): Promise<number[]> => {
      const before = servers.map(({ calls }) => calls());
      const calls = Array.from({ length: 20 }, () => client.unary("x"));
      for (const { code } of await Promise.all(calls)) assert.equal(code, status.OK);
      return servers.map(({ calls }, at) => calls() - before[at]!);
    };
    lab.services(web(first!));
    assert.deepEqual(await ask(), [20, 0, 0]);
    lab.services(web(first!, second!, third!));
    assert.ok((await ask()).every((count) => count >= 6));
    lab.services(web(second!));
    assert.deepEqual(await ask(), [0, 20, 0]);
  });
});

describe("a long stream both ways", () => {
  it("goes on while its endpoint leaves the service and others come", async (t) => {
    const { client, lab, servers, endpoints, web } = await grpcLab(t, [echo(), echo()], {
      protocol: "grpc",
    });
    const [first, second] = endpoints;
    lab.services(web(first!));
    const call = client.chat();
    const whole = ended(call);
    let got = 0;
    call.on("data", () => {
      got += 1;
    });
    const say = async (): Promise<void> => {
      const before = got;
      call.write(Buffer.from(`message ${before}`));
      await until(() => got === before + 1);
    };
    await say();
    lab.services(web(second!));
    await say();
    assert.equal((await client.unary("x")).code, status.OK);
    await say();
    lab.services(web());
    await say();
    lab.services(web(first!, second!));
    for (let round = 0; round < 50; round++) await say();
    call.end();
    const { code, messages } = await whole;
    assert.deepEqual([code, messages.length], [status.OK, 54]);
    assert.equal(servers[0]?.calls(), 1);
    assert.equal(servers[1]?.calls(), 1);
  });

  it("is not held up by others on the same connection", async (t) => {
    const { client, servers } = await grpcLab(
      t,
      [{ ...echo(), expand: (call) => void call.write(Buffer.alloc(4_194_304)) }],
      { protocol: "grpc" },
    );
    const slow = Array.from({ length: 4 }, () => client.expanding(Buffer.alloc(0)));
    for (const one of slow) {
      one.on("error", () => undefined);
      one.pause();
    }
    await until(() => servers[0]?.calls() === 4);
    const call = client.chat();
    const whole = ended(call);
    for (let round = 0; round < 20; round++) {
      const back = once(call, "data");
      call.write(Buffer.alloc(1_000));
      await back;
    }
    call.end();
    assert.equal((await whole).code, status.OK);
    for (const one of slow) one.cancel();
  });
});

/** Servers of node:http2, which can say GOAWAY whenever they are told to. */
async function goingAway(t: TestContext) {
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer();
  let opened = 0;
  server.on("session", (session) => {
    opened += 1;
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => undefined);
  });
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.on("error", () => undefined);
    const parts: Buffer[] = [];
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => {
      stream.respond({ "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.concat(parts));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sessions, opened: () => opened };
}

describe("a server that says GOAWAY", () => {
  it("in the middle of many calls fails none of them", async (t) => {
    const [one, other] = [await goingAway(t), await goingAway(t)];
    const { client, lab, web } = await grpcLab(t, [], { protocol: "grpc" });
    lab.services(web(endpoint(one.port), endpoint(other.port)));
    const calls: Promise<{ code: number; details: string }>[] = [];
    for (let round = 0; round < 40; round++) {
      for (let at = 0; at < 25; at++) calls.push(client.unary(`message ${round}`));
      await calls.at(-1);
      for (const session of one.sessions) if (round % 4 === 0) session.close();
    }
    const bad = (await Promise.all(calls)).filter(({ code }) => code !== status.OK);
    assert.deepEqual(bad, []);
    assert.ok(one.opened() > 5, `${one.opened()} sessions`);
  });

  it("of grpc-js, which drains, too, and what it has begun it ends", async (t) => {
    const { client, servers, endpoints } = await grpcLab(t, [echo(), echo()], {
      protocol: "grpc",
    });
    const call = client.chat();
    const whole = ended(call);
    let got = 0;
    call.on("data", () => {
      got += 1;
    });
    call.write(Buffer.from("begin"));
    await until(() => got === 1);
    for (const [at, { server }] of servers.entries()) {
      server.drain(`127.0.0.1:${endpoints[at]!.port}`, 25_000);
    }
    const calls = Array.from({ length: 50 }, () => client.unary("x"));
    call.write(Buffer.from("go on"));
    await until(() => got === 2);
    const bad = (await Promise.all(calls)).filter(({ code }) => code !== status.OK);
    assert.deepEqual(bad, []);
    call.end();
    assert.equal((await whole).code, status.OK);
  });
});

describe("the status of a call counts", () => {
  it("against its endpoint, in trailers as in a head", async (t) => {
    for (const behind of [true, false]) {
      const failing: GrpcHandlers = {
        expand(call) {
          if (behind) call.write(Buffer.from("some"));
          call.emit("error", { code: status.UNAVAILABLE, details: "broken" });
        },
      };
      const well: GrpcHandlers = { expand: (call) => call.end() };
      const { client, servers, lab, endpoints } = await grpcLab(t, [failing, well], {
        protocol: "grpc",
        settings: {
          outlier: {
            ...{ consecutive5xx: 3, consecutiveGateway: 0, consecutiveLocal: 0 },
            ...{ splitLocalErrors: false, intervalMs: 1_000, baseEjectionMs: 60_000 },
            ...{ maxEjectionMs: 60_000, maxEjectionPercent: 100, minHealthPercent: 0 },
          },
        },
      });
      const slot = endpoints[0]!.slot;
      const isOut = () => !lab.endpoints.isAvailable(slot, performance.now());
      await until(async () => {
        await client.expand(Buffer.from("x"));
        return isOut();
      });
      assert.equal(servers[0]?.calls(), 3);
      await until(() => lab.facts.length >= 3);
      const failed = lab.facts.filter(({ grpcStatus }) => grpcStatus === status.UNAVAILABLE);
      assert.deepEqual(
        failed.map((one) => [one.status, one.error, one.endpoint?.slot]),
        [0, 1, 2].map(() => [200, null, slot]),
      );
    }
  });

  it("not against it where the caller is to blame", async (t) => {
    const refusing: GrpcHandlers = {
      unary: (_call, done) => done({ code: status.INVALID_ARGUMENT, details: "no" }),
    };
    const { client, lab, endpoints } = await grpcLab(t, [refusing], {
      protocol: "grpc",
      settings: {
        outlier: {
          ...{ consecutive5xx: 1, consecutiveGateway: 1, consecutiveLocal: 1 },
          ...{ splitLocalErrors: false, intervalMs: 1_000, baseEjectionMs: 60_000 },
          ...{ maxEjectionMs: 60_000, maxEjectionPercent: 100, minHealthPercent: 0 },
        },
      },
    });
    for (let round = 0; round < 3; round++) await client.unary("x");
    assert.ok(lab.endpoints.isAvailable(endpoints[0]!.slot, performance.now()));
  });
});

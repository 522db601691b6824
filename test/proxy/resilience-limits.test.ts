import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import type { RateLimitRule } from "../../src/core/traffic.ts";
import { endpoint, service, workload } from "../helpers/plane.ts";
import { RawClient, rawServer } from "../helpers/raw.ts";
import {
  type Behaviour,
  CALLER,
  GET,
  POST,
  resetting,
  resilienceLab,
  retry,
  silent,
  status,
  well,
} from "../helpers/resilience-lab.ts";
import { until } from "../helpers/until.ts";

const limit = (more: Partial<RateLimitRule> = {}): RateLimitRule => ({
  ...{ name: "two a second", requests: 2, periodMs: 1_000, burst: 2, per: [], ...more },
});
const withField = (line: string, request = GET) =>
  request.replace("\r\n\r\n", `\r\n${line}\r\n\r\n`);
const LIMITED = /^HTTP\/1\.1 429 [^]*X-Hostmesh-Error: RATE_LIMITED\r\n/;

describe("a rate limit", () => {
  it("of a route refuses what is beyond it, says when to come back, and keeps its word", async (t) => {
    const rule = { rateLimits: [limit()] };
    const { timers, ask, counts } = await resilienceLab(t, [well], { rule });
    assert.match(await ask(), /^HTTP\/1\.1 200 [^]*RateLimit-Remaining: 1\r\n/);
    assert.match(await ask(), /^HTTP\/1\.1 200 [^]*RateLimit: "two a second";r=0;t=1\r\n/);
    const refused = await ask();
    assert.match(refused, LIMITED);
    assert.match(refused, /\r\nRetry-After: 1\r\n/);
    assert.match(refused, /\r\nRateLimit-Policy: "two a second";q=2;w=1\r\n/);
    assert.match(refused, /\r\nx-envoy-ratelimited: true\r\n/);
    timers.advance(499);
    assert.match(await ask(), LIMITED);
    timers.advance(1);
    assert.match(await ask(), /^HTTP\/1\.1 200 /);
    assert.deepEqual(counts(), [3]);
  });

  it("holds for whoever calls itself a probe", async (t) => {
    const rule = { rateLimits: [limit({ burst: 1 })] };
    const { ask } = await resilienceLab(t, [well], { rule });
    const probe = withField("User-Agent: kube-probe/1.30");
    assert.match(await ask(probe), /^HTTP\/1\.1 200 /);
    assert.match(await ask(probe), LIMITED);
  });

  it("of a service is asked once for a request, however often it is tried", async (t) => {
    const settings = { rateLimits: [limit()] };
    const options = { settings, rule: { retry: retry() } };
    const { ask } = await resilienceLab(t, [status(503), status(503), status(503)], options);
    assert.match(await ask(), /^HTTP\/1\.1 503 /);
    assert.match(await ask(), /^HTTP\/1\.1 503 /);
    assert.match(await ask(), LIMITED);
  });

  it("of a service holds where its endpoints are, and nowhere else", async (t) => {
    const options = { settings: { rateLimits: [limit()] }, places: [{ local: false }] };
    const { ask } = await resilienceLab(t, [well], options);
    for (let turn = 0; turn < 4; turn++) assert.match(await ask(), /^HTTP\/1\.1 200 /);
  });

  it("counts callers apart, and values of a header", async (t) => {
    const rule = { rateLimits: [limit({ burst: 1, per: [{ kind: "source" }] })] };
    const workloads = [CALLER, workload(2, "other", "127.0.0.2")];
    const { ask, lab } = await resilienceLab(t, [well], { rule, workloads });
    assert.match(await ask(), /^HTTP\/1\.1 200 /);
    assert.match(await ask(), LIMITED);
    const other = await RawClient.open(lab.port, "127.0.0.1", "127.0.0.2");
    t.after(() => other.close());
    other.send(GET);
    await other.until(/^HTTP\/1\.1 200 /);

    const byKey = [limit({ burst: 1, per: [{ kind: "header", name: "x-key" }] })];
    const keyed = await resilienceLab(t, [well], { rule: { rateLimits: byKey } });
    assert.match(await keyed.ask(withField("X-Key: a")), /^HTTP\/1\.1 200 /);
    assert.match(await keyed.ask(withField("x-key: a")), LIMITED);
    assert.match(await keyed.ask(withField("X-Key: b")), /^HTTP\/1\.1 200 /);
    assert.match(await keyed.ask(), /^HTTP\/1\.1 200 /);
    assert.match(await keyed.ask(), LIMITED);
  });

  it("that has no room for another bucket lets the request pass, and it is counted", async (t) => {
    const per = [{ kind: "header", name: "x-key" }] as const;
    const rule = { rateLimits: [limit({ burst: 1, periodMs: 3_600_000, per })] };
    const { lab, send } = await resilienceLab(t, [well], { rule });
    const client = await send(
      Array.from({ length: 300 }, (_, key) => withField(`x-key: ${key}`)).join(""),
    );
    await until(() => client.received.split("HTTP/1.1 200").length === 301);
    const overflows = lab.series.event("rate_limit_overflow");
    assert.ok(overflows >= 300 - 64, `${overflows}`);
    assert.equal(overflows, lab.memory.rateLimits.overflows);
  });
});

describe("adaptive concurrency", () => {
  const settings = { concurrency: { minLimit: 2, maxLimit: 2 } };

  it("sheds what no endpoint has room for, and gives the room back", async (t) => {
    const { send, ask, counts, settle } = await resilienceLab(t, [silent], { settings });
    const clients = [await send(GET), await send(GET)];
    await until(() => counts()[0] === 2);
    const refused = await ask();
    assert.match(refused, /^HTTP\/1\.1 503 [^]*CONCURRENCY_LIMIT[^]*x-envoy-overloaded: true\r\n/);
    for (const client of clients) client.socket.resetAndDestroy();
    await settle();
    const next = await send(GET);
    await until(() => counts()[0] === 3);
    next.socket.resetAndDestroy();
    await settle();
  });

  it("lets probes in up to twice the limit, and no further", async (t) => {
    const { send, ask, counts, settle } = await resilienceLab(t, [silent], { settings });
    const probe = withField("User-Agent: kube-probe/1.30");
    const clients = await Promise.all([GET, GET, probe, probe].map((text) => send(text)));
    await until(() => counts()[0] === 4);
    assert.match(await ask(probe), /CONCURRENCY_LIMIT/);
    for (const client of clients) client.socket.resetAndDestroy();
    await settle();
  });
});

describe("a fault", () => {
  it("delays, then aborts, and a client that goes away in the delay costs nothing", async (t) => {
    const rule = {
      fault: { delay: { ms: 5_000, percent: 100 }, abort: { status: 418, percent: 100 } },
    };
    const { timers, send, counts, settle, lab } = await resilienceLab(t, [well], { rule });
    const client = await send(GET);
    const leaver = await send(GET);
    await until(() => lab.plane.stats().connections === 2 && timers.size > 0);
    leaver.socket.resetAndDestroy();
    await until(() => lab.facts.length === 1);
    timers.advance(4_999);
    assert.equal(client.received, "");
    timers.advance(1);
    await client.until(/^HTTP\/1\.1 418 [^]*FAULT_INJECTED/);
    assert.deepEqual(counts(), [0]);
    await settle();
  });

  it("is drawn by its share, which a request may lower and not raise", async (t) => {
    const rule = { fault: { abort: { status: 418, percent: 30 } } };
    const { chance, ask } = await resilienceLab(t, [well], { rule });
    await ask("GET / HTTP/1.1\r\nHost: web\r\n\r\n");
    for (const [drawn, fields, code] of [
      [0.299, "", 418],
      [0.3, "", 200],
      [0.299, "x-envoy-fault-abort-request: 503\r\n", 503],
      [
        0.3,
        "x-envoy-fault-abort-request: 503\r\nx-envoy-fault-abort-request-percentage: 99\r\n",
        200,
      ],
      [
        0.299,
        "x-envoy-fault-abort-request: 503\r\nx-envoy-fault-abort-request-percentage: 10\r\n",
        200,
      ],
    ] as const) {
      chance.value = drawn;
      const answer = await ask(`GET / HTTP/1.1\r\nHost: web\r\n${fields}\r\n`);
      assert.ok(answer.startsWith(`HTTP/1.1 ${code} `), `${drawn} ${fields}: ${answer}`);
    }
  });
});

test("a request that asks for retries itself gets them, within the daemon's bound", async (t) => {
  const workloads = [CALLER];
  const asking = "x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 1000";
  const settings = { retryBudget: { ratio: 1, minPerSecond: 100, ttlMs: 10_000 } };
  const { timers, chance, send, counts } = await resilienceLab(t, [status(503)], {
    ...{ workloads, settings },
  });
  chance.value = 0;
  const client = await send(withField(asking));
  await client.until(/^HTTP\/1\.1 503 /);
  assert.deepEqual(counts(), [11]);
  assert.equal(timers.size, 0);
});

describe("a mirror", () => {
  const mirrors = [{ backend: { service: "default/shadow" }, percent: 100 }];

  async function mirrored(t: Parameters<typeof resilienceLab>[0], behaviour: Behaviour) {
    const shadow = await rawServer(behaviour);
    const made = await resilienceLab(t, [well], { rule: { mirrors } });
    const place = endpoint(shadow.port);
    made.lab.services(made.web, service("shadow", [place]));
    t.after(() => shadow.close());
    return { ...made, shadow, slot: place.slot };
  }

  it("that hangs delays nobody, and is let go after its time", async (t) => {
    const { lab, timers, shadow, slot, ask } = await mirrored(t, silent);
    for (let turn = 0; turn < 5; turn++) assert.match(await ask(), /^HTTP\/1\.1 200 [^]*ok$/);
    await until(() => shadow.received.join("").split("GET / ").length === 6);
    assert.equal(lab.endpoints.inFlight(slot), 5);
    timers.advance(15_000);
    await until(() => lab.endpoints.inFlight(slot) === 0);
    assert.equal(lab.series.event("mirror_failed"), 5);
    assert.ok(lab.facts.every(({ status: code, attempts }) => code === 200 && attempts === 1));
  });

  it("that is dead, resets, answers garbage or errors fails nobody, and is not on the bill", async (t) => {
    const garbage: Behaviour = (socket) => socket.end("garbage\r\n\r\n");
    for (const behaviour of [garbage, status(500), resetting] as const) {
      const { lab, slot, ask, settle } = await mirrored(t, behaviour);
      for (let turn = 0; turn < 5; turn++) assert.match(await ask(), /^HTTP\/1\.1 200 [^]*ok$/);
      await until(() => lab.endpoints.inFlight(slot) === 0);
      assert.equal(lab.facts.length, 5);
      assert.ok(lab.facts.every(({ service: of }) => of?.key === "default/web"));
      await settle();
    }
    const { lab, shadow, ask } = await mirrored(t, well);
    await shadow.close();
    assert.match(await ask(), /^HTTP\/1\.1 200 [^]*ok$/);
    await until(() => lab.series.event("mirror_failed") === 1);
  });

  it("that floods is read past, and cut off after its time", async (t) => {
    const flood: Behaviour = (socket) => {
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      const chunk = `1000\r\n${"x".repeat(4_096)}\r\n`;
      const more = () => {
        while (!socket.destroyed && socket.write(chunk));
      };
      socket.on("drain", more);
      more();
    };
    const { lab, timers, slot, shadow, ask } = await mirrored(t, flood);
    assert.match(await ask(), /^HTTP\/1\.1 200 [^]*ok$/);
    await until(() => (shadow.sockets[0]?.bytesWritten ?? 0) > 1_000_000);
    assert.match(await ask(), /^HTTP\/1\.1 200 [^]*ok$/);
    timers.advance(15_000);
    await until(() => lab.endpoints.inFlight(slot) === 0);
  });

  it("gets no copy of a body above the limit, and the original goes through", async (t) => {
    const { lab, shadow, ask, servers } = await mirrored(t, well);
    const long = POST.replace("4\r\n\r\nbody", `200000\r\n\r\n${"b".repeat(200_000)}`);
    const answer = ask(long);
    await until(() => (servers[0]?.received.join("").length ?? 0) > 200_000);
    assert.match(await answer, /^HTTP\/1\.1 200 /);
    assert.equal(lab.series.event("mirror_skipped"), 1);
    assert.equal(shadow.sockets.length, 0);
  });
});

import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import type { RetryRule } from "../../src/core/traffic.ts";
import {
  type Behaviour,
  GET,
  POST,
  resetting,
  resilienceLab,
  response,
  retry,
  silent,
  status,
  well,
} from "../helpers/resilience-lab.ts";
import { until } from "../helpers/until.ts";

const PUT = POST.replace("POST", "PUT");
const garbage: Behaviour = (socket) => socket.end("SSH-2.0-OpenSSH_9.6\r\n\r\n");
const halfHead: Behaviour = (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Le");
const halfBody: Behaviour = (socket) =>
  socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");

/** Nobody listens there. */
const NOWHERE = { port: 1 } as const;

type Case = readonly [what: string, on: RetryRule["on"], behaviour: Behaviour, isRetried: boolean];

const CASES: readonly Case[] = [
  ["5xx and a 500", ["5xx"], status(500), true],
  ["5xx and a 404", ["5xx"], status(404), false],
  ["5xx and a lost connection", ["5xx"], resetting, true],
  ["gateway-error and a 502", ["gateway-error"], status(502), true],
  ["gateway-error and a 504", ["gateway-error"], status(504), true],
  ["gateway-error and a 500", ["gateway-error"], status(500), false],
  ["reset and a lost connection", ["reset"], resetting, true],
  ["reset and garbage", ["reset"], garbage, true],
  ["reset and half a head", ["reset"], halfHead, true],
  ["reset and a 503", ["reset"], status(503), false],
  ["reset and half a body", ["reset"], halfBody, false],
  ["retriable-4xx and a 409", ["retriable-4xx"], status(409), true],
  ["retriable-4xx and a 429", ["retriable-4xx"], status(429), false],
  ["connect-failure and a lost connection", ["connect-failure"], resetting, false],
  ["reset-before-request and a lost connection", ["reset-before-request"], resetting, false],
  ["nothing and a 503", [], status(503), false],
];

describe("what a rule retries:", () => {
  for (const [what, on, behaviour, isRetried] of CASES) {
    it(`${what}: ${isRetried ? "yes" : "no"}`, async (t) => {
      const rule = { retry: retry({ on }) };
      const { ask, counts, settle } = await resilienceLab(t, [behaviour, well], { rule });
      await ask();
      assert.deepEqual(counts(), [1, isRetried ? 1 : 0]);
      await settle();
    });
  }

  for (const on of ["connect-failure", "reset-before-request", "5xx", "reset"] as const) {
    it(`${on} and a refused connection: yes, a POST too`, async (t) => {
      const rule = { retry: retry({ on: [on] }) };
      const options = { rule, places: [NOWHERE] };
      const { ask, counts } = await resilienceLab(t, [well, well], options);
      assert.match(await ask(POST), /^HTTP\/1\.1 200 /);
      assert.deepEqual(counts(), [0, 1]);
    });
  }

  it("statuses that it names, and no others", async (t) => {
    const rule = { retry: retry({ on: [], statuses: [[418, 420]] }) };
    const lab = await resilienceLab(t, [status(419), status(421)], { rule });
    assert.match(await lab.ask(), /^HTTP\/1\.1 421 /);
    assert.deepEqual(lab.counts(), [1, 1]);
  });
});

test("there are as many tries as the rule says, and one where it says none", async (t) => {
  const failing = [status(503), status(503), status(503), status(503)];
  for (const attempts of [0, 1, 3]) {
    const rule = { retry: retry({ attempts }) };
    const { ask, counts, settle } = await resilienceLab(t, failing, { rule });
    assert.match(await ask(), /^HTTP\/1\.1 503 /);
    // None of them was tried twice.
    assert.deepEqual(
      counts(),
      failing.map((_, at) => (at <= attempts ? 1 : 0)),
    );
    await settle();
  }
});

test("an endpoint that is alone gets the retry too", async (t) => {
  let requests = 0;
  const second: Behaviour = (socket, received, index) =>
    (++requests === 1 ? status(503) : well)(socket, received, index);
  const { ask } = await resilienceLab(t, [second], { rule: { retry: retry() } });
  assert.match(await ask(), /^HTTP\/1\.1 200 /);
});

describe("the repetition of a request", () => {
  it("is refused to a POST that may have been acted on", async (t) => {
    for (const behaviour of [status(503), resetting, garbage]) {
      const { ask, counts } = await resilienceLab(t, [behaviour, well], {
        rule: { retry: retry({ on: ["5xx", "reset"], statuses: [[503, 503]] }) },
      });
      await ask(POST);
      assert.deepEqual(counts(), [1, 0]);
    }
  });

  it("is granted to a POST whose rule says that it is safe, with its body", async (t) => {
    const rule = { retry: retry({ unsafe: true }) };
    const { ask, servers } = await resilienceLab(t, [resetting, well], { rule });
    assert.match(await ask(POST), /^HTTP\/1\.1 200 /);
    assert.match(servers[1]!.received.join(""), /\r\n\r\nbody$/);
  });

  it("sends the same body again, chunks and all", async (t) => {
    const body = "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n";
    const whole: Behaviour = (socket, received) => {
      if (received.endsWith(`\r\n\r\n${body}`)) socket.write(response(200));
    };
    const { ask } = await resilienceLab(t, [resetting, whole], { rule: { retry: retry() } });
    const answer = await ask(
      `PUT / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n${body}`,
    );
    assert.match(answer, /^HTTP\/1\.1 200 /);
  });

  it("is given up for a body above the limit of the rule, or of the daemon", async (t) => {
    const long = `PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: 3000\r\n\r\n${"b".repeat(3_000)}`;
    const ruled = await resilienceLab(t, [status(503), well], {
      rule: { retry: retry({ bodyBytes: 2_999 }) },
    });
    assert.match(await ruled.ask(long), /^HTTP\/1\.1 503 /);
    const bounded = await resilienceLab(t, [status(503), well], {
      rule: { retry: retry() },
      config: { limits: { replayBytes: 2_999 } },
    });
    assert.match(await bounded.ask(long), /^HTTP\/1\.1 503 /);
    const allowed = await resilienceLab(t, [status(503), well], {
      rule: { retry: retry({ bodyBytes: 3_000 }) },
    });
    assert.match(await allowed.ask(long), /^HTTP\/1\.1 200 /);
  });

  it("is refused to a response of a proxy that has too much to do", async (t) => {
    const overloaded = status(503, "x-envoy-overloaded: true\r\n");
    const { ask, counts } = await resilienceLab(t, [overloaded, well], {
      rule: { retry: retry() },
    });
    assert.match(await ask(), /^HTTP\/1\.1 503 /);
    assert.deepEqual(counts(), [1, 0]);
  });
});

describe("without any rule", () => {
  for (const [what, behaviour] of Object.entries({ garbage, halfHead, resetting })) {
    it(`an idempotent request goes on to another endpoint after ${what}`, async (t) => {
      const { ask, counts } = await resilienceLab(t, [behaviour, well]);
      assert.match(await ask(), /^HTTP\/1\.1 200 /);
      assert.match(await ask(PUT), /^HTTP\/1\.1 200 /);
      assert.match(await ask(POST), /^HTTP\/1\.1 502 /);
      assert.deepEqual(counts(), [2, 2]);
    });
  }
});

describe("a failure that the daemon of the endpoint's host names", () => {
  const lost = status(502, "X-Hostmesh-Error: UPSTREAM_RESET\r\n");
  const far = [{ local: false }, { local: false }];

  it("sends an idempotent request on to another endpoint", async (t) => {
    const { ask, counts, settle } = await resilienceLab(t, [lost, well], { places: far });
    assert.match(await ask(), /^HTTP\/1\.1 200 /);
    assert.deepEqual(counts(), [1, 1]);
    await settle();
  });

  it("counts as that failure for a rule", async (t) => {
    const options = { places: far, rule: { retry: retry({ on: ["reset"] }) } };
    const { ask } = await resilienceLab(t, [lost, well], options);
    assert.match(await ask(), /^HTTP\/1\.1 200 /);
  });

  it("is no more than its response for a POST, for one that nobody repeats, and from this host", async (t) => {
    const refused = status(502, "X-Hostmesh-Error: CONNECT_REFUSED\r\n");
    const timeout = status(504, "X-Hostmesh-Error: UPSTREAM_TIMEOUT\r\n");
    const post = await resilienceLab(t, [refused, well], { places: far });
    assert.match(await post.ask(POST), /^HTTP\/1\.1 502 [^]*ok$/);
    const late = await resilienceLab(t, [timeout, well], { places: far });
    assert.match(await late.ask(), /^HTTP\/1\.1 504 [^]*ok$/);
    const here = await resilienceLab(t, [lost, well]);
    assert.match(await here.ask(), /^HTTP\/1\.1 502 [^]*ok$/);
  });
});

describe("the pause before a retry", () => {
  it("has full jitter in a range that doubles, up to its maximum", async (t) => {
    const backoff = { baseMs: 100, maxMs: 500 };
    const rule = { retry: retry({ attempts: 4, backoff }) };
    const { chance, timers, send, counts, lab } = await resilienceLab(t, [status(503)], { rule });
    for (const share of [0.5, 0.9]) {
      chance.value = share;
      const before = counts()[0]!;
      const client = await send(GET);
      for (const [retries, most] of [100, 300, 500, 500].entries()) {
        await until(() => counts()[0] === before + retries + 1 && timers.size > 0);
        assert.equal(Math.round(timers.nextMs), Math.ceil(share * most));
        timers.advance(share * most - 1);
        timers.advance(1);
      }
      await client.until(/^HTTP\/1\.1 503 /);
    }
    await until(() => lab.facts.length === 2);
  });

  it("is what the endpoint asks for, and up to half of it more", async (t) => {
    const busy = status(503, "Retry-After: 2\r\n");
    const rule = { retry: retry({ attempts: 1 }) };
    const { chance, timers, send, counts } = await resilienceLab(t, [well, busy], { rule });
    chance.value = 0.5;
    const client = await send(GET);
    await until(() => timers.size > 0 && counts()[1] === 1);
    assert.equal(timers.nextMs, 2_500);
    timers.advance(2_500);
    await client.until(/^HTTP\/1\.1 200 /);
  });

  it("is not made for an endpoint that asks for longer than the daemon waits", async (t) => {
    const busy = status(503, "Retry-After: 11\r\n");
    const { ask, counts } = await resilienceLab(t, [busy, well], { rule: { retry: retry() } });
    assert.match(await ask(), /^HTTP\/1\.1 503 [^]*Retry-After: 11\r\n/);
    assert.deepEqual(counts(), [1, 0]);
  });

  it("ends with a client that goes away", async (t) => {
    const rule = { retry: retry({ backoff: { baseMs: 1_000, maxMs: 1_000 } }) };
    const { chance, timers, send, counts, settle } = await resilienceLab(t, [well, status(503)], {
      rule,
    });
    chance.value = 0.5;
    const client = await send(GET);
    await until(() => timers.size > 0 && counts()[1] === 1);
    client.socket.resetAndDestroy();
    await settle();
    timers.advance(10_000);
    assert.deepEqual(counts(), [0, 1]);
  });
});

describe("a retry budget", () => {
  const budget = { ratio: 0.2, minPerSecond: 0, ttlMs: 10_000 };
  const ofRequests = (received: string) => received.split("HTTP/1.1 503").length - 1;

  it("allows exactly its share of the requests", async (t) => {
    const settings = { retryBudget: budget };
    const rule = { retry: retry() };
    const { send, counts, settle } = await resilienceLab(t, [status(503)], { rule, settings });
    const client = await send(GET.repeat(50));
    await until(() => ofRequests(client.received) === 50);
    assert.deepEqual(counts(), [60]);
    await settle();
  });

  it("is not charged for a retry that there is no time for", async (t) => {
    const rule = {
      timeouts: { requestMs: 400 },
      retry: retry({ backoff: { baseMs: 1_000, maxMs: 1_000 } }),
    };
    const settings = { retryBudget: budget };
    const options = { rule, settings };
    const { chance, send, counts } = await resilienceLab(t, [status(503)], options);
    chance.value = 0.9;
    const late = await send(GET.repeat(10));
    await until(() => ofRequests(late.received) === 10);
    assert.deepEqual(counts(), [10]);
    chance.value = 0;
    const early = await send(GET);
    await until(() => ofRequests(early.received) === 1);
    // 11 requests allow two retries, and the ten before have used none.
    assert.deepEqual(counts(), [13]);
  });

  it("refuses, and the request gets the failure of its last try", async (t) => {
    const settings = { retryBudget: budget };
    const { ask, lab } = await resilienceLab(t, [resetting, well], { settings });
    assert.match(await ask(), /^HTTP\/1\.1 502 [^]*UPSTREAM_RESET/);
    assert.equal(lab.series.event("retry_over_budget"), 1);
  });

  it("limits the retries under way at one time", async (t) => {
    const rule = { retry: retry({ perTryMs: 100, attempts: 1 }) };
    const settings = { connections: { maxRetries: 2 } };
    const { timers, send, counts, settle, lab } = await resilienceLab(t, [silent, silent], {
      ...{ rule, settings },
    });
    const clients = await Promise.all([GET, GET, GET, GET].map((text) => send(text)));
    await until(() => counts()[0]! + counts()[1]! === 4);
    timers.advance(100);
    // Two go on, and two have their answer.
    await until(() => counts()[0]! + counts()[1]! === 6);
    await until(() => lab.facts.length === 2);
    assert.equal(lab.memory.serviceLimits.retries(1), 2);
    assert.equal(lab.series.event("retry_over_limit"), 2);
    timers.advance(100);
    for (const client of clients) await client.until("TRY_TIMEOUT");
    await settle();
  });
});

test("with a limit for a try, requests survive an endpoint that hangs", async (t) => {
  const rule = { retry: retry({ perTryMs: 250 }) };
  const { timers, send, counts, settle } = await resilienceLab(t, [silent, well, well], { rule });
  const clients = await Promise.all(Array.from({ length: 30 }, () => send(GET)));
  const answered = () => clients.filter(({ received }) => received.endsWith("ok")).length;
  await until(() => answered() === 20 && counts()[0] === 10);
  timers.advance(250);
  await until(() => answered() === 30);
  await settle();
});

describe("what has reached no application", () => {
  const dead = (count: number) => Array.from({ length: count }, () => NOWHERE);
  const servers = (count: number) => Array.from({ length: count }, () => well);
  const NO_BUDGET = { retries: { budgetPercent: 0.001, minPerSecond: 0 } };

  for (const [how, rule] of [
    ["without a rule", undefined],
    ["whatever number of tries a rule allows", { retry: retry({ attempts: 1, on: ["5xx"] }) }],
  ] as const) {
    it(`goes on to the one endpoint that lives, outside of the budget: ${how}`, async (t) => {
      const options = {
        places: dead(6),
        config: NO_BUDGET,
        ...(rule === undefined ? {} : { rule }),
      };
      const { ask, counts, settle } = await resilienceLab(t, servers(7), options);
      for (const text of [GET, POST]) assert.match(await ask(text), /^HTTP\/1\.1 200 /);
      assert.deepEqual(counts(), [0, 0, 0, 0, 0, 0, 2]);
      await settle();
    });
  }

  it("stays where it is for a rule without retries, and does not look for ever", async (t) => {
    const rule = { retry: retry({ attempts: 0 }) };
    const none = await resilienceLab(t, servers(2), { rule, places: dead(1) });
    assert.match(await none.ask(), /^HTTP\/1\.1 502 /);
    const many = await resilienceLab(t, servers(30), { places: dead(29) });
    assert.match(await many.ask(), /^HTTP\/1\.1 502 /);
    assert.ok((many.lab.facts.at(-1)?.attempts ?? 0) < 15);
  });
});

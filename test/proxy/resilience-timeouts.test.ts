import assert from "node:assert/strict";
import { test } from "node:test";
import { blackhole } from "../helpers/blackhole.ts";
import { endpoint } from "../helpers/plane.ts";
import {
  CALLER,
  GET,
  POST,
  resilienceLab,
  response,
  retry,
  silent,
  status,
  well,
} from "../helpers/resilience-lab.ts";
import { traffic } from "../helpers/route-lab.ts";
import { until } from "../helpers/until.ts";

const HEADLESS = "GET / HTTP/1.1\r\nHost: web\r\n";

test("a request ends at its limit, and not before", async (t) => {
  const rule = { timeouts: { requestMs: 500 } };
  const { timers, servers, send, settle, lab } = await resilienceLab(t, [silent], { rule });
  const client = await send(GET);
  await until(() => servers[0]!.received.length > 0);
  timers.advance(499);
  assert.equal(lab.facts.length, 0);
  timers.advance(1);
  await client.until(/^HTTP\/1\.1 504 [^]*X-Hostmesh-Error: REQUEST_TIMEOUT\r\n/);
  await settle();
});

test("the limit counts from the end of the request's body on", async (t) => {
  const rule = { timeouts: { requestMs: 500 } };
  const { timers, servers, send, lab } = await resilienceLab(t, [silent], { rule });
  const client = await send(POST.slice(0, -2));
  await until(() => servers[0]!.received.join("").endsWith("bo"));
  timers.advance(5_000);
  assert.equal(lab.facts.length, 0);
  client.send("dy");
  await until(() => servers[0]!.received.join("").endsWith("body"));
  timers.advance(499);
  assert.equal(lab.facts.length, 0);
  timers.advance(1);
  await client.until("REQUEST_TIMEOUT");
});

test("a response that is under way when the limit is over breaks visibly", async (t) => {
  const rule = { timeouts: { requestMs: 500 } };
  const partial = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
  const { timers, send, settle, lab } = await resilienceLab(
    t,
    [(socket) => socket.write(partial)],
    { rule },
  );
  const client = await send(GET);
  await client.until("half");
  timers.advance(500);
  await client.untilEnd();
  assert.equal(lab.facts[0]?.error, "REQUEST_TIMEOUT");
  await settle();
});

test("a try that has its time goes on at another endpoint; a POST has been tried", async (t) => {
  const rule = { retry: retry({ perTryMs: 200 }) };
  const { timers, servers, send, counts, settle } = await resilienceLab(t, [silent, well], {
    rule,
  });
  // Whoever comes first meets the frozen endpoint; the one after it meets the other.
  const first = await send(GET);
  await until(() => counts()[0] === 1);
  timers.advance(200);
  await first.until(/^HTTP\/1\.1 200 /);
  const post = await send(POST);
  await until(() => servers[0]!.received.join("").includes("POST"));
  timers.advance(200);
  await post.until("X-Hostmesh-Error: TRY_TIMEOUT");
  assert.deepEqual(counts(), [2, 1]);
  await settle();
});

test("a try whose request came to its end while it waited for a connection has its time too", async (t) => {
  const settings = { connections: { maxConnections: 1 } };
  const rule = { retry: retry({ perTryMs: 200, attempts: 0 }) };
  const { timers, lab, send, settle } = await resilienceLab(t, [silent], { rule, settings });
  const holder = await send("PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: 9\r\n\r\nx");
  await until(() => lab.plane.stats().busyUpstream === 1);
  const waiter = await send(POST.slice(0, -4));
  await until(() => lab.plane.stats().pending === 1);
  waiter.send("body");
  // What it sends is read again only once it has a connection.
  holder.close();
  await until(() => lab.facts.length === 1 && lab.plane.stats().pending === 0);
  await until(() => timers.size > 0);
  timers.advance(200);
  await waiter.until("TRY_TIMEOUT");
  await settle();
});

test("a request that waited for a free connection in vain says nothing about the endpoint", async (t) => {
  const settings = {
    connections: { maxConnections: 1 },
    outlier: {
      ...{ consecutive5xx: 1, consecutiveGateway: 0, consecutiveLocal: 1, splitLocalErrors: true },
      ...{ intervalMs: 10_000, baseEjectionMs: 30_000, maxEjectionMs: 300_000 },
      ...{ maxEjectionPercent: 100, minHealthPercent: 0 },
    },
  };
  const rule = { retry: retry({ perTryMs: 200, attempts: 0 }) };
  const { timers, lab, web, send, settle } = await resilienceLab(t, [silent], { rule, settings });
  const holder = await send("PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: 9\r\n\r\nx");
  await until(() => lab.plane.stats().busyUpstream === 1);
  const waiter = await send(GET);
  await until(() => lab.plane.stats().pending === 1 && timers.size > 0);
  timers.advance(200);
  await waiter.until("TRY_TIMEOUT");
  const { slot } = web.endpoints[0]!;
  assert.equal(lab.endpoints.isAvailable(slot, timers.clock.now()), true);
  holder.close();
  await settle();
});

test("a response that stops comes to its end by the idle limit of the rule", async (t) => {
  const rule = { timeouts: { idleMs: 3_000 } };
  const partial = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
  const { timers, send, settle, lab } = await resilienceLab(
    t,
    [(socket) => socket.write(partial)],
    { rule },
  );
  const client = await send(GET);
  await client.until("half");
  timers.advance(3_001);
  await client.untilEnd();
  assert.equal(lab.facts[0]?.error, "UPSTREAM_STALLED");
  await settle();
});

test("an endpoint that does not accept is given up after the service's limit, and another one asked", async (t) => {
  const hole = await blackhole();
  t.after(() => hole.close());
  const { timers, lab, web, send, settle } = await resilienceLab(t, [well]);
  const settings = { connections: { connectTimeoutMs: 700 } };
  const endpoints = [endpoint(hole.port), ...web.endpoints];
  lab.services({ ...web, endpoints, traffic: traffic(settings) });
  const client = await send(GET);
  await until(() => lab.plane.stats().pending === 1);
  timers.advance(701);
  await client.until(/^HTTP\/1\.1 200 /);
  assert.equal(lab.facts[0]?.attempts, 2);
  await settle();
});

test("what is left to the caller shortens the limit, and the endpoint is told what is left to it", async (t) => {
  const rule = { timeouts: { requestMs: 1_000 }, retry: retry({ perTryMs: 100 }) };
  const workloads = [CALLER];
  const { timers, servers, send, counts } = await resilienceLab(t, [silent, silent], {
    ...{ rule, workloads },
  });
  const client = await send(`${HEADLESS}x-envoy-expected-rq-timeout-ms: 300\r\n\r\n`);
  await until(() => counts()[0] === 1);
  timers.advance(100);
  await until(() => counts()[1] === 1);
  const [first, second] = servers.map(({ received }) => deadlines(received.join("")));
  assert.deepEqual([first, second], [["300"], ["200"]]);
  timers.advance(199);
  timers.advance(1);
  await client.until("REQUEST_TIMEOUT");
});

test("gRPC is told in its own field too, and once", async (t) => {
  const rule = { timeouts: { requestMs: 1_000 } };
  const options = { rule, workloads: [CALLER] };
  const { servers, ask } = await resilienceLab(t, [well], options);
  await ask(
    `${HEADLESS}Content-Type: application/grpc+proto\r\ngrpc-timeout: 300m\r\nTE: trailers\r\n\r\n`,
  );
  const seen = servers[0]!.received.join("");
  assert.deepEqual(seen.match(/^grpc-timeout: .*$/gim), ["grpc-timeout: 300m"]);
  assert.deepEqual(deadlines(seen), ["300"]);
});

test("whoever may not set limits is told on with the shorter of both", async (t) => {
  const rule = { timeouts: { requestMs: 1_000 } };
  const { servers, ask } = await resilienceLab(t, [well], { rule });
  await ask(`${HEADLESS}X-Envoy-Expected-Rq-Timeout-Ms: 300\r\n\r\n`);
  await ask(`${HEADLESS}X-Envoy-Expected-Rq-Timeout-Ms: 3000\r\n\r\n`);
  assert.deepEqual(deadlines(servers[0]!.received.join("")), ["300", "1000"]);
});

test("a request names its own limits, which do not reach the endpoint", async (t) => {
  const rule = { timeouts: { requestMs: 60_000 }, retry: retry({ perTryMs: 50_000 }) };
  const options = { rule, workloads: [CALLER] };
  const { timers, servers, send, counts } = await resilienceLab(t, [silent, silent], options);
  const wishes =
    "x-envoy-upstream-rq-timeout-ms: 500\r\nl5d-retry-timeout: 200ms\r\nl5d-retry-limit: 1\r\nl5d-retry-grpc: internal\r\n";
  const client = await send(`${HEADLESS}${wishes}\r\n`);
  await until(() => counts()[0] === 1);
  timers.advance(200);
  await until(() => counts()[1] === 1);
  timers.advance(200);
  await client.until("TRY_TIMEOUT");
  assert.doesNotMatch(servers[0]!.received.join(""), /l5d-|upstream-rq/i);
  assert.deepEqual(deadlines(servers[0]!.received.join("")), ["500"]);
});

test("an answer whose retry would come too late is passed on", async (t) => {
  const pauses = { baseMs: 1_000, maxMs: 1_000 };
  const rule = { timeouts: { requestMs: 400 }, retry: retry({ backoff: pauses }) };
  const { chance, ask, counts, settle } = await resilienceLab(t, [status(503)], { rule });
  chance.value = 0.5;
  assert.match(await ask(), /^HTTP\/1\.1 503 [^]*ok$/);
  assert.deepEqual(counts(), [1]);
  await settle();
});

function deadlines(received: string): string[] {
  const lines = received.matchAll(/^x-envoy-expected-rq-timeout-ms: (.*)$/gim);
  return [...lines].map(([, value]) => value!.trim());
}

test("the answer within its time is the answer", async (t) => {
  const rule = { timeouts: { requestMs: 500 }, retry: retry({ perTryMs: 200 }) };
  const { timers, ask, settle } = await resilienceLab(t, [well], { rule });
  assert.equal(await ask().then((text) => text.endsWith(response(200).slice(-2))), true);
  timers.advance(60_000);
  assert.equal(timers.size, 0);
  await settle();
});

test("the limit of a try that a rule sets holds beside retries that set none", async (t) => {
  const rule = { timeouts: { perTryMs: 200 }, retry: retry({ attempts: 1, on: ["timeout"] }) };
  const lab = await resilienceLab(t, [silent, well], { rule });
  const client = await lab.send(GET);
  await until(() => lab.counts()[0] === 1);
  lab.timers.advance(200);
  await client.until("ok");
  assert.deepEqual(lab.counts(), [1, 1]);
});

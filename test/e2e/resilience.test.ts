import assert from "node:assert/strict";
import type { RequestListener } from "node:http";
import test from "node:test";
import { skip } from "../daemon/up-process.ts";
import { until } from "../helpers/until.ts";
import { RoutingStage } from "./routing-stage.ts";

/** In turns, so that the endpoint that fails gets its share of first tries. */
const IN_TURNS = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: ratings
spec:
  host: ratings
  trafficPolicy:
    loadBalancer:
      simple: ROUND_ROBIN
---`;

const RETRIES = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: ratings
spec:
  hosts:
  - ratings
  http:
  - route:
    - destination:
        host: ratings
    retries:
      attempts: 2
      perTryTimeout: 300ms
      retryOn: 5xx,connect-failure,reset
`;

const TIMEOUT = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: ratings
spec:
  hosts:
  - ratings
  http:
  - route:
    - destination:
        host: ratings
    timeout: 400ms
    retries:
      attempts: 0
`;

/** Of Istio's tutorial on circuit breaking. */
const CIRCUIT = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: httpbin
spec:
  host: httpbin
  trafficPolicy:
    connectionPool:
      tcp:
        maxConnections: 1
      http:
        http1MaxPendingRequests: 1
        maxRequestsPerConnection: 1
`;

const EJECTION = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: details
spec:
  host: details
  trafficPolicy:
    loadBalancer:
      simple: ROUND_ROBIN
    outlierDetection:
      consecutive5xxErrors: 2
      interval: 1s
      baseEjectionTime: 3m
      maxEjectionPercent: 100
`;

const failing: RequestListener = (_, response) => response.writeHead(503).end("failed");
const hanging: RequestListener = () => undefined;

test("what is applied makes a service survive its endpoints", { skip }, async (t) => {
  const stage = await RoutingStage.start(t, {
    balance: { consecutiveFailures: 0 },
    retries: { minPerSecond: 100 },
  });
  const [bad, good] = await stage.versions("ratings", "v1", "v2");
  const [httpbin] = await stage.versions("httpbin", "v1");
  const [broken] = await stage.versions("details", "v1", "v2");
  assert.ok(bad && good && httpbin && broken);

  await t.test("retries go to the endpoint that works, and none of a POST", async () => {
    await stage.apply(IN_TURNS + RETRIES);
    bad.answer = failing;
    assert.deepEqual(await stage.tally("ratings", 10), { "ratings-v2": 10 });
    assert.ok(bad.seen.length > 0, "some met it first");
    const posts = await stage.tally("ratings", 10, { method: "POST", body: "x" });
    assert.deepEqual(posts, { "503": 5, "ratings-v2": 5 });
  });

  await t.test("a limit for each try brings requests past an endpoint that hangs", async () => {
    bad.answer = hanging;
    bad.seen.splice(0);
    const asked = Array.from({ length: 12 }, () => stage.ask("ratings"));
    for (const { body } of await Promise.all(asked)) assert.equal(body, "ratings-v2");
    assert.ok(bad.seen.length > 0, "some met it first");
  });

  await t.test("a request has its time, and its endpoint is told how much", async () => {
    await stage.apply(TIMEOUT);
    good.answer = hanging;
    const late = await stage.ask("ratings");
    assert.deepEqual([late.status, late.headers["x-hostmesh-error"]], [504, "REQUEST_TIMEOUT"]);
    const told = [...bad.seen, ...good.seen].flatMap(
      ({ headers }) => headers["x-envoy-expected-rq-timeout-ms"] ?? [],
    );
    assert.ok(told.length > 0 && told.every((ms) => Number(ms) > 0 && Number(ms) <= 400));
    bad.answer = null;
    good.answer = null;
  });

  await t.test("connections and those who wait for one are limited, and given back", async () => {
    await stage.apply(CIRCUIT);
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    httpbin.answer = (_, response) => void held.then(() => response.end("held"));
    const first = stage.ask("httpbin");
    await until(() => httpbin.seen.length === 1);
    const others = [stage.ask("httpbin"), stage.ask("httpbin")];
    const refused = await Promise.race(others);
    assert.equal(refused.status, 503);
    assert.equal(refused.headers["x-hostmesh-error"], "CIRCUIT_OPEN");
    assert.equal(refused.headers["x-envoy-overloaded"], "true");
    release();
    const statuses = (await Promise.all([first, ...others])).map(({ status }) => status);
    assert.deepEqual(statuses.sort(), [200, 200, 503]);
    assert.deepEqual(await stage.tally("httpbin", 3), { held: 3 });
  });

  await t.test("an endpoint that fails is ejected for all", async () => {
    await stage.apply(EJECTION);
    broken.answer = failing;
    const found = await stage.tally("details", 20);
    assert.deepEqual(found, { "503": 2, "details-v2": 18 });
  });
});

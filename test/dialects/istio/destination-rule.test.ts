import assert from "node:assert/strict";
import { test } from "node:test";
import { onlyOf, refusals, resource, warnedPaths } from "./fixtures.ts";

const ruleFor = (trafficPolicy: object) =>
  resource("DestinationRule", { host: "a", trafficPolicy });
const settingsOf = (trafficPolicy: object) => onlyOf("traffic", ruleFor(trafficPolicy)).settings;
const refusedAt = (trafficPolicy: object) =>
  refusals(ruleFor(trafficPolicy)).map((text) => text.replace(/: .*$/s, ""));

test("the host is resolved as everywhere, and a root namespace is known as one", () => {
  const of = (host: string, namespace: string) => {
    const { service, root } = onlyOf(
      "traffic",
      resource("DestinationRule", { host }, { namespace }),
    );
    return [service, root];
  };
  assert.deepEqual(of("reviews", "shop"), ["shop/reviews", false]);
  assert.deepEqual(of("reviews.prod.svc.cluster.local", "shop"), ["prod/reviews", false]);
  assert.deepEqual(of("*.local", "istio-system"), ["host:*.local", true]);
  assert.deepEqual(of("*", "istio-system"), ["host:*", true]);
});

test("what is not said is left to the service and the daemon", () => {
  assert.deepEqual(settingsOf({}), {});
  assert.deepEqual(settingsOf({ loadBalancer: { simple: "UNSPECIFIED" } }), {});
  assert.deepEqual(settingsOf({ connectionPool: { tcp: {} } }), { connections: {} });
});

test("balancers by Istio's names", () => {
  const policyOf = (simple: string) => settingsOf({ loadBalancer: { simple } }).balancer?.policy;
  assert.equal(policyOf("LEAST_REQUEST"), "least-request");
  assert.equal(policyOf("LEAST_CONN"), "least-request");
  assert.equal(policyOf("ROUND_ROBIN"), "round-robin");
  assert.equal(policyOf("RANDOM"), "random");
  const [passthrough] = refusals(ruleFor({ loadBalancer: { simple: "PASSTHROUGH" } }));
  assert.match(passthrough ?? "", /^spec\.trafficPolicy\.loadBalancer\.simple: PASSTHROUGH is/);
});

test("a warm-up is for least request where nobody chose, and has no effect with others", () => {
  const warmup = { duration: "30s" };
  assert.deepEqual(settingsOf({ loadBalancer: { warmup } }).balancer, {
    policy: "least-request",
    slowStartMs: 30_000,
    slowStartMinPercent: 10,
    slowStartAggression: 1,
  });
  for (const other of [{ simple: "RANDOM" }, { consistentHash: { useSourceIp: true } }]) {
    const policy = { loadBalancer: { ...other, warmup } };
    assert.equal(settingsOf(policy).balancer?.slowStartMs, 0);
    assert.deepEqual(warnedPaths(ruleFor(policy)), ["spec.trafficPolicy.loadBalancer.warmup"]);
  }
});

test("a cookie is set where it has an age, for the session where that is 0s", () => {
  const hashOf = (cookie: object) =>
    settingsOf({ loadBalancer: { consistentHash: { httpCookie: { name: "u", ...cookie } } } })
      .balancer?.hashOn;
  assert.deepEqual(hashOf({}), { kind: "cookie", name: "u" });
  assert.deepEqual(hashOf({ ttl: "0s" }), { kind: "cookie", name: "u", ttlSeconds: 0 });
  assert.deepEqual(hashOf({ ttl: "1500ms", path: "/" }), {
    kind: "cookie",
    name: "u",
    ttlSeconds: 2,
    path: "/",
  });
});

test("outlierDetection by itself has Istio's defaults", () => {
  assert.deepEqual(settingsOf({ outlierDetection: {} }).outlier, {
    consecutive5xx: 5,
    consecutiveGateway: 0,
    consecutiveLocal: 5,
    splitLocalErrors: false,
    intervalMs: 10_000,
    baseEjectionMs: 30_000,
    maxEjectionMs: 300_000,
    maxEjectionPercent: 10,
    minHealthPercent: 0,
  });
});

test("consecutiveErrors is consecutiveGatewayErrors, unless that is given", () => {
  const of = (outlierDetection: object) => settingsOf({ outlierDetection }).outlier;
  assert.equal(of({ consecutiveErrors: 7 })?.consecutiveGateway, 7);
  assert.equal(of({ consecutiveErrors: 7, consecutiveGatewayErrors: 3 })?.consecutiveGateway, 3);
  assert.equal(of({ consecutiveErrors: 7, consecutiveGatewayErrors: 0 })?.consecutiveGateway, 0);
  assert.equal(of({ consecutive5xxErrors: 0 })?.consecutive5xx, 0);
  assert.equal(of({ baseEjectionTime: "15m" })?.maxEjectionMs, 900_000);
});

test("limits of 0 are no limits", () => {
  const connectionPool = {
    tcp: { maxConnections: 0 },
    http: {
      http1MaxPendingRequests: 0,
      http2MaxRequests: 0,
      maxRetries: 0,
      maxRequestsPerConnection: 0,
    },
  };
  assert.deepEqual(settingsOf({ connectionPool }).connections, {});
});

test("of two idle times the one of HTTP counts, and the other's author is told", () => {
  const of = (http: string, tcp: string) =>
    ruleFor({ connectionPool: { http: { idleTimeout: http }, tcp: { idleTimeout: tcp } } });
  assert.equal(onlyOf("traffic", of("5s", "9s")).settings.connections?.idleTimeoutMs, 5_000);
  assert.deepEqual(warnedPaths(of("5s", "9s")), [
    "spec.trafficPolicy.connectionPool.tcp.idleTimeout",
  ]);
  assert.deepEqual(warnedPaths(of("5s", "5s")), []);
});

test("a port's settings stand by its number, and a subset's by its name", () => {
  const { ports, subsets } = onlyOf(
    "traffic",
    resource("DestinationRule", {
      host: "a",
      trafficPolicy: {
        tls: { mode: "ISTIO_MUTUAL" },
        portLevelSettings: [{ port: { number: 80 }, tls: { mode: "DISABLE" } }],
      },
      subsets: [
        { name: "v1", labels: { version: "v1" } },
        {
          name: "v2",
          labels: { version: "v2" },
          trafficPolicy: {
            portLevelSettings: [{ port: { number: 81 }, loadBalancer: { simple: "RANDOM" } }],
          },
        },
      ],
    }),
  );
  assert.deepEqual(ports, { "80": { mtls: "disable" } });
  assert.deepEqual(subsets[0], { name: "v1", labels: { version: "v1" } });
  assert.equal(subsets[1]?.ports?.["81"]?.balancer?.policy, "random");
});

test("TLS that the mesh would have to begin outside is refused with what to do instead", () => {
  for (const mode of ["SIMPLE", "MUTUAL"]) {
    const [refusal] = refusals(ruleFor({ tls: { mode } }));
    assert.match(refusal ?? "", /^spec\.trafficPolicy\.tls\.mode: .*application speak TLS/);
  }
});

test("fields that do not fit together, or are no values, are refused by path", () => {
  const lb = "spec.trafficPolicy.loadBalancer";
  const cases: readonly (readonly [object, string])[] = [
    [{ loadBalancer: { consistentHash: {} } }, `${lb}.consistentHash`],
    [
      { loadBalancer: { consistentHash: { useSourceIp: false } } },
      `${lb}.consistentHash.useSourceIp`,
    ],
    [
      { loadBalancer: { consistentHash: { useSourceIp: true, httpHeaderName: "a" } } },
      `${lb}.consistentHash`,
    ],
    [
      { loadBalancer: { simple: "RANDOM", consistentHash: { useSourceIp: true } } },
      `${lb}.consistentHash`,
    ],
    [
      { loadBalancer: { consistentHash: { httpCookie: { name: "a; b" } } } },
      `${lb}.consistentHash.httpCookie.name`,
    ],
    [
      { loadBalancer: { consistentHash: { httpCookie: { name: "a", path: "/;x" } } } },
      `${lb}.consistentHash.httpCookie.path`,
    ],
    [
      { loadBalancer: { warmup: { duration: "1s" }, warmupDurationSecs: "1s" } },
      `${lb}.warmupDurationSecs`,
    ],
    [
      { loadBalancer: { localityLbSetting: { distribute: [{ from: "a", to: { b: 99 } }] } } },
      `${lb}.localityLbSetting.distribute[0].to`,
    ],
    [
      {
        loadBalancer: {
          localityLbSetting: {
            distribute: [{ from: "a", to: { b: 100 } }],
            failover: [{ from: "a", to: "b" }],
          },
        },
      },
      `${lb}.localityLbSetting.distribute`,
    ],
    [
      { loadBalancer: { localityLbSetting: { failover: [{ from: "a", to: "a" }] } } },
      `${lb}.localityLbSetting.failover[0].to`,
    ],
    [{ outlierDetection: { interval: "0s" } }, "spec.trafficPolicy.outlierDetection.interval"],
    [
      { outlierDetection: { maxEjectionPercent: 101 } },
      "spec.trafficPolicy.outlierDetection.maxEjectionPercent",
    ],
    [
      { outlierDetection: { consecutive5xxErrors: -1 } },
      "spec.trafficPolicy.outlierDetection.consecutive5xxErrors",
    ],
    [
      { connectionPool: { tcp: { connectTimeout: "0s" } } },
      "spec.trafficPolicy.connectionPool.tcp.connectTimeout",
    ],
    [{ retryBudget: { percent: 101 } }, "spec.trafficPolicy.retryBudget.percent"],
    [
      { portLevelSettings: [{ port: { number: 1 } }, { port: { number: 1 } }] },
      "spec.trafficPolicy.portLevelSettings[1].port.number",
    ],
    [
      { portLevelSettings: [{ port: { number: 1 }, retryBudget: {} }] },
      "spec.trafficPolicy.portLevelSettings[0].retryBudget",
    ],
    [{ unknown: {} }, "spec.trafficPolicy.unknown"],
  ];
  for (const [policy, path] of cases) {
    const places = refusedAt(policy);
    assert.ok(places.includes(path), `${JSON.stringify(policy)}: ${places.join(" | ")}`);
  }
  const twice = [{ name: "a" }, { name: "a" }];
  const [refusal] = refusals(resource("DestinationRule", { host: "a", subsets: twice }));
  assert.match(refusal ?? "", /^spec\.subsets\[1\]\.name: /);
});

test("an explicit minRetryConcurrency of 0 is 0, and 3 where it is absent", () => {
  const least = (retryBudget: object) => settingsOf({ retryBudget }).retryBudget?.minConcurrent;
  assert.deepEqual([least({ minRetryConcurrency: 0 }), least({})], [0, 3]);
});

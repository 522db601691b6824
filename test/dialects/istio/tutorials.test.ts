import assert from "node:assert/strict";
import { test } from "node:test";
import type { RouteRule, RouteTable } from "../../../src/core/traffic.ts";
import { request, routeSet } from "../../proxy/routing/match/fixtures.ts";
import { goldens, outcomeOf } from "../golden.ts";
import { type Outcome, shares, type Values } from "./fixtures.ts";

const tutorials = goldens().find(({ name }) => name === "istio-tutorials");
assert.ok(tutorials);
const { resources } = tutorials;

/** What becomes of a tutorial's resource as it stands in the file. */
function applied(kind: string, name: string): Outcome {
  const index = resources.findIndex((each) => {
    const metadata = each["metadata"] as { name: string };
    return each["kind"] === kind && metadata.name === name;
  });
  assert.ok(index >= 0, `no ${kind} ${name}`);
  return outcomeOf(resources[index], resources, index) as Outcome;
}

function only<K extends keyof Values>(wanted: K, kind: string, name: string): Values[K] {
  const [record] = applied(kind, name).records.filter((each) => each.kind === wanted);
  assert.ok(record, `${kind} ${name} makes no ${wanted}`);
  return record.value as Values[K];
}

const tableOf = (name: string): RouteTable => only("route", "VirtualService", name);

/** The rule that a request with these field lines meets. */
function ruleFor(name: string, ...fields: readonly string[]): RouteRule {
  const found = routeSet(tableOf(name)).find(request("/", fields));
  assert.ok(found !== null && found !== "refuse");
  return found.rule.rule;
}

test("virtual-service-all-v1: every request goes to version 1 of the service that was called", () => {
  for (const name of ["productpage", "reviews"]) {
    assert.deepEqual(tableOf(name).services, [`default/${name}`]);
    assert.deepEqual(shares(ruleFor(name)), [[`default/${name}`, "v1", 100]]);
  }
});

test("destination-rule-all: a subset is the endpoints with its version, and nothing else is settled", () => {
  const { service, settings, subsets, clients } = only("traffic", "DestinationRule", "reviews");
  assert.equal(service, "default/reviews");
  assert.deepEqual(settings, {});
  assert.equal(clients, null);
  assert.deepEqual(
    subsets.map(({ name, labels }) => [name, labels["version"]]),
    [
      ["v1", "v1"],
      ["v2", "v2"],
      ["v3", "v3"],
    ],
  );
});

test("destination-rule-all-mtls: never in the clear", () => {
  assert.equal(only("traffic", "DestinationRule", "reviews-mtls").settings.mtls, "required");
});

test("a subset's own balancer stands before the host's", () => {
  const { settings, subsets } = only("traffic", "DestinationRule", "reviews-random");
  assert.equal(settings.balancer?.policy, "random");
  assert.equal(subsets[0]?.settings, undefined);
  assert.equal(subsets[1]?.settings?.balancer?.policy, "round-robin");
});

test("reviews-test-v2: jason sees version 2, and everybody else version 1", () => {
  const subsetFor = (...fields: string[]) => shares(ruleFor("reviews-test-v2", ...fields))[0]?.[1];
  assert.equal(subsetFor("end-user: jason"), "v2");
  assert.equal(subsetFor("End-User: jason"), "v2");
  assert.equal(subsetFor("end-user: jasons"), "v1");
  assert.equal(subsetFor("end-user: Jason"), "v1");
  assert.equal(subsetFor(), "v1");
});

test("reviews-50-v3, reviews-80-20 and the canary: requests are shared by weight", () => {
  const counts = (name: string): number[] => {
    const found = routeSet(tableOf(name)).find(request("/"));
    assert.ok(found !== null && found !== "refuse");
    const hits = shares(found.rule.rule).map(() => 0);
    for (let n = 0; n < 1_000; n += 1) {
      const picked = found.rule.pickBackend();
      hits[picked] = (hits[picked] ?? 0) + 1;
    }
    return hits;
  };
  assert.deepEqual(counts("reviews-50-v3"), [500, 500]);
  assert.deepEqual(counts("reviews-80-20"), [800, 200]);
  assert.deepEqual(counts("helloworld"), [950, 50]);
});

test("the ratings' delay and abort meet jason alone, and him always", () => {
  const jason = "end-user: jason";
  assert.deepEqual(ruleFor("ratings-delay", jason).fault, { delay: { ms: 7_000, percent: 100 } });
  assert.deepEqual(ruleFor("ratings-abort", jason).fault, { abort: { status: 500, percent: 100 } });
  for (const name of ["ratings-delay", "ratings-abort"]) {
    assert.equal(ruleFor(name).fault, undefined);
    assert.deepEqual(shares(ruleFor(name, jason)), [["default/ratings", "v1", 100]]);
  }
});

test("a delay with the first versions' percent happens as often as that says", () => {
  assert.deepEqual(ruleFor("ratings-old-delay").fault, { delay: { ms: 2_000, percent: 10 } });
});

test("request timeouts: half a second where it is said, none where nothing is", () => {
  assert.equal(ruleFor("reviews-timeout").timeouts?.requestMs, 500);
  assert.equal(ruleFor("reviews").timeouts?.requestMs, 0);
});

test("retries: as many and as long as is said, and for the status that is named", () => {
  const { retry } = ruleFor("ratings-retries");
  assert.equal(retry?.attempts, 3);
  assert.equal(retry?.perTryMs, 2_000);
  assert.deepEqual(retry?.on, ["connect-failure", "refused-stream"]);
  assert.deepEqual(retry?.statuses, [[503, 503]]);
});

test("circuit breaking: one connection, one that waits, and an endpoint is out after its first 5xx", () => {
  const { settings } = only("traffic", "DestinationRule", "httpbin");
  assert.deepEqual(settings.connections, {
    maxConnections: 1,
    maxPending: 1,
    maxRequestsPerConnection: 1,
  });
  const { outlier } = settings;
  assert.equal(outlier?.consecutive5xx, 1);
  assert.equal(outlier?.consecutiveGateway, 0);
  assert.equal(outlier?.intervalMs, 1_000);
  assert.equal(outlier?.baseEjectionMs, 180_000);
  assert.equal(outlier?.maxEjectionPercent, 100);
});

test("circuit breaking with consecutiveErrors: gateway errors are meant, and its author is told", () => {
  const { settings } = only("traffic", "DestinationRule", "httpbin-old");
  assert.equal(settings.outlier?.consecutiveGateway, 1);
  assert.equal(settings.outlier?.consecutive5xx, 5);
  const { warnings } = applied("DestinationRule", "httpbin-old");
  assert.deepEqual(
    warnings.map(({ path }) => path),
    ["spec.trafficPolicy.outlierDetection.consecutiveErrors"],
  );
});

test("mirroring: version 1 answers, version 2 gets a copy of everything, in both spellings", () => {
  for (const name of ["httpbin-mirror", "httpbin-old-mirror"]) {
    const rule = ruleFor(name);
    assert.deepEqual(shares(rule), [["default/httpbin", "v1", 100]]);
    const backend = { service: "default/httpbin", subset: "v2" };
    assert.deepEqual(rule.mirrors, [{ backend, percent: 100 }]);
  }
});

test("egress: httpbin.org is a service whose name every daemon resolves, with its own timeout", () => {
  const service = only("service", "ServiceEntry", "httpbin-ext");
  assert.deepEqual(service.hosts, ["httpbin.org"]);
  assert.deepEqual(service.ports, [{ name: "http", port: 80, protocol: "http" }]);
  const endpoint = only("endpoint", "ServiceEntry", "httpbin-ext");
  assert.deepEqual(
    [endpoint.address, endpoint.port, endpoint.resolve, endpoint.service],
    ["httpbin.org", 80, "dns", "httpbin.org"],
  );
  const table = tableOf("httpbin-ext");
  assert.deepEqual(table.services, ["host:httpbin.org"]);
  assert.equal(table.rules[0]?.timeouts?.requestMs, 3_000);
});

test("egress: any wiki is reached at the address that was dialled, as TLS", () => {
  const { records } = applied("ServiceEntry", "wikipedia");
  assert.equal(records.length, 1);
  const service = only("service", "ServiceEntry", "wikipedia");
  assert.deepEqual(service.hosts, ["*.wikipedia.org"]);
  assert.equal(service.originalDestination, true);
  assert.equal(service.ports[0]?.protocol, "tls");
});

test("what is for a gateway only is taken, has no effect, and says so", () => {
  const { records, warnings, refused } = applied("VirtualService", "bookinfo");
  assert.equal(refused, undefined);
  assert.deepEqual(records, []);
  assert.match(warnings.at(-1)?.message ?? "", /no effect/);
});

test("TCP shifting: connections to the port are shared by weight, others go to the service", () => {
  const table = tableOf("tcp-echo");
  assert.equal(table.protocol, "tcp");
  assert.deepEqual(shares(table.rules[0]), [
    ["default/tcp-echo", "v1", 80],
    ["default/tcp-echo", "v2", 20],
  ]);
  const source = { namespace: "default", labels: {} };
  const dialled = (port: number) => routeSet(table).findTcp({ address: "10.0.0.1", port, source });
  assert.ok(dialled(31_400) !== "refuse" && dialled(31_400) !== null);
  assert.equal(dialled(9_000), null);
});

test("a Sidecar lets the namespace see itself and the control plane", () => {
  const scope = only("scope", "Sidecar", "default");
  assert.equal(scope.namespace, "prod-us1");
  assert.deepEqual(scope.egress, ["./*", "istio-system/*"]);
  assert.equal(scope.outside, null);
});

test("the tutorials are taken whole: none is refused, and only what has a better name is warned of", () => {
  const warned = resources.flatMap((each, index) => {
    const found = outcomeOf(each, resources, index) as Outcome;
    assert.equal(found.refused, undefined);
    return found.warnings.length > 0 ? [(each["metadata"] as { name: string }).name] : [];
  });
  assert.deepEqual(warned, ["httpbin-old", "bookinfo"]);
});

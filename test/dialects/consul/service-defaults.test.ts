import assert from "node:assert/strict";
import { test } from "node:test";
import { refusalOf, Translated } from "../translated-mesh.ts";

const CALLER = `
Kind: service-defaults
Name: dashboard
UpstreamConfig:
  Overrides:
    - Name: counting
      Limits: {MaxConnections: 3}
      PassiveHealthCheck: {Interval: 10s, MaxFailures: 4}
`;

test("the circuit breaker of a caller is one policy together with what is said of the upstream", () => {
  const { policies, warnings } = new Translated(`${CALLER}---
Kind: service-defaults
Name: counting
LocalRequestTimeoutMs: 2000
---
Kind: service-resolver
Name: counting
ConnectTimeout: 1s
Subsets: {v2: {Filter: Service.Meta.version == v2}}
`);
  assert.equal(policies.length, 1);
  const [{ service, settings, subsets, base, source } = assert.fail()] = policies;
  assert.deepEqual(
    [service, source, base],
    ["default/counting", "service-resolver default/counting", undefined],
  );
  assert.deepEqual(settings.connections, { maxConnections: 3, connectTimeoutMs: 1_000 });
  assert.deepEqual(settings.timeouts, { requestMs: 2_000 });
  assert.equal(settings.outlier?.consecutive5xx, 4);
  assert.deepEqual(
    subsets.map(({ name }) => name),
    ["v2"],
  );
  assert.match(warnings[0] ?? "", /holds for all callers of default\/counting/);
});

test("without a resolver the policy is the base beneath others", () => {
  const { policies } = new Translated(CALLER);
  assert.deepEqual(
    policies.map(({ service, base }) => [service, base]),
    [["default/counting", true]],
  );
});

test("of two callers with an override the older one counts", () => {
  const younger = CALLER.replace("dashboard", "report").replace(
    "MaxConnections: 3",
    "MaxConnections: 9",
  );
  const { policies, warnings } = new Translated(`${CALLER}---${younger}`);
  assert.equal(policies.length, 1);
  assert.equal(policies[0]?.settings.connections?.maxConnections, 3);
  assert.ok(warnings.some((each) => /: no effect: .*dashboard is older/.test(each)));
});

test("limits for all upstreams of a caller have no effect, and a warning says what to write", () => {
  const { policies, warnings } = new Translated(`
Kind: service-defaults
Name: web
UpstreamConfig: {Defaults: {Limits: {MaxConnections: 1}}}
`);
  assert.deepEqual(policies, []);
  assert.match(warnings[0] ?? "", /Defaults\.Limits: no effect.*overrides/);
});

test("fields are checked, with the path as it was spelt", () => {
  const refused = (fields: string) => refusalOf(`{kind: service-defaults, name: web, ${fields}}`);
  assert.match(refused("max_fish: 1"), /^max_fish: unknown field/);
  assert.match(refused("rate_limits: {instance_level: {}}"), /^rate_limits\.instance_level: give/);
  assert.match(
    refused("rate_limits: {instance_level: {requests_per_second: -1}}"),
    /^rate_limits\.instance_level\.requests_per_second: /,
  );
  assert.match(
    refused("destination: {addresses: ['a b'], port: 1}"),
    /^destination\.addresses\[0\]/,
  );
  assert.match(
    refused("destination: {addresses: [a.example], port: 1}, upstream_config: {}"),
    /^destination: cannot stand beside upstreamConfig/,
  );
  assert.match(refused("local_connect_timeout_ms: 1e99"), /^local_connect_timeout_ms: /);
  assert.match(
    refused("external_sni: a.example"),
    /^external_sni: there are no terminating gateways/,
  );
  assert.match(refused("mutual_tls_mode: always"), /^mutual_tls_mode: /);
});

test("a kind of config entry that is not known is refused with those that are", () => {
  const known = /service-intentions, service-router, .*proxy-defaults$/;
  assert.match(
    refusalOf("{Kind: ingress-gateway, Name: a}"),
    /^Kind: unknown kind ingress-gateway/,
  );
  assert.match(refusalOf("{Kind: ingress-gateway, Name: a}"), known);
  assert.match(refusalOf("{kind: mesh}"), /^kind: unknown kind mesh of Consul's/);
  assert.match(refusalOf("{kind: Service, metadata: {name: a}}"), /^apiVersion: /);
});

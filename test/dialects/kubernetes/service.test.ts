import assert from "node:assert/strict";
import { test } from "node:test";
import { policiesOf, recordsOfText, refusals, servicesOf, warningsOf } from "../translated.ts";

const service = (spec: object, metadata: object = {}) => `
apiVersion: v1
kind: Service
metadata: ${JSON.stringify({ name: "web", namespace: "shop", ...metadata })}
spec: ${JSON.stringify(spec)}
`;

test("what a port speaks is said by appProtocol, else by its name, else by nobody", () => {
  const cases = [
    [{ name: "http" }, "http"],
    [{ name: "http-web" }, "http"],
    [{ name: "httpweb" }, undefined],
    [{ name: "http2-x" }, "http2"],
    [{ name: "grpc" }, "grpc"],
    [{ name: "grpc-web-x" }, "http"],
    [{ name: "https-x" }, "tls"],
    [{ name: "tls" }, "tls"],
    [{ name: "mysql" }, "tcp"],
    [{ name: "metrics" }, undefined],
    [{ name: "http", appProtocol: "kubernetes.io/h2c" }, "http2"],
    [{ name: "x", appProtocol: "HTTP" }, "http"],
    [{ name: "x", appProtocol: "kubernetes.io/wss" }, "tls"],
    [{ name: "http", appProtocol: "example.com/own" }, undefined],
    [{ name: "x", appProtocol: "constructor" }, undefined],
  ] as const;
  for (const [port, expected] of cases) {
    const [found] = servicesOf(service({ ports: [{ ...port, port: 80 }] }));
    assert.equal(found?.ports[0]?.protocol, expected, JSON.stringify(port));
  }
});

test("a headless Service, and one of a file, have no address of their own", () => {
  for (const spec of [{ clusterIP: "None" }, { clusterIP: "" }, {}, { clusterIPs: ["None"] }]) {
    assert.deepEqual(servicesOf(service(spec))[0]?.addresses, []);
  }
  const both = { clusterIP: "10.96.0.1", clusterIPs: ["10.96.0.1", "fd00::1"] };
  assert.deepEqual(servicesOf(service(both))[0]?.addresses, ["10.96.0.1", "fd00::1"]);
});

test("sessions stay by the caller's address", () => {
  const [found] = servicesOf(service({ sessionAffinity: "ClientIP" }));
  assert.deepEqual(found?.balancer, {
    ...{ policy: "ring-hash", slowStartMs: 10_000, hashOn: { kind: "source" } },
  });
});

test("what a Service says of traffic holds beneath other policies", () => {
  const near = policiesOf(service({ trafficDistribution: "PreferClose" }));
  assert.deepEqual(
    near.map(({ base, settings }) => ({ base, settings })),
    [{ base: true, settings: { locality: { enabled: true } } }],
  );
  assert.deepEqual(policiesOf(service({ internalTrafficPolicy: "Cluster" })), []);
});

test("annotations of Linkerd are read, and a port that is opaque speaks TCP", () => {
  const annotations = {
    "config.linkerd.io/opaque-ports": "3306",
    "timeout.linkerd.io/request": "2s",
    "retry.linkerd.io/http": "nonsense",
  };
  const ports = [
    { name: "http-db", port: 3306 },
    { name: "http", port: 80 },
  ];
  const yaml = service({ ports }, { annotations });
  assert.deepEqual(
    servicesOf(yaml)[0]?.ports.map(({ protocol }) => protocol),
    ["tcp", "http"],
  );
  assert.equal(policiesOf(yaml)[0]?.settings.timeouts?.requestMs, 2_000);
  assert.match(warningsOf(yaml)[0] ?? "", /^metadata\.annotations\["retry\.linkerd\.io\/http"\]: /);
});

test("opaque ports of the namespace are those of Services that have none of their own", () => {
  const named = (name: string) =>
    `---\napiVersion: v1\nkind: Namespace\nmetadata: { name: ${name}, annotations: { config.linkerd.io/opaque-ports: "80" } }\n`;
  const ports = [{ name: "http", port: 80 }];
  const spoken = (text: string) => servicesOf(text)[0]?.ports[0]?.protocol;
  assert.equal(spoken(service({ ports }) + named("shop")), "tcp");
  assert.equal(spoken(service({ ports }) + named("other")), "http");
  const annotations = { "config.linkerd.io/opaque-ports": "" };
  assert.equal(spoken(service({ ports }, { annotations }) + named("shop")), "http");
});

test("a port may have a number for its name, as kubectl makes them", () => {
  const [found] = servicesOf(service({ ports: [{ name: "80-8080", port: 80, targetPort: 8080 }] }));
  assert.deepEqual(
    found?.ports.map(({ name, port }) => [name, port]),
    [["80-8080", 80]],
  );
  const [bare] = servicesOf(service({ ports: [{ name: "80", port: 80 }] }));
  assert.equal(bare?.ports[0]?.name, "80");
});

test("ports are checked as by an API server", () => {
  const ports = (...list: readonly object[]) => refusals(service({ ports: list }))[0] ?? "";
  assert.match(ports({ port: 80 }, { name: "b", port: 81 }), /^spec\.ports\[0\]\.name: missing/);
  assert.match(ports({ name: "a", port: 80 }, { name: "a", port: 81 }), /names must be unique/);
  assert.match(ports({ name: "a", port: 80 }, { name: "b", port: 80 }), /ports must be unique/);
  assert.equal(ports({ name: "a", port: 53 }, { name: "b", port: 53, protocol: "UDP" }), "");
  for (const port of [0, 65_536, 1.5, "80", null]) {
    assert.match(ports({ port }), /^spec\.ports\[0\]\.port: /, String(port));
  }
  for (const targetPort of [0, "", "UPPER", "123", "-a", "a".repeat(64)]) {
    assert.match(
      ports({ port: 80, targetPort }),
      /^spec\.ports\[0\]\.targetPort: /,
      `${targetPort}`,
    );
  }
});

test("what an API server adds is taken, and what it does not know is refused by path", () => {
  const given = {
    ...{ creationTimestamp: null, uid: "1", resourceVersion: "7" },
    managedFields: [{ manager: "kubectl" }],
  };
  assert.equal(recordsOfText(service({ ports: [{ port: 80 }] }, given)).length, 1);
  const unknown = refusals(service({ portz: [], ports: [{ port: 80, weight: 1 }] }));
  assert.deepEqual(
    unknown.map((each) => each.split(";")[0]),
    ["spec.ports[0].weight: unknown field", "spec.portz: unknown field"],
  );
});

test("apiVersion is v1 or GROUP/VERSION, and unknown ones are told", () => {
  const versions = (apiVersion: string) =>
    refusals(service({}).replace("apiVersion: v1", `apiVersion: ${apiVersion}`))[0] ?? "";
  assert.equal(versions("v1"), "");
  assert.match(versions("v2"), /^apiVersion: unknown version of Service; known: v1$/);
  assert.match(versions("/v1"), /^apiVersion: must be GROUP\/VERSION/);
  assert.match(versions("a/b/v1"), /^apiVersion: must be GROUP\/VERSION/);
  assert.match(versions("apps/v1"), /^apiVersion: unknown group apps$/);
});

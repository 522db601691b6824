import assert from "node:assert/strict";
import { test } from "node:test";
import { onlyOf, refusals, resource, taken, valuesOf, warnedPaths } from "./fixtures.ts";

const http = { number: 80, name: "http", protocol: "HTTP" };
const entry = (spec: object, namespace = "shop") =>
  resource("ServiceEntry", { hosts: ["a.example"], ports: [http], ...spec }, { namespace });
const workload = (name: string, spec: object, namespace = "shop") =>
  resource("WorkloadEntry", spec, { name, namespace });

test("a service has the name of its first host, and all of them as hosts", () => {
  const service = onlyOf("service", entry({ hosts: ["A.example", "*.a.example", "a.example"] }));
  assert.deepEqual(
    [service.namespace, service.name, service.hosts],
    ["shop", "a.example", ["a.example", "*.a.example"]],
  );
  const own = onlyOf("service", entry({ hosts: ["db.shop.svc.cluster.local"] }));
  assert.equal(own.name, "db");
  const foreign = onlyOf("service", entry({ hosts: ["db.prod.svc.cluster.local"] }));
  assert.equal(foreign.name, "db.prod.svc.cluster.local");
});

test("protocols as Istio names them; absent, the port's name says it", () => {
  const protocolOf = (port: object) =>
    onlyOf("service", entry({ ports: [{ number: 1, name: "x", ...port }] })).ports[0]?.protocol;
  const cases: readonly (readonly [object, string | undefined])[] = [
    [{ protocol: "HTTP" }, "http"],
    [{ protocol: "http" }, "http"],
    [{ protocol: "HTTPS" }, "tls"],
    [{ protocol: "TLS" }, "tls"],
    [{ protocol: "HTTP2" }, "http2"],
    [{ protocol: "GRPC" }, "grpc"],
    [{ protocol: "MONGO" }, "tcp"],
    [{ protocol: "TCP" }, "tcp"],
    [{ name: "http-web" }, "http"],
    [{}, undefined],
  ];
  for (const [port, expected] of cases) assert.equal(protocolOf(port), expected);
});

test("resolution NONE has no endpoints: what was dialled is where it goes", () => {
  const { records } = taken(entry({}));
  assert.deepEqual(
    records.map(({ kind }) => kind),
    ["service"],
  );
  assert.equal(onlyOf("service", entry({})).originalDestination, true);
  assert.equal(onlyOf("service", entry({ resolution: "STATIC" })).originalDestination, undefined);
});

test("with DNS and no endpoints every host is a service of its own", () => {
  const of = entry({
    hosts: ["a.example", "b.example"],
    resolution: "DNS",
    addresses: ["10.0.0.1"],
  });
  assert.deepEqual(
    valuesOf("service", of).map(({ name, addresses }) => [name, addresses]),
    [
      ["a.example", ["10.0.0.1"]],
      ["b.example", []],
    ],
  );
  assert.deepEqual(
    valuesOf("endpoint", of).map(({ service, address, resolve }) => [service, address, resolve]),
    [
      ["a.example", "a.example", "dns"],
      ["b.example", "b.example", "dns"],
    ],
  );
});

test("an endpoint's port: its own by name, else the target port, else the number", () => {
  const ports = [http, { number: 443, name: "tls", targetPort: 8443 }];
  const endpoints = [{ address: "10.0.0.1", ports: { http: 8080 } }, { address: "10.0.0.2" }];
  const found = valuesOf("endpoint", entry({ ports, endpoints, resolution: "STATIC" }));
  assert.deepEqual(
    found.map(({ address, portName, port }) => `${portName} ${address}:${port}`),
    ["http 10.0.0.1:8080", "tls 10.0.0.1:8443", "http 10.0.0.2:80", "tls 10.0.0.2:8443"],
  );
  assert.equal(new Set(found.map(({ id }) => id)).size, 4);
});

test("a port may have the name of anything that every object has", () => {
  const ports = [{ number: 80, name: "constructor" }];
  const of = entry({ ports, endpoints: [{ address: "10.0.0.1" }], resolution: "STATIC" });
  assert.equal(onlyOf("endpoint", of).port, 80);
});

test("labels, locality and weight are the endpoint's", () => {
  const place = { address: "2001:DB8::1", labels: { v: "1" }, locality: "eu/eu-1/r2", weight: 9 };
  const of = entry({
    endpoints: [place, { address: "10.0.0.1", weight: 0 }],
    resolution: "STATIC",
  });
  const [first, second] = valuesOf("endpoint", of);
  assert.deepEqual(
    [first?.address, first?.meta, first?.region, first?.zone, first?.weight],
    ["2001:db8::1", { v: "1" }, "eu", "eu-1", 9],
  );
  assert.equal(second?.weight, 1);
  assert.equal(second?.region, undefined);
});

test("a selector finds the WorkloadEntries of the namespace with all its labels", () => {
  const of = entry({
    resolution: "STATIC",
    workloadSelector: { labels: { app: "vm", tier: "a" } },
  });
  const beside = [
    workload("one", { address: "10.0.0.1", labels: { app: "vm", tier: "a", v: "1" } }),
    workload("two", { address: "10.0.0.2", labels: { app: "vm", tier: "b" } }),
    workload("far", { address: "10.0.0.3", labels: { app: "vm", tier: "a" } }, "prod"),
    workload("bare", { address: "10.0.0.4" }),
  ];
  const found = valuesOf("endpoint", of, ...beside);
  assert.deepEqual(
    found.map(({ address, meta }) => [address, meta["v"]]),
    [["10.0.0.1", "1"]],
  );
  assert.deepEqual(valuesOf("endpoint", of), []);
});

test("an empty selector selects nothing, with a warning", () => {
  const of = entry({ resolution: "STATIC", workloadSelector: { labels: {} } });
  const beside = workload("one", { address: "10.0.0.1", labels: { app: "vm" } });
  assert.deepEqual(valuesOf("endpoint", of, beside), []);
  assert.deepEqual(warnedPaths(of, beside), ["spec.workloadSelector"]);
});

test("exportTo is kept with the service", () => {
  assert.deepEqual(onlyOf("service", entry({ exportTo: ["."] })).exportTo, ["shop"]);
  assert.equal(onlyOf("service", entry({ exportTo: ["*"] })).exportTo, undefined);
  assert.deepEqual(onlyOf("service", entry({ exportTo: ["~"] })).exportTo, []);
});

test("what cannot be, or would be too much, is refused by path", () => {
  const many = Array.from({ length: 1_024 }, (_, n) => ({ address: `10.0.${n >> 8}.${n & 255}` }));
  const ports = Array.from({ length: 5 }, (_, n) => ({ number: n + 1, name: `p${n}` }));
  const cases: readonly (readonly [object, string])[] = [
    [{ hosts: [] }, "spec.hosts"],
    [{ hosts: ["*"] }, "spec.hosts[0]"],
    [{ hosts: ["a_b:80"] }, "spec.hosts[0]"],
    [{ addresses: ["10.0.0.0/8"] }, "spec.addresses[0]"],
    [{ addresses: ["a.example"] }, "spec.addresses[0]"],
    [{ ports: [] }, "spec.ports"],
    [{ ports: [http, { number: 80, name: "b" }] }, "spec.ports[1].number"],
    [{ ports: [http, { number: 81, name: "http" }] }, "spec.ports[1].name"],
    [{ ports: [{ number: 53, name: "dns", protocol: "UDP" }] }, "spec.ports[0].protocol"],
    [{ resolution: "DYNAMIC_DNS" }, "spec.resolution"],
    [{ endpoints: [{ address: "10.0.0.1" }] }, "spec.endpoints"],
    [{ resolution: "STATIC", endpoints: [{ address: "a.example" }] }, "spec.endpoints[0].address"],
    [
      { resolution: "STATIC", endpoints: [{ address: "unix:///run/a" }] },
      "spec.endpoints[0].address",
    ],
    [{ resolution: "DNS", endpoints: [{ address: "*.example" }] }, "spec.endpoints[0].address"],
    [{ resolution: "DNS", hosts: ["*.example"] }, "spec.hosts[0]"],
    [
      { resolution: "STATIC", endpoints: [], workloadSelector: { labels: {} } },
      "spec.workloadSelector",
    ],
    [
      { resolution: "STATIC", endpoints: [{ address: "10.0.0.1", locality: "a/b/c/d" }] },
      "spec.endpoints[0].locality",
    ],
    [
      { resolution: "STATIC", endpoints: [{ address: "10.0.0.1", weight: -1 }] },
      "spec.endpoints[0].weight",
    ],
    [{ resolution: "STATIC", endpoints: many, ports }, "spec.ports"],
  ];
  for (const [spec, path] of cases) {
    const places = refusals(entry(spec)).map((text) => text.replace(/: .*$/s, ""));
    assert.ok(
      places.includes(path),
      `${JSON.stringify(spec).slice(0, 200)}: ${places.join(" | ")}`,
    );
  }
});

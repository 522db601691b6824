import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { meshRefusalReason } from "../../../src/http/h1/mesh-connect.ts";
import { checkRequestFields } from "../../../src/http/h2/field-rules.ts";
import {
  type MeshBaggage,
  type MeshTarget,
  type MeshTunnel,
  meshRefusalFields,
  meshTargetValues,
  putMeshTarget,
  readMeshTarget,
  readMeshTunnel,
  takeMeshTarget,
  writeMeshTunnel,
} from "../../../src/http/h2/mesh-wire.ts";

const NOTHING_SAID: MeshBaggage = { namespace: "", service: "", traceparent: "" };

const REQUEST = [":method", "GET", ":scheme", "http", ":authority", "a.b", ":path", "/"];
const TARGET: MeshTarget = {
  ...{ endpoint: { host: "10.0.0.1", port: 80 }, client: "10.0.0.9", protocol: "h2" },
};

const connect = (authority: string, ...more: string[]) => [
  ...[":method", "CONNECT", ":authority", authority, ...more],
];

describe("HBONE's CONNECT between hosts", () => {
  it("is read as it was written", () => {
    const tunnels: MeshTunnel[] = [
      { authority: { host: "10.0.0.1", port: 80 }, client: "10.0.0.9", clientPort: 4_711 },
      { authority: { host: "2001:db8::1", port: 65_535 }, client: "fd00::1", clientPort: 1 },
      { authority: { host: "10.0.0.1", port: 1 }, client: "fd00::1", clientPort: 0 },
      { authority: { host: "10.0.0.1", port: 1 }, client: "10.0.0.9", clientPort: 0 },
      { authority: { host: "10.0.0.1", port: 80 }, client: "", clientPort: 0 },
    ];
    for (const one of tunnels) {
      const fields = writeMeshTunnel(one, NOTHING_SAID);
      assert.equal(checkRequestFields(fields, { connectProtocol: true }), null);
      assert.deepEqual(readMeshTunnel(fields), one);
    }
  });

  it("has the fields that a ztunnel knows", () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const tunnel = { authority: { host: "fd00::2", port: 80 }, client: "fd00::1", clientPort: 9 };
    const said = { namespace: "a b", service: "c,d", traceparent };
    assert.deepEqual(writeMeshTunnel(tunnel, said), [
      ...[":method", "CONNECT", ":authority", "[fd00::2]:80"],
      ...["forwarded", 'for="[fd00::1]:9"'],
      ...["baggage", "k8s.namespace.name=a%20b,service.name=c%2Cd"],
      ...["traceparent", traceparent],
    ]);
  });

  it("takes what a ztunnel says of its caller", () => {
    const fields = connect("10.0.0.1:80", "forwarded", 'for="10.0.0.9:31000";host=svc.ns.local');
    assert.deepEqual(readMeshTunnel(fields), {
      ...{ authority: { host: "10.0.0.1", port: 80 }, client: "10.0.0.9", clientPort: 31_000 },
    });
  });

  it("has one spelling of each address", () => {
    const fields = connect("[2001:DB8:0::1]:80", "forwarded", 'for="[::ffff:10.0.0.9]"');
    assert.deepEqual(readMeshTunnel(fields), {
      ...{ authority: { host: "2001:db8::1", port: 80 }, client: "10.0.0.9", clientPort: 0 },
    });
  });

  it("is refused where it is none that can be answered", () => {
    const faults: [string[], RegExp][] = [
      [REQUEST, /the method is GET/],
      [[...connect("10.0.0.1:80"), ":protocol", "websocket"], /extended/],
      [connect("svc.ns.local:80"), /authority/],
      [connect("10.0.0.1:0"), /authority/],
      [connect("10.0.0.1:65536"), /authority/],
      [connect("10.0.0.999:80"), /authority/],
      [connect("10.0.0.1:80", "forwarded", "for=unknown"), /Forwarded/],
      [connect("10.0.0.1:80", "forwarded", 'for="10.0.0.9:99999"'), /Forwarded/],
      [connect("10.0.0.1:80", "forwarded", 'for="10.0.0.9", for="10.0.0.8"'), /Forwarded/],
      [
        connect("10.0.0.1:80", "forwarded", "for=10.0.0.9", "forwarded", "for=10.0.0.8"),
        /Forwarded/,
      ],
    ];
    for (const [fields, fault] of faults) {
      const read = readMeshTunnel(fields);
      assert.match(typeof read === "string" ? read : "", fault);
    }
  });

  it("is refused with a reason that cannot break the answer", () => {
    const fields = meshRefusalFields(401, `no\r\nx: y\u00e9 ${"long ".repeat(100)}`);
    assert.equal(fields[1], "401");
    assert.match(meshRefusalReason(fields), /^no\?\?x: y\? long/);
    assert.ok(meshRefusalReason(fields).length <= 200);
  });
});

describe("the target of a request between hosts", () => {
  it("is read as it was put, and leaves the request as it was", () => {
    const targets: MeshTarget[] = [
      TARGET,
      { endpoint: { host: "fd00::2", port: 1 }, client: "fd00::1", protocol: "http/1.1" },
    ];
    for (const one of targets) {
      const fields = [...REQUEST, "a", "b"];
      putMeshTarget(fields, meshTargetValues(one));
      assert.equal(fields.indexOf("x-hostmesh-endpoint"), REQUEST.length);
      assert.equal(checkRequestFields(fields, { connectProtocol: true }), null);
      const values = takeMeshTarget(fields);
      assert.ok(values !== null && typeof values !== "string");
      assert.deepEqual(readMeshTarget(values), one);
      assert.deepEqual(fields, [...REQUEST, "a", "b"]);
    }
  });

  it("is not what an application says it is", () => {
    const forged = ["x-hostmesh-client", "1.1.1.1", "a", "b", "x-hostmesh-endpoint", "1.1.1.1:1"];
    const fields = [...REQUEST, ...forged, "x-hostmesh-protocol", "tcp", "x-hostmesh-other", "1"];
    putMeshTarget(fields, meshTargetValues(TARGET));
    assert.deepEqual(takeMeshTarget(fields), meshTargetValues(TARGET));
    assert.deepEqual(fields, [...REQUEST, "a", "b", "x-hostmesh-other", "1"]);
  });

  it("is there once each, right behind the pseudo-fields, or not at all", () => {
    const endpoint = ["x-hostmesh-endpoint", "10.0.0.1:80"];
    const client = ["x-hostmesh-client", "10.0.0.9"];
    const protocol = ["x-hostmesh-protocol", "h2"];
    const faults = [
      endpoint,
      [...endpoint, ...client],
      [...endpoint, ...protocol],
      [...client, ...protocol],
      [...endpoint, ...client, ...protocol, ...client],
      [...endpoint, ...client, ...protocol, "a", "b", ...endpoint],
      [...endpoint, ...endpoint, ...client],
      [...client, ...endpoint, ...protocol],
      ["a", "b", ...endpoint, ...client, ...protocol],
    ];
    for (const more of faults) {
      assert.equal(typeof takeMeshTarget([...REQUEST, ...more]), "string", more.join());
    }
    assert.equal(takeMeshTarget([...REQUEST, "a", "b"]), null);
    assert.equal(takeMeshTarget([]), null);
  });

  it("is refused where its values are none", () => {
    const good = meshTargetValues(TARGET);
    const faults = [
      { ...good, endpoint: "svc:80" },
      { ...good, endpoint: "10.0.0.1" },
      { ...good, endpoint: "10.0.0.1:80, 10.0.0.2:80" },
      { ...good, endpoint: "fd00::1:80" },
      { ...good, client: "" },
      { ...good, client: "10.0.0.9:80" },
      { ...good, client: "[fd00::1]" },
      { ...good, client: "fe80::1%eth0" },
      { ...good, protocol: "tcp" },
      { ...good, protocol: "H2" },
    ];
    for (const values of faults) {
      assert.equal(typeof readMeshTarget(values), "string", JSON.stringify(values));
    }
    assert.equal(typeof readMeshTarget(good), "object");
  });
});

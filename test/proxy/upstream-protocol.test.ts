import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DataService } from "../../src/core/snapshot.ts";
import { declaredProtocol, upstreamProtocol } from "../../src/proxy/upstream-protocol.ts";
import { endpoint, service } from "../helpers/plane.ts";

describe("the protocol of an endpoint", () => {
  it("is what is declared, whatever the client speaks", () => {
    for (const version of [1, 2] as const) {
      assert.equal(upstreamProtocol("http2", version), "h2");
      assert.equal(upstreamProtocol("grpc", version), "h2");
      assert.equal(upstreamProtocol("http", version), null);
      assert.equal(upstreamProtocol("tcp", version), null);
      assert.equal(upstreamProtocol("tls", version), null);
    }
  });

  it("is the client's where nothing is declared", () => {
    assert.equal(upstreamProtocol(undefined, 1), null);
    assert.equal(upstreamProtocol(undefined, 2), "h2");
  });

  it("is declared by the endpoint, before its port, before the service", () => {
    const place = endpoint(1, { portName: "api" });
    const plain = service("web", [place], { protocol: "http" });
    const named: DataService = { ...plain, ports: [{ name: "api", port: 80, protocol: "grpc" }] };
    assert.equal(declaredProtocol(service("web", [place]), place), undefined);
    assert.equal(declaredProtocol(plain, place), "http");
    assert.equal(declaredProtocol(named, place), "grpc");
    assert.equal(declaredProtocol(named, endpoint(2)), "http");
    assert.equal(declaredProtocol(named, { ...place, protocol: "http2" }), "http2");
    assert.equal(declaredProtocol(named, undefined), "http");
  });
});

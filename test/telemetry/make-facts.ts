import type { RequestFacts } from "../../src/core/facts.ts";
import type { DataEndpoint, DataService, DataWorkload } from "../../src/core/snapshot.ts";

export function makeWorkload(name: string, slot = 0): DataWorkload {
  return {
    slot,
    key: `default/${name}`,
    name,
    namespace: "default",
    serviceAccount: "default",
    addresses: ["10.0.0.5"],
  };
}

export function makeEndpoint(id: string, slot = 0): DataEndpoint {
  return {
    slot,
    id,
    address: "10.0.0.9",
    port: 8080,
    portName: "",
    weight: 1,
    zone: "",
    host: "h",
    meta: {},
    health: "passing",
    local: true,
  };
}

export function makeService(name: string, endpoints: readonly DataEndpoint[] = []): DataService {
  return {
    key: `default/${name}`,
    name,
    namespace: "default",
    addresses: [],
    ports: [],
    balancer: { policy: "peak-ewma", slowStartMs: 0 },
    endpoints,
  };
}

/** An exchange that went well. */
export function makeFacts(changes: Partial<RequestFacts> = {}): RequestFacts {
  return {
    entry: "captured",
    protocol: "http",
    version: 1,
    upstreamVersion: 1,
    source: null,
    sourceAddress: "10.0.0.5",
    details: null,
    service: null,
    endpoint: null,
    route: "default",
    security: "same_host",
    method: "GET",
    httpVersion: "HTTP/1.1",
    target: "/",
    authority: "catalog",
    status: 200,
    grpcStatus: -1,
    error: null,
    requestBytes: 10,
    responseBytes: 1000,
    requestMessages: 0,
    responseMessages: 0,
    startMs: 1,
    durationMs: 2,
    queueMs: 0,
    upstreamMs: 1.5,
    proxyMs: 0.04,
    attempts: 1,
    requestId: "11111111-2222-4333-8444-555555555555",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ids: "",
    ...changes,
  };
}

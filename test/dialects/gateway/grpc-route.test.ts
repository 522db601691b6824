import assert from "node:assert/strict";
import { test } from "node:test";
import { nameOf, request } from "../../proxy/routing/match/fixtures.ts";
import { routesTo } from "../translated.ts";

const ROUTES = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: http, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: greeter }]
  rules: [{ name: http, backendRefs: [{ name: greeter, port: 80 }] }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: grpc, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: greeter, port: 50051 }]
  rules:
    - name: service
      matches: [{ method: { service: helloworld.Greeter } }]
      backendRefs: [{ name: greeter, port: 50051 }]
    - name: method
      matches: [{ method: { service: helloworld.Greeter, method: SayHello } }]
      backendRefs: [{ name: greeter, port: 50051 }]
    - name: any-ping
      matches: [{ method: { method: Ping } }]
      backendRefs: [{ name: greeter, port: 50051 }]
    - name: expression
      matches: [{ method: { type: RegularExpression, service: "hello|bye", method: "Say.*" } }]
      backendRefs: [{ name: greeter, port: 50051 }]
`;

test("a gRPC method is a POST to its path, and the more exact rule comes first", () => {
  const routes = routesTo("shop/greeter", ROUTES);
  const found = (path: string, more = {}) =>
    nameOf(routes.find(request(path, [], { method: "POST", port: 50_051, ...more })));
  assert.equal(found("/helloworld.Greeter/SayHello"), "method");
  assert.equal(found("/helloworld.Greeter/SayBye"), "service");
  assert.equal(found("/helloworld.GreeterX/SayBye"), "refuse");
  assert.equal(found("/other.Service/Ping"), "any-ping");
  assert.equal(found("/a/b/Ping"), "refuse");
  assert.equal(found("/hello/SayIt"), "expression");
  assert.equal(found("/hello/bye/SayIt"), "refuse");
  assert.equal(found("/helloworld.Greeter/SayHello", { method: "GET" }), "refuse");
});

test("where a GRPCRoute is bound an HTTPRoute does not count", () => {
  const routes = routesTo("shop/greeter", ROUTES);
  assert.equal(nameOf(routes.find(request("/x", [], { port: 50_051 }))), "refuse");
  assert.equal(nameOf(routes.find(request("/x", [], { port: 80 }))), "http");
});

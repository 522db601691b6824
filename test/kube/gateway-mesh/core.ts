import { test } from "node:test";
import { CONSUMER, MESH } from "./base.ts";
import { HEADER_CASES, headerRules } from "./header-cases.ts";
import { routeYaml } from "./routes.ts";
import type { GatewayStage } from "./stage.ts";

/** Reachability, and the features that every mesh with HTTPRoutes has. */
export function coreTests(stage: () => GatewayStage): void {
  test("MeshBasic: without any route a Service is reached", async () => {
    await stage().expect({ to: "echo" });
  });

  test("MeshTrafficSplit: exact paths lead to one version each", async () => {
    const route = routeYaml({
      ...{ name: "by-path", port: null },
      rules: `
- matches: [{ path: { type: Exact, value: /v1 } }]
  backendRefs: [{ name: echo-v1, port: 80 }]
- matches: [{ path: { type: Exact, value: /v2 } }]
  backendRefs: [{ name: echo-v2, port: 80 }]`,
    });
    await stage().withRoutes(route, () =>
      stage().expect({ path: "/v1", by: "echo-v1" }, { path: "/v2", by: "echo-v2" }),
    );
  });

  test("MeshHTTPRouteSimpleSameNamespace: a route leads all calls of a Service to another", async () => {
    const rules = "- backendRefs: [{ name: echo-v1, port: 8080 }]";
    await stage().withRoutes(routeYaml({ name: "all-to-one", rules }), () =>
      stage().expect({ by: "echo-v1" }, { by: "echo-v1", path: "/any" }),
    );
    // A single answer of the first could be chance.
    const other = "- backendRefs: [{ name: echo-v2, port: 8080 }]";
    await stage().withRoutes(routeYaml({ name: "all-to-other", rules: other }), () =>
      stage().expect({ by: "echo-v2" }, { by: "echo-v2", path: "/any" }),
    );
  });

  test("MeshHTTPRouteMatching: prefixes of paths, and headers, choose the version", async () => {
    const route = routeYaml({
      name: "matching",
      rules: `
- matches:
    - path: { type: PathPrefix, value: / }
    - headers: [{ name: version, value: one }]
  backendRefs: [{ name: echo-v1, port: 8080 }]
- matches:
    - path: { type: PathPrefix, value: /v2 }
    - headers: [{ name: version, value: two }]
  backendRefs: [{ name: echo-v2, port: 8080 }]`,
    });
    await stage().withRoutes(route, () =>
      stage().expect(
        { path: "/v2", by: "echo-v2" },
        { path: "/v2/", by: "echo-v2" },
        { path: "/v2/below", by: "echo-v2" },
        { headers: { Version: "two" }, by: "echo-v2" },
        { headers: { Version: "one" }, by: "echo-v1" },
        { path: "/", by: "echo-v1" },
        { path: "/other", by: "echo-v1" },
        // No prefix of segments.
        { path: "/v2other", by: "echo-v1" },
        { path: "/other/v2/below", by: "echo-v1" },
      ),
    );
  });

  test("MeshHTTPRouteWeight: calls are shared by weight", async () => {
    const rules = `
- backendRefs:
    - { name: echo-v1, port: 8080, weight: 70 }
    - { name: echo-v2, port: 8080, weight: 30 }`;
    await stage().withRoutes(routeYaml({ name: "weighted", rules }), () =>
      stage().expectShares({}, { "echo-v1": 0.7, "echo-v2": 0.3 }),
    );
  });

  test("MeshHTTPRouteRequestHeaderModifier: a rule changes headers of requests", async () => {
    const rules = headerRules("rule");
    await stage().withRoutes(routeYaml({ name: "headers", rules }), () =>
      stage().expect(...HEADER_CASES),
    );
  });
}

/** What a route is bound to: frontends, ports, and callers. */
export function bindingTests(stage: () => GatewayStage): void {
  const marking = (backend: string, mark: string) => `
- filters:
    - type: ResponseHeaderModifier
      responseHeaderModifier: { set: [{ name: X-Mark, value: ${mark} }] }
  backendRefs: [{ name: ${backend}, namespace: ${MESH}, port: 80 }]`;
  const marked = { "X-Mark": "on" };
  const plain = { "X-Mark": null };
  const frontend = () =>
    routeYaml({ name: "frontend", parent: "echo-v2", port: null, rules: marking("echo-v2", "on") });

  test("MeshFrontend: a route is for calls of its Service, not of the pods behind", async () => {
    await stage().withRoutes(frontend(), () =>
      stage().expect(
        { to: "echo-v2", by: "echo-v2", answered: marked },
        { to: `${stage().addressOf("echo-v2")}:8080`, by: "echo-v2", answered: plain },
      ),
    );
  });

  test("MeshFrontendHostname: the address that is called counts, and not Host", async () => {
    await stage().withRoutes(frontend(), () =>
      stage().expect(
        { to: "echo-v2", host: "echo-v1", by: "echo-v2", answered: marked },
        { to: "echo-v1", host: "echo-v2", by: "echo-v1", answered: plain },
      ),
    );
  });

  test("MeshPorts: a parent's port limits the route to it", async () => {
    const routes = [
      routeYaml({ name: "one-port", parent: "echo-v1", rules: marking("echo-v1", "v1") }),
      routeYaml({ name: "all", parent: "echo-v2", port: null, rules: marking("echo-v2", "v2") }),
    ];
    await stage().withRoutes(routes.join("---\n"), () =>
      stage().expect(
        { to: "echo-v1", by: "echo-v1", answered: { "X-Mark": "v1" } },
        { to: "echo-v1:8080", by: "echo-v1", answered: plain },
        { to: "echo-v2", by: "echo-v2", answered: { "X-Mark": "v2" } },
        { to: "echo-v2:8080", by: "echo-v2", answered: { "X-Mark": "v2" } },
      ),
    );
  });

  test("MeshConsumerRoute: a route of another namespace is for callers of that namespace", async () => {
    const route = routeYaml({
      ...{ name: "consumer", namespace: CONSUMER, parent: "echo-v1", port: null },
      rules: marking("echo-v1", "on"),
    });
    const to = `echo-v1.${MESH}`;
    await stage().withRoutes(route, () =>
      stage().expect(
        { from: "consumer", to, by: "echo-v1", answered: marked },
        { from: "echo-v1", to, by: "echo-v1", answered: plain },
      ),
    );
  });
}

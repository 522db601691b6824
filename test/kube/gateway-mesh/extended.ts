import { test } from "node:test";
import { HEADER_CASES, headerRules } from "./header-cases.ts";
import { routeYaml } from "./routes.ts";
import type { GatewayStage } from "./stage.ts";

/** Features of HTTPRoutes that a mesh may have. */
export function extendedTests(stage: () => GatewayStage): void {
  test("MeshHTTPRouteRewritePath: a rule changes the path, with headers too", async () => {
    const rule = (path: string, change: string, filters = "") => `
- matches: [{ path: { type: PathPrefix, value: ${path} } }]
  filters: [{ type: URLRewrite, urlRewrite: { path: { ${change} } } }${filters}]
  backendRefs: [{ name: echo-v1, port: 80 }]`;
    const prefix = (value: string) => `type: ReplacePrefixMatch, replacePrefixMatch: ${value}`;
    const full = (value: string) => `type: ReplaceFullPath, replaceFullPath: ${value}`;
    const modifier =
      ", { type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: X-Set, value: theirs }], add: [{ name: X-New, value: new }, { name: X-Add, value: theirs }], remove: [X-Remove] } }";
    const rules = [
      rule("/prefix/one", prefix("/one")),
      rule("/strip", prefix("/")),
      rule("/full/one", full("/one")),
      rule("/full/headers", full("/test"), modifier),
      rule("/prefix/headers", prefix("/prefix"), modifier),
    ];
    const headers = { "X-Set": "mine", "X-Add": "mine", "X-Remove": "mine" };
    const seen = { "X-Set": "theirs", "X-Add": "mine,theirs", "X-New": "new", "X-Remove": null };
    const by = "echo-v1";
    await stage().withRoutes(routeYaml({ name: "rewrite", rules: rules.join("") }), () =>
      stage().expect(
        { path: "/prefix/one/two", seenPath: "/one/two", by },
        { path: "/strip/three", seenPath: "/three", by },
        { path: "/strip", seenPath: "/", by },
        { path: "/full/one/two", seenPath: "/one", by },
        { path: "/full/headers/test", seenPath: "/test", by, headers, seen },
        { path: "/prefix/headers/one", seenPath: "/prefix/one", by, headers, seen },
      ),
    );
  });

  test("MeshHTTPRouteQueryParamMatching: parameters choose, alone and with paths and headers", async () => {
    const rules = `
- matches: [{ queryParams: [{ name: animal, value: whale }] }]
  backendRefs: [{ name: echo-v1, port: 8080 }]
- matches: [{ queryParams: [{ name: animal, value: dolphin }] }]
  backendRefs: [{ name: echo-v2, port: 8080 }]
- matches:
    - path: { type: PathPrefix, value: /with-path }
      queryParams: [{ name: animal, value: dolphin }]
  backendRefs: [{ name: echo-v1, port: 8080 }]
- matches:
    - headers: [{ name: version, value: one }]
      queryParams: [{ name: animal, value: whale }]
  backendRefs: [{ name: echo-v2, port: 8080 }]
- matches:
    - path: { type: PathPrefix, value: /either }
      queryParams: [{ name: animal, value: shark }]
    - path: { type: PathPrefix, value: /or }
      headers: [{ name: version, value: three }]
      queryParams: [{ name: animal, value: kraken }]
  backendRefs: [{ name: echo-v1, port: 8080 }]
- matches: [{ path: { type: PathPrefix, value: /path-first } }]
  backendRefs: [{ name: echo-v1, port: 8080 }]
- matches: [{ queryParams: [{ name: animal, value: hydra }] }]
  backendRefs: [{ name: echo-v2, port: 8080 }]`;
    await stage().withRoutes(routeYaml({ name: "by-query", rules }), () =>
      stage().expect(
        { path: "/?animal=whale", by: "echo-v1" },
        { path: "/?animal=dolphin", by: "echo-v2" },
        { path: "/?animal=whale&other=irrelevant", by: "echo-v1" },
        { path: "/?animal=dolphin&color=yellow", by: "echo-v2" },
        ...["/?color=blue", "/?animal=dog", "/?animal=whaledolphin", "/"].map((path) => ({
          ...{ path, status: 404 },
        })),
        { path: "/with-path?animal=dolphin", by: "echo-v1" },
        { path: "/?animal=whale", headers: { version: "one" }, by: "echo-v2" },
        { path: "/either?animal=shark", by: "echo-v1" },
        { path: "/or?animal=kraken", headers: { version: "three" }, by: "echo-v1" },
        // Half of what a match wants is not enough.
        { path: "/?animal=shark", status: 404 },
        { path: "/or?animal=kraken", status: 404 },
        // A path of any length counts before parameters.
        { path: "/path-first?animal=hydra", by: "echo-v1" },
        { path: "/?animal=hydra", by: "echo-v2" },
      ),
    );
  });

  test("MeshHTTPRouteBackendRequestHeaderModifier: a backend changes headers of its requests", async () => {
    const rules = headerRules("backend");
    await stage().withRoutes(routeYaml({ name: "backend-headers", rules }), () =>
      stage().expect(...HEADER_CASES),
    );
  });

  test("MeshHTTPRouteNamedRule: rules with a name, and without, are rules", async () => {
    const rules = `
- name: with-name
  matches: [{ path: { type: PathPrefix, value: /named } }]
  backendRefs: [{ name: echo-v1, port: 8080 }]
- matches: [{ path: { type: PathPrefix, value: /unnamed } }]
  backendRefs: [{ name: echo-v2, port: 8080 }]`;
    await stage().withRoutes(routeYaml({ name: "named", rules }), () =>
      stage().expect({ path: "/named", by: "echo-v1" }, { path: "/unnamed", by: "echo-v2" }),
    );
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import type { RouteRule } from "../../../src/core/traffic.ts";
import { rewritePath } from "../../../src/proxy/routing/transform/path-rewrite.ts";
import { redirectTo } from "../../../src/proxy/routing/transform/redirect.ts";
import { nameOf, request } from "../../proxy/routing/match/fixtures.ts";
import { counts, picks, recordsOfText, refusals, routesTo, warningsOf } from "../translated.ts";

const route = (rules: unknown, more: Record<string, unknown> = {}, name = "route") => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name}, namespace: ${String(more["namespace"] ?? "shop")} }
spec:
  parentRefs: ${JSON.stringify(more["parentRefs"] ?? [{ group: "", kind: "Service", name: "echo", namespace: "shop" }])}
  rules: ${JSON.stringify(rules)}
`;
const to = (name: string, more: object = {}) => ({ name, port: 8080, ...more });

/** The only rule that a text means. */
function ruleOf(yaml: string): RouteRule {
  const [record] = recordsOfText(yaml);
  const rule = record?.kind === "route" ? record.value.rules[0] : undefined;
  assert.ok(rule);
  return rule;
}

test("a canary gets its share by weight, and 1 where no weight is given", () => {
  const weighted = [to("v1", { weight: 95 }), to("v2", { weight: 5 })];
  const routes = routesTo("shop/echo", route([{ backendRefs: weighted }]));
  assert.deepEqual(counts(picks(routes.find(request("/")), 200)), { v1: 190, v2: 10 });
  const even = routesTo("shop/echo", route([{ backendRefs: [to("v1"), to("v2")] }]));
  assert.deepEqual(counts(picks(even.find(request("/")), 10)), { v1: 5, v2: 5 });
});

test("a route by header, as in GAMMA's tutorials, leaves nothing to chance", () => {
  const yaml = route([
    { matches: [{ headers: [{ name: "version", value: "two" }] }], backendRefs: [to("v2")] },
    { matches: [{ path: { value: "/" } }], backendRefs: [to("v1")] },
  ]);
  const routes = routesTo("shop/echo", yaml);
  assert.deepEqual(picks(routes.find(request("/", ["Version: two"])), 1), ["v2"]);
  assert.deepEqual(picks(routes.find(request("/", ["Version: three"])), 1), ["v1"]);
});

test("what no rule matches is refused, on the port that is bound and on no other", () => {
  const parentRefs = [{ group: "", kind: "Service", name: "echo", port: 80 }];
  const rules = [{ matches: [{ path: { value: "/v1" } }], backendRefs: [to("v1")] }];
  const routes = routesTo("shop/echo", route(rules, { parentRefs }));
  assert.equal(routes.find(request("/v2")), "refuse");
  assert.equal(routes.find(request("/v1x")), "refuse");
  assert.notEqual(routes.find(request("/v1/x")), "refuse");
  assert.equal(routes.find(request("/v2", [], { port: 8080 })), null);
});

test("a consumer's route is for its namespace only, where it hides the producer's", () => {
  const yaml = [
    route([{ name: "producer", backendRefs: [to("v1")] }]),
    route(
      [{ name: "consumer", matches: [{ path: { value: "/a" } }], backendRefs: [to("v2")] }],
      { namespace: "client" },
      "own",
    ),
  ].join("---");
  const routes = routesTo("shop/echo", yaml);
  const from = (namespace: string) => ({ source: { namespace, labels: {} } });
  assert.equal(nameOf(routes.find(request("/a", [], from("client")))), "consumer");
  assert.equal(nameOf(routes.find(request("/b", [], from("client")))), "refuse");
  assert.equal(nameOf(routes.find(request("/a", [], from("other")))), "producer");
  assert.equal(nameOf(routes.find(request("/a", [], from("shop")))), "producer");
});

test("the rules of all routes of a service count together, by Gateway API's precedence", () => {
  const match = (name: string, each: object) => ({
    name,
    matches: [each],
    backendRefs: [to("v1")],
  });
  const yaml = [
    route([
      match("prefix", { path: { value: "/a" } }),
      match("longer", { path: { value: "/a/b" } }),
      match("method", { path: { value: "/a" }, method: "PUT" }),
    ]),
    route(
      [
        match("younger", { path: { value: "/a" } }),
        match("exact", { path: { type: "Exact", value: "/a/b/c" } }),
        match("header", { path: { value: "/a" }, headers: [{ name: "x", value: "1" }] }),
        match("query", { path: { value: "/a" }, queryParams: [{ name: "q", value: "1" }] }),
      ],
      {},
      "second",
    ),
  ].join("---");
  const routes = routesTo("shop/echo", yaml);
  const found = (...args: Parameters<typeof request>) => nameOf(routes.find(request(...args)));
  assert.equal(found("/a/x"), "prefix");
  assert.equal(found("/a/b"), "longer");
  assert.equal(found("/a/b/c"), "exact");
  assert.equal(found("/a", ["X: 1"], { method: "PUT" }), "method");
  assert.equal(found("/a?q=1", ["X: 1"]), "header");
  assert.equal(found("/a?q=1"), "query");
});

test("a prefix is replaced as Gateway API's table says", () => {
  const cases = [
    ["/foo/bar", "/foo", "/xyz", "/xyz/bar"],
    ["/foo/bar", "/foo", "/xyz/", "/xyz/bar"],
    ["/foo/bar", "/foo/", "/xyz", "/xyz/bar"],
    ["/foo/bar", "/foo/", "/xyz/", "/xyz/bar"],
    ["/foo", "/foo", "/xyz", "/xyz"],
    ["/foo/", "/foo", "/xyz", "/xyz/"],
    ["/foo/bar", "/foo", "", "/bar"],
    ["/foo/", "/foo", "", "/"],
    ["/foo", "/foo", "", "/"],
    ["/foo/", "/foo", "/", "/"],
    ["/foo", "/foo", "/", "/"],
  ] as const;
  for (const [path, value, replacePrefixMatch, expected] of cases) {
    const modifier = { type: "ReplacePrefixMatch", replacePrefixMatch };
    const rule = ruleOf(
      route([
        {
          matches: [{ path: { type: "PathPrefix", value } }],
          filters: [{ type: "URLRewrite", urlRewrite: { path: modifier } }],
          backendRefs: [to("v1")],
        },
      ]),
    );
    const rewrite = rule.rewrite?.path;
    assert.ok(rewrite);
    assert.equal(rewritePath(path, rewrite, rule.matches[0] ?? null), expected, `${path} ${value}`);
  }
});

test("a redirect takes what it does not say from the request", () => {
  const location = (requestRedirect: object) => {
    const filters = [{ type: "RequestRedirect", requestRedirect }];
    const rule = ruleOf(route([{ matches: [{ path: { value: "/a" } }], filters }]));
    assert.ok(rule.action.kind === "redirect");
    const from = { scheme: "http", host: "echo.shop", port: 8080, path: "/a/b?q=1" };
    const { status, location: text } = redirectTo(
      rule.action.redirect,
      from,
      rule.matches[0] ?? null,
    );
    return `${status} ${text}`;
  };
  assert.equal(location({ scheme: "https" }), "302 https://echo.shop/a/b?q=1");
  assert.equal(location({ hostname: "b.example" }), "302 http://b.example:8080/a/b?q=1");
  assert.equal(
    location({ statusCode: 301, path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/c" } }),
    "301 http://echo.shop:8080/c/b?q=1",
  );
  assert.equal(location({ port: 80 }), "302 http://echo.shop/a/b?q=1");
});

test("the share of what is no Service leads nowhere and is answered 500", () => {
  const bucket = to("files", { group: "example.net", kind: "Bucket" });
  const yaml = route([{ backendRefs: [to("v1"), bucket] }]);
  const names = picks(routesTo("shop/echo", yaml).find(request("/")), 10);
  assert.deepEqual(counts(names), { v1: 5, "-": 5 });
  const { action } = ruleOf(yaml);
  assert.deepEqual(action.kind === "forward" && action.backends[1], {
    ...{ service: null, weight: 1, missingStatus: 500 },
  });
});

test("unsafe methods are repeated only where the rule names its methods", () => {
  const retry = { codes: [503] };
  const rule = (matches: object[]) => ruleOf(route([{ matches, retry, backendRefs: [to("v1")] }]));
  assert.equal(rule([{ path: { value: "/a" } }]).retry?.unsafe, false);
  assert.equal(rule([{ method: "GET" }]).retry?.unsafe, false);
  assert.equal(rule([{ method: "POST" }]).retry?.unsafe, true);
  assert.equal(rule([{ method: "POST" }, { path: { value: "/b" } }]).retry?.unsafe, false);
});

test("durations are Gateway API's", () => {
  const ms = (request: string) =>
    ruleOf(route([{ timeouts: { request }, backendRefs: [to("v1")] }])).timeouts?.requestMs;
  assert.equal(ms("0s"), 0);
  assert.equal(ms("1h2m3s4ms"), 3_723_004);
  assert.equal(ms("99999s"), 99_999_000);
  for (const bad of [
    "",
    "1",
    "-1s",
    "1.5s",
    "100000s",
    "99999h",
    "1s1s1s1s1s",
    " 1s",
    "1s ",
    "1d",
    "1S",
  ]) {
    const yaml = route([{ timeouts: { request: bad } }]);
    assert.match(refusals(yaml)[0] ?? "", /^spec\.rules\[0\]\.timeouts\.request: must be/, bad);
  }
});

test("numbers of rules and matches are limited as in the custom resource", () => {
  const backendRefs = [to("v1")];
  const many = (count: number) => Array.from({ length: count }, () => ({ path: { value: "/" } }));
  const rules = (count: number, matches: number) =>
    refusals(route(Array.from({ length: count }, () => ({ matches: many(matches), backendRefs }))));
  assert.deepEqual(rules(16, 8), []);
  assert.match(rules(17, 1)[0] ?? "", /^spec\.rules: /);
  assert.match(rules(1, 65)[0] ?? "", /^spec\.rules\[0\]\.matches: /);
  assert.match(rules(3, 43)[0] ?? "", /^spec\.rules: at most 128 matches/);
  assert.match(rules(0, 0)[0] ?? "", /^spec\.rules: must not be empty/);
});

test("nothing that could end a line or leave the path gets into a head", () => {
  const refusedAt = (rule: object, path: string) =>
    assert.ok(
      refusals(route([{ backendRefs: [to("v1")], ...rule }])).some((each) =>
        each.startsWith(`spec.rules[0].${path}`),
      ),
      `${path} of ${JSON.stringify(rule)}`,
    );
  for (const value of ["a\r\nx: y", "a\nb", "a\u0000b", "", "\u2028", "\u007f"]) {
    for (const list of ["set", "add"]) {
      const requestHeaderModifier = { [list]: [{ name: "x", value }] };
      const filters = [{ type: "RequestHeaderModifier", requestHeaderModifier }];
      refusedAt({ filters }, `filters[0].requestHeaderModifier.${list}[0].value`);
    }
  }
  for (const name of ["", "a b", "a:b", "a\r\n", ":path", "ä"]) {
    const filters = [
      { type: "ResponseHeaderModifier", responseHeaderModifier: { remove: [name] } },
    ];
    refusedAt({ filters }, "filters[0].responseHeaderModifier.remove[0]");
  }
  for (const replaceFullPath of ["/a b", "/a\r\nHost: x", "//evil example", "a", "/a?b", "/%zz"]) {
    const urlRewrite = { path: { type: "ReplaceFullPath", replaceFullPath } };
    refusedAt({ filters: [{ type: "URLRewrite", urlRewrite }] }, "filters[0].urlRewrite.path");
  }
  for (const hostname of ["a b", "a\r\n", "*.example.com", "10.0.0.1", "UPPER", "a..b", "a:80"]) {
    refusedAt(
      { filters: [{ type: "URLRewrite", urlRewrite: { hostname } }] },
      "filters[0].urlRewrite.hostname",
    );
  }
  for (const value of [
    "a",
    "/a//b",
    "/a/../b",
    "/a/..",
    "/a/.",
    "/%2Fa",
    "/a?b",
    "/a#b",
    "/ä",
    "",
  ]) {
    refusedAt({ matches: [{ path: { value } }] }, "matches[0].path.value");
  }
});

test("names of Services cannot lead elsewhere", () => {
  for (const name of ["", "a/b", "../x", "a b", "host:x", "*", "a.", "x".repeat(254)]) {
    const inBackend = refusals(route([{ backendRefs: [to(name)] }]));
    assert.match(inBackend[0] ?? "", /^spec\.rules\[0\]\.backendRefs\[0\]\.name: /, name);
    const parentRefs = [{ group: "", kind: "Service", name }];
    const inParent = refusals(route([{ backendRefs: [to("v1")] }], { parentRefs }));
    assert.match(inParent[0] ?? "", /^spec\.parentRefs\[0\]\.name: /, name);
  }
});

test("filters that are not understood are refused, by whatever name", () => {
  for (const type of ["ExtensionRef", "ExternalAuth", "constructor", "cors", "", null, 1]) {
    const [issue] = refusals(route([{ filters: [{ type }], backendRefs: [to("v1")] }]));
    assert.match(issue ?? "", /^spec\.rules\[0\]\.filters\[0\]\.type: /, String(type));
  }
  const filters = [{ type: "RequestMirror", requestMirror: { backendRef: to("v2") } }];
  const [issue] = refusals(route([{ backendRefs: [to("v1", { filters })] }]));
  assert.match(
    issue ?? "",
    /filters\[0\]\.(requestMirror|type): RequestMirror is refused: it stands/,
  );
});

test("an expression that no proxy could run is refused where it stands", () => {
  const bad = { type: "RegularExpression", value: "(a+)+(?=b)" };
  const matches = [
    { path: bad, headers: [{ ...bad, name: "x" }], queryParams: [{ ...bad, name: "y" }] },
  ];
  const found = refusals(route([{ matches, backendRefs: [to("v1")] }]));
  const places = found.map((each) => each.split(": ")[0]);
  assert.deepEqual(places, [
    "spec.rules[0].matches[0].path.value",
    "spec.rules[0].matches[0].headers[0].value",
    "spec.rules[0].matches[0].queryParams[0].value",
  ]);
});

test("one Service is named once, or each time with a port of its own", () => {
  const parents = (...ports: (number | undefined)[]) =>
    refusals(
      route([{ backendRefs: [to("v1")] }], {
        parentRefs: ports.map((port) => ({ group: "", kind: "Service", name: "echo", port })),
      }),
    );
  assert.deepEqual(parents(80, 81), []);
  assert.match(parents(80, 80)[0] ?? "", /^spec\.parentRefs\[1\]: shop\/echo is named twice/);
  assert.match(parents(undefined, 80)[0] ?? "", /named twice/);
  assert.match(parents(80, undefined)[0] ?? "", /named twice/);
});

test("a header is set, added to or removed, not two of these", () => {
  const requestHeaderModifier = { set: [{ name: "X-A", value: "1" }], remove: ["x-a"] };
  const filters = [{ type: "RequestHeaderModifier", requestHeaderModifier }];
  const [issue] = refusals(route([{ filters, backendRefs: [to("v1")] }]));
  assert.match(issue ?? "", /requestHeaderModifier\.remove\[0\]: x-a is in set too/);
});

test("a rule without backendRefs leads to the Service that the route is bound to", () => {
  for (const group of ["", "core"]) {
    const yaml = route([{ timeouts: { request: "1s" } }], {
      parentRefs: [{ group, kind: "Service", name: "echo", port: 8080 }],
    });
    assert.deepEqual(ruleOf(yaml).action, { kind: "forward", backends: [] });
    assert.deepEqual(warningsOf(yaml), []);
  }
  const none = route([{ backendRefs: [to("v1", { weight: 0 })] }]);
  assert.deepEqual(ruleOf(none).action, { kind: "respond", status: 500, body: "" });
});

test("Linkerd's annotations win over the fields of the rules", () => {
  const yaml = route([
    { name: "quiet", matches: [{ path: { value: "/q" } }], backendRefs: [to("v1")] },
    { name: "own", retry: { attempts: 0 }, timeouts: { request: "1s" }, backendRefs: [to("v1")] },
  ]).replace(
    "metadata: {",
    'metadata: { annotations: { retry.linkerd.io/http: "503", timeout.linkerd.io/request: 9s, retry.linkerd.io/limit: "x" },',
  );
  const [record] = recordsOfText(yaml);
  const rules = record?.kind === "route" ? record.value.rules : [];
  assert.deepEqual(
    rules.map(({ timeouts }) => timeouts?.requestMs),
    [9_000, 9_000],
  );
  assert.deepEqual(
    rules.map(({ retry }) => retry?.attempts),
    [1, 1],
  );
  assert.match(
    warningsOf(yaml)[0] ?? "",
    /^metadata\.annotations\["retry\.linkerd\.io\/limit"\]: /,
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { request, routeSet } from "../../proxy/routing/match/fixtures.ts";
import {
  httpService,
  onlyOf,
  refusals,
  resource,
  ruleOf,
  shares,
  taken,
  toReviews,
  valuesOf,
  warnedPaths,
} from "./fixtures.ts";

const anyHttp = [{ route: toReviews }];

test("a short name is of the resource's namespace, a full one of its own, and all else is a host", () => {
  const hosts = [
    "reviews",
    "Reviews.prod.svc.cluster.local.",
    "*.prod.svc.cluster.local",
    "www.example.com",
    "10.0.0.1",
    "::FFFF:0:1",
    "reviews.shop.svc.cluster.local",
  ];
  const of = resource("VirtualService", { hosts, http: anyHttp }, { namespace: "shop" });
  assert.deepEqual(onlyOf("route", of).services, [
    "shop/reviews",
    "prod/reviews",
    "host:*.prod.svc.cluster.local",
    "host:www.example.com",
    "host:10.0.0.1",
    "host:::ffff:0:1",
  ]);
});

test("reviews.prod is no service for Istio: it is a host, with a warning unless a ServiceEntry names it", () => {
  const of = resource("VirtualService", { hosts: ["reviews.prod"], http: anyHttp });
  assert.deepEqual(onlyOf("route", of).services, ["host:reviews.prod"]);
  const [warning] = taken(of).warnings;
  assert.equal(warning?.path, "spec.hosts[0]");
  assert.match(warning?.message ?? "", /reviews\.prod\.svc\.cluster\.local/);
  const entry = (host: string) =>
    resource("ServiceEntry", { hosts: [host], ports: [{ number: 80, name: "http" }] });
  assert.deepEqual(warnedPaths(of, entry("reviews.prod")), []);
  assert.deepEqual(warnedPaths(of, entry("*.prod")), []);
  assert.deepEqual(warnedPaths(of, entry("*.dev")), ["spec.hosts[0]"]);
});

test("hosts that are none are refused by path", () => {
  for (const host of [
    "",
    "a b",
    "http://a",
    "a:80",
    "*.*.a",
    "a.*",
    "*",
    "-a",
    "a..b",
    "ü.example",
  ]) {
    const of = resource("VirtualService", { hosts: ["ok", host], http: anyHttp });
    assert.match(refusals(of)[0] ?? "", /^spec\.hosts\[1\]: /, host);
  }
});

test("without mesh among its gateways a resource has no effect, whatever its hosts", () => {
  const spec = { hosts: ["*"], gateways: ["front"], http: anyHttp };
  assert.deepEqual(taken(resource("VirtualService", spec)).records, []);
  const both = { hosts: ["reviews"], gateways: ["front", "mesh"], http: anyHttp };
  assert.equal(valuesOf("route", resource("VirtualService", both)).length, 1);
  assert.deepEqual(warnedPaths(resource("VirtualService", both)), ["spec.gateways[0]"]);
});

test("a route whose matches are all for other gateways is left out, and never matches everything", () => {
  const match = [{ uri: { prefix: "/a" }, gateways: ["front"] }];
  const of = httpService({ match, route: toReviews }, { match: [{}], redirect: { uri: "/" } });
  const [rule, ...others] = onlyOf("route", of).rules;
  assert.equal(others.length, 0);
  assert.equal(rule?.action.kind, "redirect");
  assert.deepEqual(taken(httpService({ match, route: toReviews })).records, []);
});

test("exportTo names the callers' namespaces", () => {
  const clientsOf = (exportTo: string[]) =>
    onlyOf(
      "route",
      resource("VirtualService", { hosts: ["a"], exportTo, http: anyHttp }, { namespace: "shop" }),
    ).clients;
  assert.deepEqual(clientsOf(["."]), ["shop"]);
  assert.deepEqual(clientsOf([".", "shop", "prod"]), ["shop", "prod"]);
  assert.equal(clientsOf(["prod", "*"]), null);
  assert.equal(clientsOf([]), null);
  assert.deepEqual(clientsOf(["~"]), []);
});

test("matches hold for the requests that Istio means", () => {
  const holds = (match: object, ...of: Parameters<typeof request>): boolean => {
    const table = onlyOf("route", httpService({ match: [match], route: toReviews }));
    return routeSet(table).find(request(...of)) !== "refuse";
  };
  const cases: readonly (readonly [object, Parameters<typeof request>, boolean])[] = [
    [{ uri: { exact: "/Login" }, ignoreUriCase: true }, ["/lOGIN?a"], true],
    [{ uri: { exact: "/Login" } }, ["/login"], false],
    [{ uri: { prefix: "/api" } }, ["/apis"], true],
    [{ uri: { regex: "/v[0-9]" } }, ["/v1"], true],
    [{ uri: { regex: "/v[0-9]" } }, ["/v1/a"], false],
    [
      { headers: { cookie: { regex: "^(.*?;)?(user=jason)(;.*)?$" } } },
      ["/", ["Cookie: user=jason; a=b"]],
      true,
    ],
    [{ headers: { "X-Debug": {} } }, ["/", ["x-debug: "]], true],
    [{ headers: { "x-debug": {} } }, ["/"], false],
    [{ headers: { "x-debug": { regex: "*" } } }, ["/", ["x-debug: 1"]], true],
    [{ withoutHeaders: { "x-debug": {} } }, ["/"], true],
    [{ withoutHeaders: { "x-debug": {} } }, ["/", ["x-debug: 1"]], false],
    [{ withoutHeaders: { "x-debug": { exact: "1" } } }, ["/", ["x-debug: 2"]], true],
    [{ queryParams: { q: { exact: "1" } } }, ["/?q=1"], true],
    [{ queryParams: { q: {} } }, ["/?p=1"], false],
    [{ method: { exact: "POST" } }, ["/", [], { method: "POST" }], true],
    [{ method: { regex: "GET|HEAD" } }, ["/", [], { method: "POST" }], false],
    [{ authority: { exact: "Reviews:9080" } }, ["/", [], { host: "reviews" }], true],
    [{ scheme: { exact: "https" } }, ["/"], false],
    [{ port: 9080 }, ["/", [], { port: 9080 }], true],
    [{ port: 9080 }, ["/"], false],
    [
      { sourceLabels: { app: "web" } },
      ["/", [], { source: { namespace: "a", labels: { app: "web", v: "1" } } }],
      true,
    ],
    [{ sourceLabels: { app: "web" } }, ["/"], false],
    [{ sourceNamespace: "web" }, ["/"], true],
    [{ sourceNamespace: "shop" }, ["/"], false],
  ];
  for (const [match, of, expected] of cases) {
    assert.equal(holds(match, ...of), expected, `${JSON.stringify(match)} ${of[0]}`);
  }
});

test("without retries there are two, for what no application can have got; attempts 0 means none", () => {
  const { retry } = ruleOf({ route: toReviews });
  assert.equal(retry?.attempts, 2);
  assert.deepEqual(retry?.on, [
    ...["connect-failure", "refused-stream", "reset-before-request"],
    ...["unavailable", "cancelled"],
  ]);
  assert.deepEqual(retry?.backoff, { baseMs: 25, maxMs: 250 });
  assert.equal(ruleOf({ route: toReviews, retries: { attempts: 0 } }).retry?.attempts, 0);
  assert.equal(ruleOf({ route: toReviews, retries: {} }).retry?.attempts, 0);
});

test("retryOn: statuses by number, a per-try timeout as a reset, and unknown words refused by path", () => {
  const of = (retryOn: string) => ({ route: toReviews, retries: { attempts: 1, retryOn } });
  const { retry } = ruleOf(of(" 5xx,503, 429 ,"));
  assert.deepEqual(retry?.on, ["5xx", "timeout"]);
  assert.deepEqual(retry?.statuses, [
    [503, 503],
    [429, 429],
  ]);
  assert.deepEqual(ruleOf(of("retriable-4xx,504")).retry?.on, ["retriable-4xx"]);
  for (const word of ["5XX", "constructor", "toString", "99", "700", "gateway error"]) {
    const [refusal] = refusals(httpService(of(`connect-failure,${word}`)));
    assert.match(refusal ?? "", /^spec\.http\[0\]\.retries\.retryOn: unknown condition/, word);
  }
  assert.deepEqual(ruleOf(of("unavailable,internal")).retry?.on, ["unavailable", "internal"]);
  assert.deepEqual(warnedPaths(httpService(of("unavailable"))), []);
});

test("a timeout that is absent or 0s is none", () => {
  assert.equal(ruleOf({ route: toReviews }).timeouts?.requestMs, 0);
  assert.equal(ruleOf({ route: toReviews, timeout: "0s" }).timeouts?.requestMs, 0);
  assert.equal(ruleOf({ route: toReviews, timeout: "1.5s" }).timeouts?.requestMs, 1_500);
});

test("weights: the only destination gets everything, 0 nothing, and all 0 is refused", () => {
  const to = (...weights: (number | undefined)[]) => ({
    route: weights.map((weight, index) => ({
      destination: { host: `s${index}` },
      ...(weight === undefined ? {} : { weight }),
    })),
  });
  assert.equal(shares(ruleOf(to(undefined)))[0]?.[2], 100);
  assert.equal(shares(ruleOf(to(0)))[0]?.[2], 0);
  assert.deepEqual(
    shares(ruleOf(to(0, 7))).map(([, , weight]) => weight),
    [0, 7],
  );
  assert.match(refusals(httpService(to(0, 0)))[0] ?? "", /^spec\.http\[0\]\.route: /);
  assert.deepEqual(warnedPaths(httpService(to(1, undefined))), ["spec.http[0].route[1]"]);
  assert.equal(refusals(httpService(to(-1, 2))).length, 1);
});

test("mirrors: everything without a percentage, nothing with 0", () => {
  const percents = (more: object) =>
    ruleOf({ route: toReviews, mirror: { host: "b" }, ...more }).mirrors?.map((m) => m.percent);
  assert.deepEqual(percents({}), [100]);
  assert.deepEqual(percents({ mirrorPercentage: { value: 0.5 } }), [0.5]);
  assert.deepEqual(percents({ mirrorPercent: 10, mirror_percent: 20 }), [10]);
  assert.deepEqual(percents({ mirrorPercentage: { value: 5 }, mirrorPercent: 10 }), [5]);
  assert.equal(percents({ mirrorPercentage: { value: 0 } }), undefined);
  assert.equal(percents({ mirrorPercentage: {} }), undefined);
});

test("a redirect to another authority takes that one's port, not the request's", () => {
  const redirectOf = (redirect: object) => {
    const { action } = ruleOf({ redirect });
    assert.equal(action.kind, "redirect");
    return action.redirect;
  };
  assert.deepEqual(redirectOf({ uri: "/x" }), { path: { kind: "full", value: "/x" }, status: 301 });
  assert.equal(redirectOf({ authority: "a.example" }).port, "default");
  assert.equal(redirectOf({ authority: "a.example:8443" }).port, 8_443);
  assert.equal(redirectOf({ authority: "[::1]:81" }).host, "::1");
  assert.equal(redirectOf({ derivePort: "FROM_PROTOCOL_DEFAULT" }).port, "default");
  assert.equal(redirectOf({ scheme: "https" }).port, undefined);
});

test("the Host among the headers to set is the new authority, and no header", () => {
  const rule = ruleOf({
    route: toReviews,
    headers: { request: { set: { Host: "other.example", "x-a": "1" } } },
  });
  assert.deepEqual(rule.rewrite, { authority: "other.example" });
  assert.deepEqual(rule.requestHeaders, { set: [["x-a", "1"]] });
});

test("what Istio calls a fault without percentage never happens, and is told", () => {
  const fault = { delay: { fixedDelay: "5s" }, abort: { httpStatus: 500 } };
  assert.deepEqual(ruleOf({ fault, route: toReviews }).fault, {
    delay: { ms: 5_000, percent: 0 },
    abort: { status: 500, percent: 0 },
  });
  assert.deepEqual(warnedPaths(httpService({ fault, route: toReviews })), [
    "spec.http[0].fault.delay",
    "spec.http[0].fault.abort",
  ]);
});

test("a fault aborts with a status of gRPC, by its name or its number", () => {
  const abortOf = (grpcStatus: string | number) =>
    ruleOf({
      fault: { abort: { grpcStatus, percentage: { value: 100 } } },
      route: toReviews,
    }).fault?.abort;
  assert.deepEqual(abortOf("UNAVAILABLE"), { status: 503, grpcStatus: 14, percent: 100 });
  assert.deepEqual(abortOf("NOT_FOUND"), { status: 404, grpcStatus: 5, percent: 100 });
  for (const seven of ["PERMISSION_DENIED", "7", 7]) {
    assert.deepEqual(abortOf(seven), { status: 403, grpcStatus: 7, percent: 100 });
  }
});

test("fields that do not fit together, are unknown or hostile are refused by path", () => {
  const cases: readonly (readonly [object, string])[] = [
    [{}, "spec.http[0]"],
    [{ route: toReviews, redirect: { uri: "/" } }, "spec.http[0]"],
    [{ route: [], match: [{ uri: { prefix: "/" } }] }, "spec.http[0]"],
    [{ route: toReviews, typo: 1 }, "spec.http[0].typo"],
    [{ route: [{ destination: { host: "*.a.b" } }] }, "spec.http[0].route[0].destination.host"],
    [
      { route: [{ destination: { host: "a", subset: "a b" } }] },
      "spec.http[0].route[0].destination.subset",
    ],
    [
      { route: [{ destination: { host: "a", port: { number: 0 } } }] },
      "spec.http[0].route[0].destination.port.number",
    ],
    [{ route: toReviews, match: [{ uri: {} }] }, "spec.http[0].match[0].uri"],
    [
      { route: toReviews, match: [{ uri: { exact: "/", prefix: "/" } }] },
      "spec.http[0].match[0].uri",
    ],
    [{ route: toReviews, match: [{ uri: { regex: "(a" } }] }, "spec.http[0].match[0].uri.regex"],
    [
      { route: toReviews, match: [{ uri: { regex: "(a{1,900}){9}" } }] },
      "spec.http[0].match[0].uri.regex",
    ],
    [{ route: toReviews, match: [{ uri: { regex: "*" } }] }, "spec.http[0].match[0].uri.regex"],
    [
      { route: toReviews, match: [{ headers: { "a b": {} } }] },
      'spec.http[0].match[0].headers["a b"]',
    ],
    [
      { route: toReviews, match: [{ headers: { "@request.auth.claims.g": {} } }] },
      'spec.http[0].match[0].headers["@request.auth.claims.g"]',
    ],
    [{ route: toReviews, timeout: "5" }, "spec.http[0].timeout"],
    [{ route: toReviews, timeout: "-1s" }, "spec.http[0].timeout"],
    [{ route: toReviews, timeout: "10000h" }, "spec.http[0].timeout"],
    [
      { route: toReviews, retries: { attempts: 2, perTryTimeout: "0s" } },
      "spec.http[0].retries.perTryTimeout",
    ],
    [
      { route: toReviews, fault: { abort: { grpcStatus: "Unavailable" } } },
      "spec.http[0].fault.abort.grpcStatus",
    ],
    [
      { route: toReviews, fault: { abort: { grpcStatus: 17 } } },
      "spec.http[0].fault.abort.grpcStatus",
    ],
    [
      { route: toReviews, fault: { abort: { grpcStatus: "toString" } } },
      "spec.http[0].fault.abort.grpcStatus",
    ],
    [{ route: toReviews, fault: { abort: {} } }, "spec.http[0].fault.abort"],
    [
      { route: toReviews, fault: { abort: { httpStatus: 503, grpcStatus: "UNAVAILABLE" } } },
      "spec.http[0].fault.abort",
    ],
    [
      { route: toReviews, fault: { abort: { http2Error: "NO_ERROR" } } },
      "spec.http[0].fault.abort.http2Error",
    ],
    [
      { route: toReviews, fault: { delay: { fixedDelay: "1s", percentage: { value: 101 } } } },
      "spec.http[0].fault.delay.percentage.value",
    ],
    [
      { route: toReviews, mirror: { host: "a" }, mirrors: [{ destination: { host: "b" } }] },
      "spec.http[0].mirrors",
    ],
    [
      { route: toReviews, headers: { request: { set: { "x-a": "1\r\nx-b: 2" } } } },
      "spec.http[0].headers.request.set.x-a",
    ],
    [
      { route: toReviews, headers: { response: { add: { "x-a": "%REQ(x-b)%" } } } },
      "spec.http[0].headers.response.add.x-a",
    ],
    [
      { route: toReviews, headers: { request: { set: { "x a": "1" } } } },
      'spec.http[0].headers.request.set["x a"]',
    ],
    [{ route: toReviews, rewrite: { uri: "/a b" } }, "spec.http[0].rewrite.uri"],
    [{ route: toReviews, rewrite: { authority: "a b" } }, "spec.http[0].rewrite.authority"],
    [
      { route: toReviews, rewrite: { uri: "/", uriRegexRewrite: { match: "a", rewrite: "b" } } },
      "spec.http[0].rewrite.uriRegexRewrite",
    ],
    [{ redirect: { uri: "/", prefixRewrite: "/" } }, "spec.http[0].redirect.prefixRewrite"],
    [
      { redirect: { port: 1, derivePort: "FROM_REQUEST_PORT" } },
      "spec.http[0].redirect.derivePort",
    ],
    [{ redirect: { redirectCode: 418 } }, "spec.http[0].redirect.redirectCode"],
    [{ redirect: { uri: "/\r\nset-cookie: a" } }, "spec.http[0].redirect.uri"],
    [{ directResponse: { status: 99 } }, "spec.http[0].directResponse.status"],
    [
      { directResponse: { status: 200, body: { bytes: "/w==" } } },
      "spec.http[0].directResponse.body.bytes",
    ],
    [
      { directResponse: { status: 200, body: { string: "a", bytes: "YQ==" } } },
      "spec.http[0].directResponse.body.bytes",
    ],
  ];
  for (const [route, path] of cases) {
    const places = refusals(httpService(route)).map((text) => text.replace(/: .*$/s, ""));
    assert.ok(places.includes(path), `${JSON.stringify(route)}: ${places.join(" | ")}`);
  }
});

test("what an answer at once cannot do has no effect, and is told", () => {
  const idle = {
    timeout: "1s",
    retries: { attempts: 1 },
    rewrite: { uri: "/" },
    mirror: { host: "a" },
    headers: { request: { set: { a: "b" } } },
  };
  for (const action of [{ redirect: { uri: "/x" } }, { directResponse: { status: 200 } }]) {
    const rule = ruleOf({ ...action, ...idle });
    assert.equal(rule.timeouts ?? rule.retry ?? rule.rewrite ?? rule.mirrors, undefined);
    assert.deepEqual(
      warnedPaths(httpService({ ...action, ...idle })).map((path) => path.slice(13)),
      ["rewrite", "timeout", "retries", "mirror", "headers.request"],
    );
  }
});

test("CORS: * among the exact origins is any, and preflights go on unless they are to be ignored", () => {
  const corsOf = (corsPolicy: object) => ruleOf({ route: toReviews, corsPolicy }).cors;
  assert.deepEqual(corsOf({ allowOrigins: [{ exact: "*" }] })?.allowOrigins, [{ kind: "present" }]);
  assert.deepEqual(corsOf({ allowOrigin: ["https://a"] })?.allowOrigins, [
    { kind: "exact", value: "https://a" },
  ]);
  assert.equal(corsOf({})?.forwardUnmatched, true);
  assert.equal(corsOf({ unmatchedPreflights: "UNSPECIFIED" })?.forwardUnmatched, true);
  assert.equal(corsOf({ unmatchedPreflights: "IGNORE" })?.forwardUnmatched, false);
  assert.equal(corsOf({})?.maxAgeSeconds, -1);
  assert.equal(corsOf({ maxAge: "1999ms" })?.maxAgeSeconds, 1);
});

test("tls routes are refused with the reason, and a resource without routes as well", () => {
  const tls = [{ match: [{ sniHosts: ["a"] }], route: toReviews }];
  assert.match(
    refusals(resource("VirtualService", { hosts: ["a"], tls }))[0] ?? "",
    /^spec\.tls: TLS is/,
  );
  assert.match(refusals(resource("VirtualService", { hosts: ["a"] }))[0] ?? "", /^spec: must have/);
});

test("Host cannot be removed, which is said and not dropped", () => {
  for (const name of ["Host", "host"]) {
    const headers = { request: { remove: ["x-a", name] } };
    const of = resource("VirtualService", { hosts: ["a"], http: [{ headers, route: toReviews }] });
    const [refusal] = refusals(of);
    assert.match(JSON.stringify(refusal), /headers\.request\.remove\[1\].*Host cannot be removed/);
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../../../src/core/random.ts";
import type { RouteMatch, TextMatch } from "../../../../src/core/traffic.ts";
import { RouteSet } from "../../../../src/proxy/routing/match/route-set.ts";
import { holds, nameOf, request, routeSet, rule, table } from "./fixtures.ts";

/** As it comes over the wire: one character per byte. */
const bytes = (text: string) => Buffer.from(text).toString("latin1");
const exact = (value: string): TextMatch => ({ kind: "exact", value });
const prefix = (value: string): TextMatch => ({ kind: "prefix", value });
const regex = (value: string): TextMatch => ({ kind: "regex", value });

test("the first rule that matches holds, and it is said by which match", () => {
  const matches: RouteMatch[] = [{ path: exact("/a") }, { path: prefix("/a") }];
  const set = routeSet(table([rule("one", ...matches), rule("two", { path: prefix("/") })]));
  const found = set.find(request("/ab?x=1"));
  assert.equal(nameOf(found), "one");
  assert.deepEqual(typeof found === "object" && found?.match, matches[1]);
  assert.equal(nameOf(set.find(request("/b"))), "two");
});

test("a rule without matches holds for everything, and what no rule wants is refused or goes on", () => {
  assert.equal(nameOf(routeSet(table([rule("all")])).find(request("/x"))), "all");
  const none = [rule("one", { path: exact("/one") })];
  assert.equal(routeSet(table(none)).find(request("/x")), "refuse");
  assert.equal(routeSet(table(none, { otherwise: "service" })).find(request("/x")), null);
  assert.equal(routeSet().find(request("/x")), null);
  assert.equal(routeSet(table([])).find(request("/x")), "refuse");
});

test("a prefix is text, and segments are whole elements without the slash at the end", () => {
  const cases: readonly (readonly [TextMatch, string, boolean])[] = [
    [prefix("/foo"), "/foobar", true],
    [prefix("/foo/"), "/foo", false],
    [{ kind: "segments", value: "/foo" }, "/foobar", false],
    [{ kind: "segments", value: "/foo" }, "/foo", true],
    [{ kind: "segments", value: "/foo" }, "/foo?q", true],
    [{ kind: "segments", value: "/foo/" }, "/foo", true],
    [{ kind: "segments", value: "/foo/" }, "/foo/bar", true],
    [{ kind: "segments", value: "/" }, "/anything", true],
    [exact("/foo"), "/foo/", false],
    [exact("/foo"), "/foo?a=/foo", true],
    [{ kind: "exact", value: "/Foo", ignoreCase: true }, "/fOO", true],
    [{ kind: "prefix", value: "/FOO", ignoreCase: true }, "/foobar", true],
    [{ kind: "suffix", value: ".PNG", ignoreCase: true }, "/a.png", true],
    [{ kind: "suffix", value: ".png" }, "/a.PNG", false],
    [regex("/a|/b"), "/b", true],
    [regex("/a|/b"), "/bc", false],
    [regex("/v[0-9]+/.*"), "/v12/x", true],
    [{ kind: "present" }, "/", true],
  ];
  for (const [path, target, expected] of cases) {
    assert.equal(holds({ path }, request(target)), expected, `${JSON.stringify(path)} ${target}`);
  }
});

test("headers are compared by name in any case, joined where repeated, and also by their absence", () => {
  const header = (name: string, match: TextMatch, invert?: true): RouteMatch => ({
    headers: [{ name, match, ...(invert && { invert }) }],
  });
  const cases: readonly (readonly [RouteMatch, readonly string[], boolean])[] = [
    [header("x-user", exact("ann")), ["X-USER: ann"], true],
    [header("x-user", exact("ann")), ["X-User: Ann"], false],
    [header("x-user", exact("ann,bob")), ["x-user: ann", "X-User: bob"], true],
    [header("x-user", exact("ann")), ["x-user: ann", "x-user: bob"], false],
    [header("x-user", { kind: "present" }), ["x-user:"], true],
    [header("x-user", { kind: "present" }), [], false],
    [header("x-user", { kind: "present" }, true), [], true],
    [header("x-user", exact("ann"), true), [], true],
    [header("x-user", exact("ann"), true), ["x-user: bob"], true],
    [header("x-user", exact("ann"), true), ["x-user: ann"], false],
    [header("x-user", prefix("an")), ["x-user: ann"], true],
    [header("x-user", prefix("")), ["x-user:"], true],
    [header("x-user", prefix("")), [], false],
    [header("cookie", regex("^(.*?;)?(user=jason)(;.*)?$")), ["Cookie: a=b;user=jason"], true],
    [header("cookie", regex("^(.*?;)?(user=jason)(;.*)?$")), ["Cookie: user=jasonx"], false],
    [header(":authority", exact("reviews.shop")), [], true],
    [header("host", exact("reviews.shop")), [], true],
    [header(":method", exact("GET")), [], true],
    [header(":path", exact("/p?q=1")), [], true],
    [header("x-user", exact("J\u00fcrgen")), [`x-user: ${bytes("J\u00fcrgen")}`], true],
    [header("x-user", exact("\u00c3")), ["x-user: \u00e3"], false],
    [header("x-user", regex("[\u00fc\u00f6].")), [`x-user: ${bytes("\u00f6x")}`], true],
  ];
  for (const [match, fields, expected] of cases) {
    assert.equal(
      holds(match, request("/p?q=1", fields)),
      expected,
      JSON.stringify([match, fields]),
    );
  }
});

test("of a query parameter the first value counts, and nothing is decoded", () => {
  const query = (name: string, match: TextMatch, invert?: true): RouteMatch => ({
    query: [{ name, match, ...(invert && { invert }) }],
  });
  const cases: readonly (readonly [RouteMatch, string, boolean])[] = [
    [query("a", exact("1")), "/?a=1", true],
    [query("a", exact("1")), "/?a=2&a=1", false],
    [query("a", exact("1")), "/?ba=1&a=1", true],
    [query("a", exact("1")), "/?xa=1", false],
    [query("a", exact("1")), "/?a=1=2", false],
    [query("a", exact("1=2")), "/?a=1=2", true],
    [query("a", { kind: "present" }), "/?a", true],
    [query("a", exact("")), "/?b&a&c", true],
    [query("a", { kind: "present" }), "/?A=1", false],
    [query("a", exact("x y")), "/?a=x%20y", false],
    [query("a", exact("x%20y")), "/?a=x%20y", true],
    [query("a", exact("1"), true), "/", true],
    [query("a", { kind: "present" }), "/a=1", false],
    [query("a", regex("[0-9]+")), "/?a=12", true],
    [query("a", regex("[0-9]+")), "/?a=12b", false],
  ];
  for (const [match, target, expected] of cases) {
    assert.equal(holds(match, request(target)), expected, JSON.stringify([match, target]));
  }
});

test("method, scheme, authority, port, and the caller's labels and namespace are conditions", () => {
  const source = { namespace: "web", labels: { app: "front", tier: "a" } };
  const of = request("/", [], { source, method: "POST", host: "a.example", port: 8080 });
  const cases: readonly (readonly [RouteMatch, boolean])[] = [
    [{ method: exact("POST") }, true],
    [{ method: exact("post") }, false],
    [{ scheme: exact("http") }, true],
    [{ scheme: exact("https") }, false],
    [{ authority: exact("A.example") }, true],
    [{ authority: { kind: "suffix", value: ".example" } }, true],
    [{ authority: exact("b.example") }, false],
    [{ port: 8080 }, true],
    [{ port: 80 }, false],
    [{ sourceNamespace: "web" }, true],
    [{ sourceNamespace: "shop" }, false],
    [{ sourceLabels: { app: "front" } }, true],
    [{ sourceLabels: { app: "front", tier: "b" } }, false],
    [{ sourceLabels: { constructor: "x" } }, false],
    [{ method: exact("POST"), port: 80 }, false],
  ];
  for (const [match, expected] of cases) {
    assert.equal(holds(match, of), expected, JSON.stringify(match));
  }
});

test("of the tables for a caller those of the highest rank count, and the oldest of them", () => {
  const set = routeSet(
    table([rule("old")], { createdMs: 1, source: "VirtualService shop/b" }),
    table([rule("same age")], { createdMs: 1, source: "VirtualService shop/c" }),
    table([rule("young")], { createdMs: 2, source: "VirtualService shop/a" }),
    table([rule("consumer")], { rank: 50, clients: ["web", "app"] }),
    table([rule("port")], { rank: 60, port: 9090 }),
  );
  const from = (namespace: string, port = 80) =>
    nameOf(set.find(request("/", [], { port, source: { namespace, labels: {} } })));
  assert.equal(from("shop"), "old");
  assert.equal(from("web"), "consumer");
  assert.equal(from("app"), "consumer");
  assert.equal(from("shop", 9090), "port");
  assert.equal(from("web", 9090), "port");
  assert.equal(from("shop", 0), "old");
});

test("a table for nobody is not one for all whom nobody names", () => {
  const set = routeSet(
    table([rule("none")], { clients: [] }),
    table([rule("empty")], { clients: [""] }),
  );
  const source = { namespace: "", labels: {} };
  assert.equal(set.find(request("/", [], { source })), null);
  assert.equal(set.find(request("/")), null);
});

test("Gateway API's precedence goes over all routes together, match by match", () => {
  const route = (name: string, createdMs: number, ...matches: readonly RouteMatch[]) =>
    table([rule(name, ...matches)], {
      createdMs,
      source: `HTTPRoute shop/${name}`,
      rank: 35,
      order: "specific",
    });
  const header = { name: "v", match: exact("2") };
  const set = routeSet(
    route("root", 0, { path: { kind: "segments", value: "/" } }),
    route("regex", 0, { path: regex("/f.*") }),
    route("short", 0, { path: { kind: "segments", value: "/foo" } }),
    route("long", 9, { path: { kind: "segments", value: "/foo/bar/" } }, { path: exact("/other") }),
    route("exact", 9, { path: exact("/foo/bar") }),
    route("method", 9, { path: { kind: "segments", value: "/foo" }, method: exact("PUT") }),
    route("headers", 9, { path: { kind: "segments", value: "/foo" }, headers: [header] }),
    route("params", 9, { path: { kind: "segments", value: "/foo" }, query: [header] }),
  );
  const of = (target: string, fields: readonly string[] = [], method = "GET") =>
    nameOf(set.find(request(target, fields, { method })));
  assert.equal(of("/foo/bar"), "exact");
  assert.equal(of("/foo/bar/"), "long");
  assert.equal(of("/foo/bar/x"), "long");
  assert.equal(of("/foo/x"), "short");
  assert.equal(of("/foo/x?v=2"), "params");
  assert.equal(of("/foo/x?v=2", ["v: 2"]), "headers");
  assert.equal(of("/foo/x?v=2", ["v: 2"], "PUT"), "method");
  assert.equal(of("/fx"), "regex");
  assert.equal(of("/other"), "long");
  assert.equal(of("/other/x"), "root");
});

test("what is equal in Gateway API's order is settled by age, then by name, then by the order of rules", () => {
  const route = (source: string, createdMs: number, names: readonly string[]) =>
    table(
      names.map((name) => rule(name)),
      { source, createdMs, rank: 35, order: "specific" },
    );
  const find = (...tables: readonly ReturnType<typeof route>[]) =>
    nameOf(routeSet(...tables).find(request("/")));
  assert.equal(find(route("HTTPRoute a/a", 2, ["x"]), route("HTTPRoute b/b", 1, ["y"])), "y");
  assert.equal(find(route("HTTPRoute b/a", 1, ["x"]), route("HTTPRoute a/b", 1, ["y"])), "y");
  assert.equal(find(route("HTTPRoute a/a", 1, ["x", "y"])), "x");
});

test("what cannot be understood is reported, never matches, and disturbs nothing", () => {
  const problems: string[] = [];
  const set = new RouteSet(
    [
      table([
        rule("bad", { path: regex("(") }),
        rule("half", { path: regex("a**") }, { path: exact("/half") }),
        rule("not", { headers: [{ name: "a", match: regex("["), invert: true }] }),
        rule("tcp", { destinationSubnets: ["10.0.0.0/8"] }),
        rule("good", { path: prefix("/") }),
      ]),
      table([rule("subnet", { destinationSubnets: ["10.0.0.0/33"] })], { protocol: "tcp" }),
      table([rule("http", { path: exact("/") })], { protocol: "tcp" }),
    ],
    (source, reason) => problems.push(`${source}: ${reason}`),
  );
  assert.equal(nameOf(set.find(request("/x"))), "good");
  assert.equal(nameOf(set.find(request("/half"))), "half");
  const source = { namespace: "web", labels: {} };
  assert.equal(set.findTcp({ address: "10.1.1.1", port: 1, source }), "refuse");
  assert.equal(problems.length, 6);
  assert.match(problems.join("\n"), /not an expression of RE2: "\("/);
  assert.match(problems.join("\n"), /10\.0\.0\.0\/33/);
});

test("profiles stand beside the routes", () => {
  const set = routeSet(
    table([rule("route", { path: exact("/a") })]),
    table([rule("profile", { path: prefix("/a") })], { role: "profile", otherwise: "service" }),
  );
  assert.equal(set.profile(request("/a"))?.rule.name, "profile");
  assert.equal(set.profile(request("/b")), null);
  assert.equal(nameOf(set.find(request("/a"))), "route");
  assert.equal(routeSet().profile(request("/a")), null);
});

test("a TCP connection is routed by its port, caller and dialled address", () => {
  const set = routeSet(
    table(
      [
        rule("net", { destinationSubnets: ["10.1.0.0/16", "fd00::/8"], port: 3306 }),
        rule("host", { destinationSubnets: ["10.2.0.1"] }),
        rule("caller", { sourceNamespace: "shop" }),
      ],
      { protocol: "tcp" },
    ),
    table([rule("http")]),
  );
  const of = (address: string, port: number, namespace = "web") =>
    nameOf(set.findTcp({ address, port, source: { namespace, labels: {} } }));
  assert.equal(of("10.1.2.3", 3306), "net");
  assert.equal(of("fd00::1", 3306), "net");
  assert.equal(of("fe80::1%eth0", 3306), "refuse");
  assert.equal(of("10.1.2.3", 80), "refuse");
  assert.equal(of("10.2.0.1", 80), "host");
  assert.equal(of("10.2.0.2", 80, "shop"), "caller");
  assert.equal(of("not an address", 80), "refuse");
});

/** A random one of a list. */
function one<Value>(random: () => number, list: readonly Value[]): Value {
  return list[Math.floor(random() * list.length)]!;
}

/** Few different values, so that much matches and many rules share their keys. */
function randomMatch(random: () => number): RouteMatch {
  const maybe = <Value>(value: Value): Value | undefined => (random() < 0.4 ? value : undefined);
  const words = ["a", "b", "ab", "B"];
  const text = (values: readonly string[]): TextMatch => {
    const kind = one(random, ["exact", "prefix", "suffix", "regex", "present", "lower"] as const);
    const value = one(random, values);
    if (kind === "present") return { kind };
    if (kind === "lower") return { kind: "prefix", value, ignoreCase: true };
    return kind === "regex" ? { kind, value: `${value}.*` } : { kind, value };
  };
  const field = (names: readonly string[]) => ({
    name: one(random, names),
    match: text(words),
    ...(random() < 0.2 && { invert: true as const }),
  });
  const fields = (names: readonly string[]) =>
    Array.from({ length: 1 + Math.floor(random() * 2) }, () => field(names));
  const match = {
    path: maybe(
      random() < 0.3
        ? ({ kind: "segments", value: one(random, ["/", "/a", "/a/b/"]) } as const)
        : text(["/", "/a", "/a/b", "/ab", "/B"]),
    ),
    method: maybe(text(["GET", "PUT"])),
    headers: maybe(fields(["a", "b", "c", "d", "e", "f", ":method"])),
    query: maybe(fields(["a", "b", "c", "d", "e", "f"])),
    port: maybe(one(random, [80, 81])),
    sourceNamespace: maybe(one(random, ["web", "shop"])),
  };
  return Object.fromEntries(
    Object.entries(match).filter(([, value]) => value !== undefined),
  ) as RouteMatch;
}

test("many rules give what looking at one after the other gives", () => {
  const random = seeded(7);
  let matched = 0;
  for (let round = 0; round < 60; round++) {
    const count = 1 + Math.floor(random() * 150);
    const matches = Array.from({ length: count }, () => randomMatch(random));
    const rules = matches.map((match, index) => rule(String(index), match));
    const together = routeSet(table(rules));
    const apart = rules.map((of) => routeSet(table([of])));
    for (let at = 0; at < 20; at++) {
      const words = ["a", "b", "ab", "aB", ""];
      const target = one(random, ["/", "/a", "/a/b", "/ab/x", "/b", "/A"]);
      const params = ["a", "b", "f", "z"].map((name) => `${name}=${one(random, words)}`);
      const fields = ["a", "B", "c", "f", "a"].map((name) => `${name}: ${one(random, words)}`);
      const of = request(`${target}?${params.join("&")}`, fields, {
        method: one(random, ["GET", "PUT"]),
        port: one(random, [80, 81, 0]),
        source: { namespace: one(random, ["web", "shop", "else"]), labels: {} },
      });
      const first = apart.find((set) => set.find(of) !== "refuse");
      const expected = first === undefined ? "refuse" : nameOf(first.find(of));
      assert.equal(nameOf(together.find(of)), expected);
      if (expected !== "refuse") matched += 1;
    }
  }
  assert.ok(matched > 200, `only ${matched} matched`);
});

test("the answers are made beforehand", () => {
  const set = routeSet(table([rule("a", { path: prefix("/") })]));
  assert.equal(set.find(request("/x")), set.find(request("/y")));
});

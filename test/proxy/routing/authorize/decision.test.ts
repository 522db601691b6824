import assert from "node:assert/strict";
import { test } from "node:test";
import type { AuthorizationRule } from "../../../../src/core/policy.ts";
import {
  allows,
  authorization,
  authorizerOf,
  head,
  intentions,
  peer,
  policies,
  request,
  rule,
  TARGET,
  tokens,
} from "./fixtures.ts";

const ANYONE = rule(null);
const NOBODY = rule({ principals: ["nobody"] });
const TCP = { head: null } as const;

const decide = (of: Parameters<typeof authorizerOf>[0], given = {}) =>
  authorizerOf(of).authorizer.for(TARGET).decide(request(given));

test("without any policy everything is allowed, and nothing needs to be asked", () => {
  const authorizer = authorizerOf([]).authorizer.for(TARGET);
  assert.deepEqual(authorizer.decide(request()), { allowed: true, policy: "" });
  assert.equal(authorizer.open, true);
  assert.equal(authorizer.ofHttp, false);
  assert.equal(authorizer.tokens, null);
});

test("an allow policy without rules allows nothing", () => {
  assert.deepEqual(decide([authorization("allow", [])]), { allowed: false, policy: "" });
});

test("an allow policy with an empty rule allows everything", () => {
  assert.deepEqual(decide([authorization("allow", [ANYONE])]), {
    allowed: true,
    policy: "allow policy",
  });
});

test("a deny policy without rules denies nothing, and with an empty rule everything", () => {
  assert.ok(decide([authorization("deny", [])]).allowed);
  assert.deepEqual(decide([authorization("deny", [ANYONE])]), {
    allowed: false,
    policy: "deny policy",
  });
});

test("a policy that denies wins over one that allows", () => {
  assert.ok(!allows([authorization("allow", [ANYONE]), authorization("deny", [ANYONE])]));
});

test("one of several allow policies is enough", () => {
  assert.ok(allows([authorization("allow", [NOBODY]), authorization("allow", [ANYONE])]));
  assert.ok(!allows([authorization("allow", [NOBODY]), authorization("allow", [NOBODY])]));
});

test("an empty list in a field says nothing", () => {
  const empty = rule({ principals: [], notPrincipals: [] }, { paths: [], notPaths: [], ports: [] });
  assert.ok(allows([authorization("allow", [empty])]));
});

test("only policies that cover the workload count", () => {
  const scopes = [
    { namespace: "shop", labels: {} },
    { namespace: null, labels: { app: "cart" } },
    { namespace: "shop", labels: {}, serviceAccount: "cart" },
    { namespace: "shop", labels: {}, service: "cart" },
  ];
  const others = [
    { namespace: "other", labels: {} },
    { namespace: null, labels: { app: "cart", tier: "front" } },
    { namespace: "shop", labels: {}, serviceAccount: "orders" },
    { namespace: "shop", labels: {}, service: "orders" },
  ];
  for (const scope of scopes) assert.ok(!allows([authorization("deny", [ANYONE], { scope })]));
  for (const scope of others) {
    const { authorizer } = authorizerOf([authorization("deny", [ANYONE], { scope })]);
    assert.equal(authorizer.for(TARGET).open, true);
    assert.ok(authorizer.for(TARGET).decide(request()).allowed);
  }
});

test("what is audited is reported, once a policy, and changes nothing", () => {
  const audit = authorization("audit", [ANYONE, rule({ namespaces: ["web"] })]);
  const denied = authorizerOf([audit, authorization("deny", [ANYONE])]);
  assert.ok(!denied.authorizer.for(TARGET).decide(request()).allowed);
  assert.deepEqual(denied.audits, [{ policy: "audit policy", dryRun: false, wouldDeny: false }]);
  const silent = authorizerOf([authorization("audit", [NOBODY])]);
  assert.ok(silent.authorizer.for(TARGET).decide(request()).allowed);
  assert.deepEqual(silent.audits, []);
});

test("in dry run a policy that denies reports that it would, and denies nothing", () => {
  const dry = authorizerOf([authorization("deny", [ANYONE], { dryRun: true })]);
  assert.ok(dry.authorizer.for(TARGET).decide(request()).allowed);
  assert.deepEqual(dry.audits, [{ policy: "deny policy", dryRun: true, wouldDeny: true }]);
});

test("in dry run a policy that allows does not close the workload, and reports what it would do", () => {
  const misses = authorizerOf([authorization("allow", [NOBODY], { dryRun: true })]);
  assert.ok(misses.authorizer.for(TARGET).decide(request()).allowed);
  assert.deepEqual(misses.audits, [{ policy: "allow policy", dryRun: true, wouldDeny: true }]);
  const matches = authorizerOf([authorization("allow", [ANYONE], { dryRun: true })]);
  assert.ok(matches.authorizer.for(TARGET).decide(request()).allowed);
  assert.deepEqual(matches.audits, [{ policy: "allow policy", dryRun: true, wouldDeny: false }]);
});

test("in dry run a policy that allows would deny nothing that another one allows", () => {
  const { authorizer, audits } = authorizerOf([
    authorization("allow", [NOBODY], { dryRun: true }),
    authorization("allow", [ANYONE]),
  ]);
  assert.ok(authorizer.for(TARGET).decide(request()).allowed);
  assert.deepEqual(audits, []);
});

test("an audit policy in dry run is reported as such", () => {
  const { authorizer, audits } = authorizerOf([authorization("audit", [ANYONE], { dryRun: true })]);
  authorizer.for(TARGET).decide(request());
  assert.deepEqual(audits, [{ policy: "audit policy", dryRun: true, wouldDeny: false }]);
});

/** HTTP fields, each in a rule that matches every HTTP request of these tests. */
const HTTP_RULES: Readonly<Record<string, AuthorizationRule>> = {
  hosts: rule(null, { hosts: ["*"] }),
  notHosts: rule(null, { notHosts: ["x"] }),
  methods: rule(null, { methods: ["GET"] }),
  notMethods: rule(null, { notMethods: ["POST"] }),
  paths: rule(null, { paths: ["/"] }),
  notPaths: rule(null, { notPaths: ["/x"] }),
  pathRegexes: rule(null, { pathRegexes: [".*"] }),
  headerRegexes: rule(null, { headerRegexes: { host: ".*" } }),
  notRequestPrincipals: rule({ notRequestPrincipals: ["x"] }),
  "request.headers": rule(null, null, [
    { key: "request.headers[host]", values: ["*"], notValues: [] },
  ]),
  "request.auth.claims": rule(null, null, [
    { key: "request.auth.claims[a]", values: [], notValues: ["x"] },
  ]),
};

for (const [name, of] of Object.entries(HTTP_RULES)) {
  test(`opaque TCP: a rule with ${name} allows nothing, and denies and audits by what remains`, () => {
    assert.ok(allows([authorization("allow", [of])]));
    assert.ok(!allows([authorization("allow", [of])], TCP));
    assert.ok(!allows([authorization("deny", [of])], TCP));
    const remaining = { ...of, when: [...of.when, port("8080")] };
    assert.ok(!allows([authorization("deny", [remaining])], TCP));
    assert.ok(allows([authorization("deny", [remaining])], { ...TCP, destinationPort: 1 }));
    const { authorizer, audits } = authorizerOf([authorization("audit", [of])]);
    authorizer.for(TARGET).decide(request(TCP));
    assert.equal(audits.length, 1);
  });
}

function port(value: string) {
  return { key: "destination.port", values: [value], notValues: [] };
}

test("opaque TCP: one clause with an HTTP field takes the whole rule from a policy that allows", () => {
  const mixed = { from: [], to: [{ ports: [8080] }, { methods: ["GET"] }], when: [] };
  assert.ok(allows([authorization("allow", [mixed])]));
  assert.ok(!allows([authorization("allow", [mixed])], TCP));
  const beside = authorization("allow", [mixed, rule(null, { ports: [8080] })]);
  assert.ok(allows([beside], TCP));
});

test("opaque TCP: what is known of the connection decides", () => {
  const source = { principals: ["cluster.local/ns/web/*"], ipBlocks: ["10.0.0.0/8"] };
  const when = [{ key: "connection.sni", values: ["a.example"], notValues: [] }];
  const policy = authorization("allow", [rule(source, { ports: [8080] }, when)]);
  assert.ok(allows([policy], { ...TCP, sni: "a.example" }));
  assert.ok(!allows([policy], TCP));
  assert.ok(!allows([policy], { ...TCP, sni: "a.example", principal: "" }));
});

test("the first intention that matches decides, and the default where none does", () => {
  const web = { ...rule({ namespaces: ["web"] }), effect: "allow" } as const;
  const all = { ...ANYONE, effect: "deny" } as const;
  const named = { ...rule({ principals: ["*/sa/frontend"] }), effect: "deny" } as const;
  assert.ok(allows([intentions([web, all], "deny")]));
  assert.ok(!allows([intentions([all, web], "allow")]));
  assert.ok(!allows([intentions([named, web], "allow")]));
  assert.ok(!allows([intentions([web], "deny")], { principal: "" }));
  assert.ok(allows([intentions([named], "allow")], { principal: "" }));
});

test("intentions come behind what denies, and count as one that allows", () => {
  const yes = intentions([{ ...ANYONE, effect: "allow" }], "deny");
  assert.ok(!allows([yes, authorization("deny", [ANYONE])]));
  assert.deepEqual(decide([yes, authorization("allow", [NOBODY])]), {
    allowed: true,
    policy: "intentions",
  });
  assert.ok(!allows([intentions([], "deny"), authorization("allow", [ANYONE])]));
  assert.ok(!allows([yes, intentions([], "deny")]));
});

test("opaque TCP: an intention that allows by HTTP fields does not, and one that denies does", () => {
  const get = rule(null, { methods: ["GET"] });
  assert.ok(!allows([intentions([{ ...get, effect: "allow" }], "deny")], TCP));
  assert.ok(!allows([intentions([{ ...get, effect: "deny" }], "allow")], TCP));
});

/** Rules that no translator should let through. */
const BROKEN: readonly AuthorizationRule[] = [
  rule({ ipBlocks: ["10.0.0.0/64"] }),
  rule(null, { pathRegexes: ["(a"] }),
  rule(null, { pathRegexes: ["(?<=a)b"] }),
  rule(null, { paths: ["/{**}/{*}"] }),
  rule(null, { paths: ["/a{*}"] }),
  rule(null, { ports: [70_000] }),
  rule(null, null, [{ key: "source.shoe", values: ["44"], notValues: [] }]),
  rule(null, null, [{ key: "destination.port", values: ["http"], notValues: [] }]),
  rule(null, null, [{ key: "request.headers[", values: ["a"], notValues: [] }]),
];

for (const broken of BROKEN) {
  test(`${JSON.stringify(broken)} fails closed and is reported`, () => {
    const denying = authorizerOf([authorization("deny", [NOBODY, broken])]);
    assert.equal(denying.authorizer.for(TARGET).decide(request()).allowed, false);
    assert.equal(denying.authorizer.for(TARGET).decide(request(TCP)).allowed, false);
    assert.equal(denying.problems.length, 1);
    assert.match(denying.problems[0] ?? "", /^deny policy: not /);
    assert.ok(!allows([authorization("allow", [ANYONE, broken])]));
    assert.ok(!allows([intentions([{ ...broken, effect: "allow" }], "allow")]));
    const audit = authorizerOf([authorization("audit", [ANYONE, broken])]);
    assert.equal(audit.authorizer.for(TARGET).decide(request()).allowed, true);
    assert.deepEqual(audit.audits, []);
    assert.equal(audit.problems.length, 1);
  });
}

test("mutual TLS is as PeerAuthentication says, by port", () => {
  const { authorizer } = authorizerOf([
    peer({ mode: "strict", scope: { namespace: "shop", labels: {} } }),
    peer({
      scope: { namespace: "shop", labels: { app: "cart" } },
      ports: { 9090: "disable", 9091: "permissive" },
    }),
  ]);
  const cart = authorizer.for(TARGET);
  assert.deepEqual(
    [9090, 9091, 80].map((at) => cart.mtls(at)),
    ["disable", "permissive", "strict"],
  );
  assert.equal(cart.open, false);
  assert.equal(authorizer.for({ ...TARGET, key: "x", namespace: "y" }).open, true);
});

test("a mode for one port alone is something to check", () => {
  const scope = { namespace: "shop", labels: { app: "cart" } };
  const { authorizer } = authorizerOf([peer({ scope, ports: { 9090: "strict" } })]);
  assert.equal(authorizer.for(TARGET).open, false);
});

test("it is known whether requests of one connection can be judged differently", () => {
  const ofHttp = (of: AuthorizationRule) =>
    authorizerOf([authorization("allow", [of])]).authorizer.for(TARGET).ofHttp;
  assert.equal(ofHttp(rule({ principals: ["a"], ipBlocks: ["::1"] }, { ports: [80] })), false);
  for (const of of Object.values(HTTP_RULES)) assert.equal(ofHttp(of), true);
  assert.equal(ofHttp(rule({ remoteIpBlocks: ["10.0.0.0/8"] })), true);
  assert.equal(authorizerOf([tokens([{}])]).authorizer.for(TARGET).ofHttp, true);
});

test("the version rises with what changes something, and with nothing else", () => {
  const { authorizer } = authorizerOf([authorization("deny", [ANYONE])]);
  const { version } = authorizer;
  const before = authorizer.for(TARGET);
  authorizer.apply(policies([authorization("deny", [ANYONE])]));
  assert.equal(authorizer.version, version);
  assert.equal(authorizer.for({ ...TARGET, labels: { ...TARGET.labels } }), before);
  authorizer.apply(policies([authorization("deny", [NOBODY])]));
  assert.equal(authorizer.version, version + 1);
  assert.equal(authorizer.for(TARGET).decide(request()).allowed, true);
  authorizer.apply(policies([]));
  assert.equal(authorizer.for(TARGET).open, true);
});

test("a workload that changes its labels is judged by its new ones", () => {
  const scope = { namespace: null, labels: { app: "cart" } };
  const { authorizer } = authorizerOf([authorization("deny", [ANYONE], { scope })]);
  assert.equal(authorizer.for(TARGET).decide(request()).allowed, false);
  assert.equal(authorizer.for({ ...TARGET, labels: {} }).decide(request()).allowed, true);
});

test("deciding again gives the same object, and nothing is kept of the request before", () => {
  const policy = authorization("allow", [rule({ namespaces: ["web"] }, { hosts: ["cart.shop"] })]);
  const cart = authorizerOf([policy]).authorizer.for(TARGET);
  const first = cart.decide(request());
  assert.equal(cart.decide(request()), first);
  assert.ok(Object.isFrozen(first));
  assert.equal(cart.decide(request({ head: head("GET / HTTP/1.1", ["Host: a"]) })).allowed, false);
  assert.equal(cart.decide(request({ principal: "" })).allowed, false);
  assert.equal(cart.decide(request()), first);
});

test("addresses and ports are those of the request at hand", () => {
  const policy = authorization("allow", [rule({ ipBlocks: ["10.0.0.0/8"] }, { ports: [80] })]);
  const cart = authorizerOf([policy]).authorizer.for(TARGET);
  const allowed = (sourceAddress: string, destinationPort: number) =>
    cart.decide(request({ sourceAddress, destinationPort })).allowed;
  assert.equal(allowed("10.0.0.1", 80), true);
  assert.equal(allowed("11.0.0.1", 80), false);
  assert.equal(allowed("10.0.0.1", 81), false);
  assert.equal(allowed("10.0.0.1", 80), true);
});

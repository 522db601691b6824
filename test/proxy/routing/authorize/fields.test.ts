import assert from "node:assert/strict";
import { test } from "node:test";
import type { Condition, OperationMatch, SourceMatch } from "../../../../src/core/policy.ts";
import type {
  AuthorizationRequest,
  TokenClaims,
} from "../../../../src/proxy/routing/authorize/authorizer.ts";
import { allows, authorization, authorizerOf, head, request, rule, TARGET } from "./fixtures.ts";

type Given = Partial<AuthorizationRequest>;

const CLAIMS: TokenClaims = {
  iss: "https://issuer.example",
  sub: "alice",
  aud: ["cart", "orders"],
  azp: "mobile",
  groups: ["admin", "dev"],
  scope: "read write",
  level: 7,
  nested: { inner: { role: "boss" } },
};
const TOKEN: Given = { claims: CLAIMS };

/** A value, requests that it matches, requests that it does not. */
type Row = readonly [string, readonly Given[], readonly Given[]];

const at = (path: string): Given => ({ head: head(`GET ${path} HTTP/1.1`) });
const host = (name: string): Given => ({ head: head("GET / HTTP/1.1", [`Host: ${name}`]) });
const by = (method: string): Given => ({ head: head(`${method} / HTTP/1.1`) });
const from = (principal: string): Given => ({ principal });
const field = (...fields: string[]): Given => ({ head: head("GET / HTTP/1.1", fields) });
const anonymous = from("");
const web = from("cluster.local/ns/web/sa/frontend");

/** Fields of `from`, each with its not-form. */
const SOURCES: readonly (readonly [keyof SourceMatch, keyof SourceMatch, readonly Row[]])[] = [
  [
    "principals",
    "notPrincipals",
    [
      [
        "cluster.local/ns/web/sa/frontend",
        [web],
        [anonymous, from("cluster.local/ns/web/sa/front")],
      ],
      ["cluster.local/ns/web/*", [web], [anonymous, from("cluster.local/ns/webs/sa/x")]],
      ["*/sa/frontend", [web, from("other/ns/b/sa/frontend")], [from("cluster.local/ns/web/sa/x")]],
      ["*", [web], [anonymous]],
    ],
  ],
  [
    "namespaces",
    "notNamespaces",
    [
      [
        "web",
        [web],
        [anonymous, from("cluster.local/ns/web2/sa/x"), from("web"), from("a/ns/web")],
      ],
      ["we*", [web], [from("cluster.local/ns/new/sa/x")]],
      ["*eb", [web], [from("cluster.local/ns/ebb/sa/x")]],
      ["*", [web], [anonymous]],
    ],
  ],
  [
    "serviceAccounts",
    "notServiceAccounts",
    [
      [
        "web/frontend",
        [web, from("td/ns/web/sa/frontend")],
        [from("td/ns/web/sa/frontend2"), anonymous],
      ],
      ["web/*", [], [web]],
    ],
  ],
  [
    "trustDomains",
    "notTrustDomains",
    [["cluster.local", [web], [from("other/ns/web/sa/frontend")]]],
  ],
  [
    "ipBlocks",
    "notIpBlocks",
    [
      ["10.1.0.0/16", [{ sourceAddress: "10.1.9.9" }], [{ sourceAddress: "10.2.0.1" }]],
      ["10.1.2.3", [{ sourceAddress: "::ffff:10.1.2.3" }], [{ sourceAddress: "10.1.2.4" }]],
      ["fd00::/8", [{ sourceAddress: "fd12::1" }], [{ sourceAddress: "10.1.2.3" }]],
    ],
  ],
  [
    "remoteIpBlocks",
    "notRemoteIpBlocks",
    [["192.0.2.0/24", [{ remoteAddress: "192.0.2.7" }], [{ sourceAddress: "192.0.2.7" }]]],
  ],
  [
    "requestPrincipals",
    "notRequestPrincipals",
    [
      ["https://issuer.example/alice", [TOKEN], [{}, { claims: { ...CLAIMS, sub: "bob" } }]],
      [
        "https://issuer.example/*",
        [TOKEN],
        [{ claims: { ...CLAIMS, iss: "https://issuer.example/evil" } }],
      ],
      ["*/alice", [TOKEN], [{ claims: { ...CLAIMS, sub: "malice" } }]],
      ["*alice", [TOKEN, { claims: { ...CLAIMS, sub: "malice" } }], [{ claims: { sub: "alice" } }]],
      ["https://issuer.example/al*", [TOKEN], [{ claims: { ...CLAIMS, sub: "bob" } }]],
      ["*", [TOKEN], [{}, { claims: { iss: "https://issuer.example" } }, { claims: { sub: "a" } }]],
    ],
  ],
];

/** Fields of `to`, each with its not-form. */
const OPERATIONS: readonly (readonly [
  keyof OperationMatch,
  keyof OperationMatch,
  readonly Row[],
])[] = [
  [
    "hosts",
    "notHosts",
    [
      [
        "Cart.Shop",
        [host("cart.shop"), host("CART.shop:8080"), host("cart.shop.:80"), host("cart.shop.")],
        [host("cart.shop2")],
      ],
      ["cart.shop:80", [host("cart.shop:80")], [host("cart.shop"), host("cart.shop:81")]],
      ["*.shop", [host("cart.shop"), host("cart.shop:80")], [host("cart.shops")]],
      ["cart.*", [host("cart.shop")], [host("a.cart.shop")]],
      ["*", [host("cart.shop")], [{ head: head("GET / HTTP/1.0", null) }]],
    ],
  ],
  [
    "methods",
    "notMethods",
    [
      ["GET", [by("GET")], [by("POST"), by("get")]],
      ["P*", [by("POST"), by("PUT")], [by("GET")]],
      ["*", [by("X")], []],
    ],
  ],
  [
    "paths",
    "notPaths",
    [
      ["/info", [at("/info"), at("/info?a=b")], [at("/info/"), at("/Info"), at("/infox")]],
      ["/info*", [at("/info"), at("/information")], [at("/inf")]],
      ["*/info", [at("/a/info")], [at("/info/a")]],
      ["*", [at("/")], []],
      ["/foo/{*}", [at("/foo/bar")], [at("/foo/"), at("/foo/bar/baz"), at("/foo")]],
      [
        "/foo/{*}/bar",
        [at("/foo/x/bar")],
        [at("/foo/x/y/bar"), at("/foo//bar"), at("/foo/x/bars")],
      ],
      ["/foo/{**}", [at("/foo/"), at("/foo/bar/baz.txt")], [at("/foo"), at("/fooo/x")]],
      ["/foo/{**}/", [at("/foo/bar/baz/"), at("/foo//")], [at("/foo/"), at("/foo/bar")]],
      [
        "/foo/{*}/bar/{**}",
        [at("/foo/buzz/bar/"), at("/foo/buzz/bar/baz")],
        [at("/foo/bar/baz"), at("/foo/buzz/bar")],
      ],
      ["/{**}/end", [at("/a/b/end"), at("//end")], [at("/end"), at("/a/b/ends")]],
    ],
  ],
];

const CONDITIONS: readonly (readonly [string, readonly Row[]])[] = [
  [
    "request.headers[X-Token]",
    [
      ["admin", [field("x-token: admin"), field("X-TOKEN:admin")], [field("x-token: admins"), {}]],
      ["adm*", [field("x-token: admin")], [field("x-token: xadmin")]],
      ["*min", [field("x-token: admin")], [field("x-token: mint")]],
      [
        "a,b",
        [field("x-token: a", "x-token: b")],
        [field("x-token: a"), field("x-token: b", "x-token: a")],
      ],
      ["*", [field("x-token: a")], [{}, field("x-token:")]],
    ],
  ],
  ["request.headers[:method]", [["GET", [by("GET")], [by("POST")]]]],
  ["request.headers[host]", [["cart.shop", [host("cart.shop")], [host("cart.shop2")]]]],
  [
    "request.headers[x-forwarded-client-cert]",
    [["*", [], [field("x-forwarded-client-cert: URI=spiffe://a")]]],
  ],
  ["source.ip", [["10.1.0.0/16", [{}], [{ sourceAddress: "10.2.0.1" }]]]],
  ["remote.ip", [["192.0.2.1", [{ remoteAddress: "192.0.2.1" }], [{}]]]],
  ["source.namespace", [["web", [web], [anonymous]]]],
  ["source.principal", [["cluster.local/ns/web/*", [web], [anonymous]]]],
  ["source.serviceAccount", [["web/frontend", [web], [anonymous]]]],
  ["source.trustDomain", [["cluster.*", [web], [from("td/ns/web/sa/frontend")]]]],
  ["request.auth.principal", [["https://issuer.example/alice", [TOKEN], [{}]]]],
  [
    "request.auth.audiences",
    [["orders", [TOKEN, { claims: { aud: "orders" } }], [{}, { claims: { aud: "x" } }]]],
  ],
  ["request.auth.presenter", [["mobile", [TOKEN], [{}]]]],
  [
    "request.auth.claims[groups]",
    [["admin", [TOKEN, { claims: { groups: "admin" } }], [{}, { claims: { groups: ["dev"] } }]]],
  ],
  ["request.auth.claims[scope]", [["write", [TOKEN], [{ claims: { scope: "writer" } }]]]],
  [
    "request.auth.claims[nested][inner][role]",
    [["boss", [TOKEN], [{}, { claims: { nested: "boss" } }]]],
  ],
  ["request.auth.claims[level]", [["7", [], [TOKEN]]]],
  ["request.auth.claims[groups][0]", [["admin", [], [TOKEN]]]],
  ["request.auth.claims[constructor]", [["*", [], [TOKEN]]]],
  ["destination.ip", [["10.9.0.0/16", [{}], [{ destinationAddress: "10.8.0.1" }]]]],
  ["destination.port", [["8080", [{}], [{ destinationPort: 8081 }]]]],
  [
    "connection.sni",
    [["*.example.com", [{ sni: "www.example.com" }], [{}, { sni: "example.org" }]]],
  ],
];

function check(
  name: string,
  positive: ReturnType<typeof rule>,
  negative: ReturnType<typeof rule>,
  row: Row,
) {
  const [value, matching, others] = row;
  test(`${name} ${JSON.stringify(value)} matches what Istio matches, and its not-form the rest`, () => {
    for (const given of matching) {
      assert.ok(allows([authorization("allow", [positive])], given), JSON.stringify(given));
      assert.ok(!allows([authorization("allow", [negative])], given), JSON.stringify(given));
      assert.ok(!allows([authorization("deny", [positive])], given), JSON.stringify(given));
    }
    for (const given of others) {
      assert.ok(!allows([authorization("allow", [positive])], given), JSON.stringify(given));
      assert.ok(allows([authorization("allow", [negative])], given), JSON.stringify(given));
      assert.ok(!allows([authorization("deny", [negative])], given), JSON.stringify(given));
    }
  });
}

for (const [name, notName, rows] of SOURCES) {
  for (const row of rows) {
    check(name, rule({ [name]: [row[0]] }), rule({ [notName]: [row[0]] }), row);
  }
}

for (const [name, notName, rows] of OPERATIONS) {
  for (const row of rows) {
    check(name, rule(null, { [name]: [row[0]] }), rule(null, { [notName]: [row[0]] }), row);
  }
}

for (const [key, rows] of CONDITIONS) {
  const when = (condition: Partial<Condition>) =>
    rule(null, null, [{ key, values: [], notValues: [], ...condition }]);
  for (const row of rows) {
    check(key, when({ values: [row[0]] }), when({ notValues: [row[0]] }), row);
  }
}

check("ports", rule(null, { ports: [8080] }), rule(null, { notPorts: [8080] }), [
  "8080",
  [{}],
  [{ destinationPort: 80 }, { destinationPort: 18_080 }],
]);

const REGEXES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ["/books/.*", ["/books/", "/books/1"], ["/books", "/x/books/1"]],
  ["^/books$", ["/books"], ["/book", "/books/"]],
  ["/a|/b", ["/a", "/b"], ["/ab", "/c"]],
  ["/colou?r", ["/color", "/colour"], ["/colouur"]],
  ["/a{2}", ["/aa"], ["/a", "/aaa"]],
  ["(?i)/Case", ["/case", "/CASE"], ["/cas"]],
  ["/v\\d+/x", ["/v12/x"], ["/v/x"]],
];
for (const [expression, matching, others] of REGEXES) {
  test(`the expression ${expression} is for the whole path`, () => {
    const policy = authorization("allow", [rule(null, { pathRegexes: [expression] })]);
    for (const path of matching) assert.ok(allows([policy], at(path)), path);
    for (const path of others) assert.ok(!allows([policy], at(path)), path);
  });
}

test("all header expressions must match", () => {
  const headerRegexes = { "x-a": "v[0-9]+", "x-b": ".*b" };
  const policy = authorization("allow", [rule(null, { headerRegexes })]);
  assert.ok(allows([policy], field("x-a: v12", "x-b: ab")));
  assert.ok(!allows([policy], field("x-a: v12")));
  assert.ok(!allows([policy], field("x-a: v12x", "x-b: ab")));
});

test("an expression that would take a backtracking matcher for ever takes linear time", () => {
  const policy = authorization("allow", [rule(null, { headerRegexes: { "x-a": "(a+)+(a+)+b" } })]);
  const { authorizer } = authorizerOf([policy]);
  const hostile = request(field(`x-a: ${"a".repeat(30_000)}`));
  // A backtracking matcher would not be back before the end of the universe.
  assert.equal(authorizer.for(TARGET).decide(hostile).allowed, false);
});

test("of several values one must match, of several fields all, of several clauses one", () => {
  const policy = authorization("allow", [
    {
      from: [{ namespaces: ["a", "web"], ipBlocks: ["10.0.0.0/8"] }, { namespaces: ["other"] }],
      to: [{ methods: ["GET", "HEAD"], paths: ["/x"] }, { paths: ["/y"] }],
      when: [{ key: "destination.port", values: ["80", "8080"], notValues: [] }],
    },
  ]);
  assert.ok(allows([policy], at("/x")));
  assert.ok(allows([policy], at("/y")));
  assert.ok(
    allows([policy], { ...at("/y"), principal: "td/ns/other/sa/x", sourceAddress: "1.1.1.1" }),
  );
  assert.ok(!allows([policy], { ...at("/x"), sourceAddress: "1.1.1.1" }));
  assert.ok(!allows([policy], { head: head("POST /x HTTP/1.1") }));
  assert.ok(!allows([policy], { ...at("/x"), destinationPort: 81 }));
});

test("values and not-values of one condition must both hold", () => {
  const condition = { key: "request.auth.claims[groups]", values: ["dev*"], notValues: ["admin"] };
  const policy = authorization("allow", [rule(null, null, [condition])]);
  assert.ok(allows([policy], { claims: { groups: ["developer"] } }));
  assert.ok(!allows([policy], { claims: { groups: ["developer", "admin"] } }));
});

test("cluster.local in a policy is the mesh's own trust domain", () => {
  const policy = authorization("allow", [rule({ principals: ["cluster.local/ns/web/sa/a"] })]);
  const { authorizer } = authorizerOf([policy], "corp.example");
  const decide = (principal: string) => authorizer.for(TARGET).decide(request({ principal }));
  assert.ok(decide("corp.example/ns/web/sa/a").allowed);
  assert.ok(!decide("cluster.local/ns/web/sa/a").allowed);
});

test("an issuer cannot speak for another by a subject with a slash", () => {
  const policy = authorization("allow", [rule({ requestPrincipals: ["https://a/b/root"] })]);
  assert.ok(allows([policy], { claims: { iss: "https://a/b", sub: "root" } }));
  assert.ok(!allows([policy], { claims: { iss: "https://a", sub: "b/root" } }));
});

test("a head of the largest size is judged", () => {
  const many = Array.from({ length: 95 }, (_, index) => `x-${index}: ${"v".repeat(500)}`);
  const policy = authorization("allow", [
    rule(null, null, [{ key: "request.headers[x-94]", values: ["v*"], notValues: [] }]),
  ]);
  assert.ok(allows([policy], field(...many)));
});

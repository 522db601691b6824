import assert from "node:assert/strict";
import { test } from "node:test";
import { call, dig, testRegistry } from "./setup.ts";

const PATH = "/v1/mesh/resources";

function routes(match: Record<string, unknown>): Record<string, unknown> {
  return {
    apiVersion: "specs.smi-spec.io/v1alpha4",
    kind: "HTTPRouteGroup",
    metadata: { name: "routes", namespace: "shop" },
    spec: { matches: [{ name: "all", ...match }] },
  };
}

function policy(spec: unknown, metadata: object = {}): Record<string, unknown> {
  return {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "a", ...metadata },
    spec,
  };
}

const fromSource = (source: unknown) => policy({ rules: [{ from: [{ source }] }] });
const peer = (spec: unknown) => ({ ...policy(spec), kind: "PeerAuthentication" });
const jwt = (rule: unknown) => ({ ...policy({ jwtRules: [rule] }), kind: "RequestAuthentication" });
const intentions = (source: unknown) => ({
  ...{ Kind: "service-intentions", Name: "db" },
  Sources: [source],
});

/** Resource -> the path that is named, and the reason. */
const bad: [string, unknown, string, RegExp][] = [
  ["null for rules", policy({ rules: null }), "spec.rules", /expected array/],
  ["null for from", policy({ rules: [{ from: null }] }), "spec.rules[0].from", /expected array/],
  ["a null rule", policy({ rules: [null] }), "spec.rules[0]", /expected object/],
  ["an unknown field", policy({ rule: [] }), "spec.rule", /unknown field/],
  [
    "a misspelt operation",
    policy({ rules: [{ to: [{ op: {} }] }] }),
    "spec.rules[0].to[0].operation",
    /missing/,
  ],
  ["an empty source", fromSource({}), "spec.rules[0].from[0].source", /must not be empty/],
  [
    "an empty list",
    fromSource({ principals: [] }),
    "spec.rules[0].from[0].source.principals",
    /must not be empty/,
  ],
  [
    "a bad subnet",
    fromSource({ ipBlocks: ["10.0.0.0/8", "10.0.0.0/33"] }),
    "spec.rules[0].from[0].source.ipBlocks[1]",
    /subnet/,
  ],
  [
    "a * in the middle",
    fromSource({ principals: ["a", "a*b"] }),
    "spec.rules[0].from[0].source.principals[1]",
    /\* may stand/,
  ],
  [
    "spiffe://",
    fromSource({ principals: ["spiffe://td/ns/a/sa/b"] }),
    "spec.rules[0].from[0].source.principals[0]",
    /without spiffe/,
  ],
  [
    "a * in a service account",
    fromSource({ serviceAccounts: ["a/*"] }),
    "spec.rules[0].from[0].source.serviceAccounts[0]",
    /without \*/,
  ],
  [
    "accounts beside namespaces",
    fromSource({ serviceAccounts: ["a/b"], namespaces: ["c"] }),
    "spec.rules[0].from[0].source.serviceAccounts",
    /cannot stand beside/,
  ],
  [
    "port 0",
    policy({ rules: [{ to: [{ operation: { ports: ["0"] } }] }] }),
    "spec.rules[0].to[0].operation.ports[0]",
    /1 to 65535/,
  ],
  [
    "port 65536",
    policy({ rules: [{ to: [{ operation: { ports: [65_536] } }] }] }),
    "spec.rules[0].to[0].operation.ports[0]",
    /1 to 65535/,
  ],
  [
    "a template within a segment",
    policy({ rules: [{ to: [{ operation: { paths: ["/a{*}"] } }] }] }),
    "spec.rules[0].to[0].operation.paths[0]",
    /whole segments/,
  ],
  [
    "two templates for any",
    policy({ rules: [{ to: [{ operation: { paths: ["/{**}/a/{*}"] } }] }] }),
    "spec.rules[0].to[0].operation.paths[0]",
    /once, behind/,
  ],
  [
    "a named template",
    policy({ rules: [{ to: [{ operation: { paths: ["/{*}/{a}"] } }] }] }),
    "spec.rules[0].to[0].operation.paths[0]",
    /whole segments/,
  ],
  [
    "CUSTOM",
    policy({ action: "CUSTOM", provider: { name: "x" }, rules: [{}] }),
    "spec.action",
    /external authorizer/,
  ],
  ["DENY without rules", policy({ action: "DENY" }), "spec.rules", /never matches/],
  [
    "a target that is a Gateway",
    policy({ targetRefs: [{ kind: "Gateway", group: "gateway.networking.k8s.io", name: "a" }] }),
    "spec.targetRefs[0].group",
    /no waypoints/,
  ],
  [
    "a selector beside targets",
    policy({ selector: { matchLabels: { a: "b" } }, targetRefs: [{ kind: "Service", name: "a" }] }),
    "spec.targetRefs",
    /either/,
  ],
  [
    "a * in a label",
    policy({ selector: { matchLabels: { a: "b*" } } }),
    "spec.selector.matchLabels.a",
    /match exactly/,
  ],
  [
    "an unknown key of when",
    policy({ rules: [{ when: [{ key: "request.path", values: ["a"] }] }] }),
    "spec.rules[0].when[0].key",
    /unknown attribute/,
  ],
  [
    "a filter of Envoy",
    policy({ rules: [{ when: [{ key: "experimental.envoy.filters.a[b]", values: ["a"] }] }] }),
    "spec.rules[0].when[0].key",
    /no filters of Envoy/,
  ],
  [
    "when without values",
    policy({ rules: [{ when: [{ key: "source.ip" }] }] }),
    "spec.rules[0].when[0].values",
    /must be given/,
  ],
  [
    "a bad address in when",
    policy({ rules: [{ when: [{ key: "source.ip", notValues: ["x"] }] }] }),
    "spec.rules[0].when[0].notValues[0]",
    /IP address/,
  ],
  [
    "a dry run of maybe",
    policy({ rules: [{}] }, { annotations: { "istio.io/dry-run": "maybe" } }),
    'metadata.annotations["istio.io/dry-run"]',
    /true/,
  ],
  [
    "an unknown version",
    { ...policy({}), apiVersion: "security.istio.io/v2" },
    "apiVersion",
    /known: v1, v1beta1/,
  ],
  [
    "an unknown group",
    { ...policy({}), apiVersion: "example.com/v1" },
    "apiVersion",
    /unknown group/,
  ],
  ["a name with a slash", policy({}, { name: "a/b" }), "metadata.name", /lower-case/],
  [
    "a name of a parent folder",
    policy({}, { namespace: ".." }),
    "metadata.namespace",
    /lower-case/,
  ],
  [
    "ports without a selector",
    peer({ portLevelMtls: { 80: { mode: "STRICT" } } }),
    "spec.portLevelMtls",
    /selector/,
  ],
  [
    "a port that is none",
    peer({ selector: { matchLabels: { a: "b" } }, portLevelMtls: { http: {} } }),
    "spec.portLevelMtls.http",
    /port/,
  ],
  ["an unknown mode", peer({ mtls: { mode: "MUTUAL" } }), "spec.mtls.mode", /UNSET/],
  ["no keys", jwt({ issuer: "a" }), "spec.jwtRules[0].jwksUri", /not discovered/],
  ["no issuer", jwt({ jwksUri: "https://a/b" }), "spec.jwtRules[0].issuer", /missing/],
  [
    "a symmetric key",
    jwt({ issuer: "a", jwks: '{"keys":[{"kty":"oct","k":"AQAB"}]}' }),
    "spec.jwtRules[0].jwks",
    /public/,
  ],
  [
    "a private key",
    jwt({ issuer: "a", jwks: '{"keys":[{"kty":"RSA","n":"a","e":"b","d":"c"}]}' }),
    "spec.jwtRules[0].jwks",
    /private/,
  ],
  [
    "a file of keys",
    jwt({ issuer: "a", jwksUri: "file:///etc/passwd" }),
    "spec.jwtRules[0].jwksUri",
    /http or https/,
  ],
  [
    "a header that splits",
    jwt({ issuer: "a", jwksUri: "https://a", outputPayloadToHeader: "a\r\nb" }),
    "spec.jwtRules[0].outputPayloadToHeader",
    /header name/,
  ],
  [
    "a timeout of a day",
    jwt({ issuer: "a", jwksUri: "https://a", timeout: "24h" }),
    "spec.jwtRules[0].timeout",
    /at most 1h/,
  ],
  [
    "a broken expression",
    routes({ pathRegex: "(a" }),
    "spec.matches[0].pathRegex",
    /missing closing/,
  ],
  ["an expression of Perl", routes({ pathRegex: "(?=a)" }), "spec.matches[0].pathRegex", /RE2/],
  [
    "an expression that unrolls",
    routes({ pathRegex: "((a{30}){30}){30}" }),
    "spec.matches[0].pathRegex",
    /unrolls to/,
  ],
  [
    "a long row of expressions",
    routes({ pathRegex: "a{1,1000}".repeat(20) }),
    "spec.matches[0].pathRegex",
    /unrolls to/,
  ],
  ["a long expression", routes({ pathRegex: "a".repeat(600) }), "spec.matches[0].pathRegex", /512/],
  [
    "a method that splits",
    routes({ methods: ["GET\r\n"] }),
    "spec.matches[0].methods[0]",
    /method/,
  ],
  [
    "a peer",
    intentions({ Name: "web", Peer: "other", Action: "allow" }),
    "Sources[0].Peer",
    /no peers/,
  ],
  [
    "a partition",
    intentions({ Name: "web", Partition: "p", Action: "allow" }),
    "Sources[0].Partition",
    /partition/,
  ],
  [
    "an action beside permissions",
    intentions({ Name: "web", Action: "allow", Permissions: [{ Action: "deny" }] }),
    "Sources[0].Action",
    /beside/,
  ],
  [
    "neither action nor permissions",
    intentions({ Name: "web" }),
    "Sources[0]",
    /action or permissions/,
  ],
  [
    "two spellings",
    intentions({ Name: "web", name: "api", Action: "allow" }),
    "Sources[0].name",
    /two spellings/,
  ],
  [
    "two paths",
    intentions({
      Name: "web",
      Permissions: [{ Action: "allow", HTTP: { PathExact: "/a", PathPrefix: "/b" } }],
    }),
    "Sources[0].Permissions[0].HTTP",
    /at most one/,
  ],
  [
    "an inverted expression",
    intentions({
      Name: "web",
      Permissions: [
        { Action: "allow", HTTP: { Header: [{ Name: "a", Regex: "b", Invert: true }] } },
      ],
    }),
    "Sources[0].Permissions[0].HTTP.Header[0].Invert",
    /cannot be inverted/,
  ],
];

test("every bad resource is refused with the path of the field and the reason", async (t) => {
  const registry = await testRegistry(t);
  for (const [what, resource, path, reason] of bad) {
    const startMs = performance.now();
    const { status, body } = await call(registry, "POST", PATH, resource);
    assert.equal(status, 400, `${what}: ${JSON.stringify(body)}`);
    assert.equal(dig(body, "path"), path, `${what}: ${JSON.stringify(body)}`);
    assert.match(String(dig(body, "error")), reason, what);
    assert.ok(performance.now() - startMs < 2_000, `${what} took too long`);
  }
  const list = await call(registry, "GET", PATH);
  assert.deepEqual(list.body, []);
});

test("bodies that are too large, too deep or hostile are refused as a whole", async (t) => {
  const registry = await testRegistry(t);
  const post = (body: string) => call(registry, "POST", PATH, body);
  assert.equal((await post(" ".repeat(8_388_609))).status, 413);
  assert.match(String(dig((await post("")).body, "error")), /no body/);
  assert.match(String(dig((await post("[")).body, "error")), /not JSON/);
  assert.match(String(dig((await post("[]")).body, "error")), /no resource/);
  const deep = await post(`${"[".repeat(5_000)}${"]".repeat(5_000)}`);
  assert.match(String(dig(deep.body, "error")), /nested too deeply/);
  const proto = await post('{"apiVersion":"a/v1","kind":"A","metadata":{"__proto__":{"x":1}}}');
  assert.match(String(dig(proto.body, "error")), /__proto__: this key/);
  const many = await post(JSON.stringify(Array.from({ length: 1_001 }, () => policy({}))));
  assert.match(String(dig(many.body, "error")), /at most 1000 resources/);
  const paths = Array.from({ length: 600 }, (_, index) => `/${index}${"a".repeat(1_000)}`);
  const large = await post(JSON.stringify(policy({ rules: [{ to: [{ operation: { paths } }] }] })));
  assert.match(String(dig(large.body, "error")), /more than 524288 characters/);
  const other = await call(registry, "POST", PATH, policy({}), { origin: "http://evil.example" });
  assert.equal(other.status, 403);
  assert.deepEqual((await call(registry, "GET", PATH)).body, []);
});

test("a thousand resources in one request are taken in one revision", async (t) => {
  const registry = await testRegistry(t);
  const all = Array.from({ length: 1_000 }, (_, index) => policy({}, { name: `p${index}` }));
  const { status, body, index } = await call(registry, "POST", PATH, all);
  assert.deepEqual([status, dig(body, "refused"), index], [200, 0, 2]);
});

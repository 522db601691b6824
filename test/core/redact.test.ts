import assert from "node:assert/strict";
import { test } from "node:test";
import { REDACTED, redactData, redactText } from "../../src/core/redact.ts";

const JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl";

test("texts lose tokens, keys and credentials wherever they stand", () => {
  const secrets = [
    `got ${JWT} from it`,
    "Authorization: Bearer abcdef123456",
    "proxy-authorization: Basic dXNlcjpwYXNz",
    '{"cookie":"session=c0ffee"}',
    "https://user:pa55word@registry:15012/v1",
    "GET /a?access_token=c0ffee00&x=1",
    "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nMHcCAQEE cut off",
    `hm1.c0ffee.c0ffee-_x.${"0a".repeat(32)}`,
  ];
  for (const text of secrets) {
    const clean = redactText(text);
    assert.ok(clean.includes(REDACTED), text);
    assert.doesNotMatch(clean, /c0ffee|pa55|abcdef|dXNlc|MHcC|eyJ/, text);
  }
  const harmless = [
    "http://10.0.0.1:8080/a?b=c",
    "spiffe://cluster.local/ns/shop/sa/web",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "basic auth",
  ];
  for (const text of harmless) assert.equal(redactText(text), text);
});

test("data keeps names, addresses and numbers, and loses values of headers and secrets", () => {
  const data = {
    service: "shop/web",
    port: 8080,
    joinTokenFile: "/etc/hostmesh/token",
    joinToken: "c0ffee",
    password: "",
    tokens: ["c0ffee"],
    meta: { key: "c0ffee" },
    metadata: { name: "web", annotations: { last: "c0ffee" }, labels: { app: "web" } },
    routes: [
      {
        matches: [
          {
            path: { kind: "prefix", value: "/api" },
            headers: [{ name: "x-user", match: { kind: "exact", value: "c0ffee" } }],
            query: [{ name: "token", match: { kind: "exact", value: "c0ffee" } }],
          },
        ],
        requestHeaders: { set: [["x-api-key", "c0ffee"]], remove: ["c0ffee"] },
      },
    ],
    http: [
      {
        headers: { request: { set: { Authorization: "c0ffee" } } },
        match: [{ headers: { "x-user": { exact: "c0ffee" } } }],
        directResponse: { status: 200, body: { string: "c0ffee" } },
      },
    ],
    when: [{ key: "request.headers[x-token]", values: ["c0ffee"] }],
    checks: [{ id: "c", output: "c0ffee" }],
    url: "https://me:c0ffee@host/",
  };
  const clean = JSON.stringify(redactData(data));
  assert.doesNotMatch(clean, /c0ffee/);
  for (const kept of [
    '"service":"shop/web","port":8080,"joinTokenFile":"/etc/hostmesh/token"',
    '"path":{"kind":"prefix","value":"/api"}',
    '{"name":"x-user","match":{"kind":"exact","value":"[redacted]"}}',
    '[["x-api-key","[redacted]"]]',
    '"labels":{"app":"web"}',
    '"key":"request.headers[x-token]"',
  ]) {
    assert.ok(clean.includes(kept), `${kept} in ${clean}`);
  }
});

test("it can be read again, whatever the data is", () => {
  for (const value of [null, 1, "a", [], {}, [[["a"]]], { a: null, token: null, b: true }]) {
    assert.deepEqual(redactData(value), value);
  }
});

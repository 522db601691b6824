import assert from "node:assert/strict";
import { test } from "node:test";
import type { CorsRule } from "../../../../src/core/traffic.ts";
import { Cors } from "../../../../src/proxy/routing/transform/cors.ts";
import { latin1, parseRequest } from "../../../helpers/heads.ts";

const RULE: CorsRule = {
  allowOrigins: [
    { kind: "exact", value: "https://shop.example" },
    { kind: "regex", value: "https://[a-z]+\\.dev\\.example" },
  ],
  allowMethods: ["GET", "PUT"],
  allowHeaders: ["x-a", "x-b"],
  exposeHeaders: ["x-c"],
  maxAgeSeconds: 600,
  allowCredentials: true,
  forwardUnmatched: true,
};

function head(method: string, ...fields: readonly string[]) {
  return parseRequest([
    latin1([`${method} / HTTP/1.1`, "Host: a", ...fields, "", ""].join("\r\n")),
  ]);
}

const preflight = (origin: string, ...more: readonly string[]) =>
  head("OPTIONS", `Origin: ${origin}`, "Access-Control-Request-Method: PUT", ...more);

/** The response after the edits of an actual request. */
function responseTo(rule: CorsRule, origin: string, ...fields: readonly string[]): string[] {
  const verdict = new Cors(rule).judge(head("GET", `Origin: ${origin}`));
  assert.ok(verdict?.kind === "actual");
  const text = ["HTTP/1.1 200 OK", ...fields, "", ""].join("\r\n");
  return verdict.edits.apply(text).trimEnd().split("\r\n").slice(1);
}

test("a preflight of an allowed origin is answered with what is allowed", () => {
  assert.deepEqual(new Cors(RULE).judge(preflight("https://shop.example")), {
    kind: "preflight",
    status: 200,
    fields: [
      ["access-control-allow-origin", "https://shop.example"],
      ["access-control-allow-credentials", "true"],
      ["vary", "Origin"],
      ["access-control-allow-methods", "GET,PUT"],
      ["access-control-allow-headers", "x-a,x-b"],
      ["access-control-max-age", "600"],
    ].flat(),
  });
});

test("what a rule does not say is not answered", () => {
  const bare: CorsRule = {
    ...RULE,
    allowMethods: [],
    allowHeaders: [],
    exposeHeaders: [],
    maxAgeSeconds: -1,
    allowCredentials: false,
  };
  const verdict = new Cors(bare).judge(preflight("https://shop.example"));
  assert.deepEqual(verdict?.kind === "preflight" && verdict.fields, [
    "access-control-allow-origin",
    "https://shop.example",
    "vary",
    "Origin",
  ]);
  assert.deepEqual(responseTo(bare, "https://shop.example"), [
    "access-control-allow-origin: https://shop.example",
    "vary: Origin",
  ]);
});

test("a star allows by name what was asked for", () => {
  const rule = { ...RULE, allowMethods: ["*"], allowHeaders: ["*"] };
  const asked = preflight("https://shop.example", "Access-Control-Request-Headers: x-1, x-2");
  const verdict = new Cors(rule).judge(asked);
  assert.ok(verdict?.kind === "preflight");
  const at = (name: string) => verdict.fields[verdict.fields.indexOf(name) + 1];
  assert.equal(at("access-control-allow-methods"), "PUT");
  assert.equal(at("access-control-allow-headers"), "x-1, x-2");
  const none = new Cors(rule).judge(preflight("https://shop.example"));
  assert.ok(none?.kind === "preflight" && !none.fields.includes("access-control-allow-headers"));
});

test("a response to an allowed origin gets its headers in place of the application's", () => {
  const given = ["access-control-allow-origin: *", "Vary: Accept", "x: y"];
  assert.deepEqual(responseTo(RULE, "https://a.dev.example", ...given), [
    "Vary: Accept",
    "x: y",
    "access-control-allow-origin: https://a.dev.example",
    "access-control-allow-credentials: true",
    "access-control-expose-headers: x-c",
    "vary: Origin",
  ]);
});

test("OPTIONS that asks for no method is an actual request", () => {
  const verdict = new Cors(RULE).judge(head("OPTIONS", "Origin: https://shop.example"));
  assert.equal(verdict?.kind, "actual");
});

test("foreign origins go on to the application, or their preflights get nothing", () => {
  const refusing = new Cors({ ...RULE, forwardUnmatched: false });
  for (const origin of [
    "https://evil.example",
    "https://shop.example.evil.example",
    "https://shop.example, https://evil.example",
    "https://shop.examplE",
    "https://a.dev.example.evil",
    "null",
    "*",
  ]) {
    assert.equal(new Cors(RULE).judge(preflight(origin)), null, origin);
    assert.equal(new Cors(RULE).judge(head("GET", `Origin: ${origin}`)), null);
    assert.deepEqual(refusing.judge(preflight(origin)), {
      kind: "preflight",
      status: 200,
      fields: [],
    });
    assert.equal(refusing.judge(head("GET", `Origin: ${origin}`)), null);
  }
  const twice = head("GET", "Origin: https://shop.example", "Origin: https://evil.example");
  assert.equal(new Cors(RULE).judge(twice), null);
});

test("no Origin, no concern", () => {
  assert.equal(new Cors(RULE).judge(head("GET")), null);
  assert.equal(new Cors(RULE).judge(head("GET", "Origin:")), null);
});

test("an origin of * is every origin, also without a name", () => {
  const any: CorsRule = { ...RULE, allowOrigins: [{ kind: "exact", value: "*" }] };
  assert.equal(new Cors(any).judge(head("GET", "Origin: null"))?.kind, "actual");
  assert.equal(
    responseTo(any, "https://x.example")[0],
    "access-control-allow-origin: https://x.example",
  );
});

test("what cannot be understood or sent is reported, and the rest holds", () => {
  const problems: string[] = [];
  const cors = new Cors(
    {
      ...RULE,
      allowOrigins: [{ kind: "regex", value: "(" }, ...RULE.allowOrigins],
      allowMethods: ["GET\r\nx: y", "PUT"],
      exposeHeaders: ["a b"],
    },
    (reason) => problems.push(reason),
  );
  assert.equal(problems.length, 3);
  const verdict = cors.judge(preflight("https://shop.example"));
  assert.ok(verdict?.kind === "preflight");
  assert.ok(verdict.fields.includes("PUT"));
  assert.equal(cors.judge(head("GET", "Origin: https://shop.example"))?.kind, "actual");
});

test("origins that never end do not fill the memory", () => {
  const cors = new Cors({ ...RULE, allowOrigins: [{ kind: "present" }] });
  const editsFor = (index: number) => {
    const verdict = cors.judge(head("GET", `Origin: https://a${index}.example`));
    return verdict?.kind === "actual" ? verdict.edits : null;
  };
  const first = editsFor(0);
  assert.equal(editsFor(0), first);
  for (let index = 1; index < 200; index++) editsFor(index);
  assert.notEqual(editsFor(0), first);
});

import assert from "node:assert/strict";
import test from "node:test";
import { translate } from "../../src/dialects/translate.ts";
import { TranslationError } from "../../src/dialects/translator.ts";

const context = {
  rootNamespaces: ["istio-system"],
  trustDomain: "cluster.local",
  defaultIntention: "allow" as const,
  balancer: { policy: "peak-ewma" as const, slowStartMs: 0 },
  createdMs: 1,
  about: () => [],
};

const issueOf = (resource: unknown): { path: string; reason: string } => {
  try {
    translate(resource, context);
  } catch (error) {
    assert.ok(error instanceof TranslationError);
    return error.issues[0] ?? { path: "", reason: "" };
  }
  return assert.fail("taken");
};

const virtualService = (http: unknown) => ({
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name: "web" },
  spec: { hosts: ["web"], http },
});
const route = [{ destination: { host: "web" } }];

test("a key that schemas would leave out without a word is refused by its path", () => {
  const text = JSON.stringify(
    virtualService([{ match: [{ headers: { PROTO: { exact: "x" } } }], route }]),
  ).replace("PROTO", "__proto__");
  assert.deepEqual(issueOf(JSON.parse(text)), {
    path: "spec.http[0].match[0].headers.__proto__",
    reason: "is no name for a field",
  });
  assert.equal(issueOf(JSON.parse('{"kind":"x","__proto__":{}}')).path, "__proto__");
});

test("content that is nested without end is refused", () => {
  let deep: unknown = {};
  for (let at = 0; at < 20_000; at++) deep = [deep];
  assert.match(issueOf(virtualService(deep)).reason, /nested deeper than 64/);
});

test("the expressions of one resource are bounded together, before they are compiled", () => {
  const matches = (count: number) =>
    virtualService([
      {
        match: Array.from({ length: count }, (_, index) => ({
          uri: { regex: `/${index}/(?i)${"\\pL[a-z]*".repeat(40)}` },
        })),
        route,
      },
    ]);
  assert.ok(translate(matches(10), context).records.length > 0);
  const beforeMs = process.cpuUsage().user / 1_000;
  assert.match(issueOf(matches(100)).reason, /more than 20000 parts together/);
  assert.ok(process.cpuUsage().user / 1_000 - beforeMs < 700);
  assert.ok(translate(matches(10), context).records.length > 0, "each resource has its own");
});

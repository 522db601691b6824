import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type IdentityStanding,
  identityFindings,
  identityStanding,
} from "../../src/cli/check/identity-findings.ts";

const NOW_MS = Date.parse("2026-01-01T00:00:00Z");
const HOST_ID = "spiffe://cluster.local/ns/hostmesh-hosts/sa/a";

function standing(...states: IdentityStanding["workloads"][number]["state"][]): IdentityStanding {
  const one = (identity: string, state: (typeof states)[number], hours: number) => ({
    ...{ identity, state, failure: state === "valid" ? null : "no answer" },
    notAfterMs: state === "missing" ? null : NOW_MS + hours * 3_600_000,
  });
  const [host = "valid", ...rest] = states;
  const workloads = rest.map((state, index) => one(`spiffe://x/w${index}`, state, 10));
  return { mode: "auto", host: one(HOST_ID, host, 100), workloads };
}

const verdicts = (given: IdentityStanding) =>
  identityFindings(given, NOW_MS).map(({ verdict, text }) => [verdict, text]);

test("a sound host is one line, with the first end of a certificate", () => {
  assert.deepEqual(verdicts(standing("valid", "valid")), [
    ["ok", `is ${HOST_ID}; 2 certificates valid, the first for 10 h more`],
  ]);
});

test("identities that are off are no problem; a host without one is a warning", () => {
  assert.deepEqual(verdicts({ mode: "off", host: null, workloads: [] }), [
    ["ok", "no identities: identity.mode is off"],
  ]);
  const [[verdict, text] = []] = verdicts(standing("missing"));
  assert.equal(verdict, "warning");
  assert.match(text ?? "", /no identity.*\(no answer\)/);
});

test("each kind of trouble is a line that names who has it and why", () => {
  const found = verdicts(standing("valid", "expired", "overdue", "overdue", "missing"));
  assert.deepEqual(found, [
    ["failure", "certificates have expired: spiffe://x/w0 (no answer)"],
    ["failure", "certificates cannot be had: spiffe://x/w3 (no answer)"],
    [
      "warning",
      "certificates are not renewed, though it is time: spiffe://x/w1, spiffe://x/w2 (no answer)",
    ],
  ]);
});

test("many names are cut short", () => {
  const [[, text] = []] = verdicts(standing("valid", ...Array(5).fill("expired")));
  assert.match(text ?? "", /w0, spiffe:\/\/x\/w1, spiffe:\/\/x\/w2 and 2 more \(/);
});

test("what the dump says beyond that is of no matter, and what it lacks is", () => {
  const given = { ...standing("valid"), anchors: 2 };
  assert.equal(identityStanding.safeParse(given).success, true);
  assert.equal(identityStanding.safeParse({ mode: "auto" }).success, false);
});

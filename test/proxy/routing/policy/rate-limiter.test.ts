import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../../../src/core/clock.ts";
import type { RateLimitRule, RouteMatch } from "../../../../src/core/traffic.ts";
import {
  type LimitedRequest,
  RateLimiter,
  rateLimitError,
  rateLimitFields,
} from "../../../../src/proxy/routing/policy/rate-limiter.ts";
import { RateLimits } from "../../../../src/proxy/routing/policy/rate-limits.ts";
import { requestWith } from "./fixture.ts";

const total = (requests: number, more: Partial<RateLimitRule> = {}): RateLimitRule => ({
  ...{ name: "shop/total", requests, periodMs: 1_000, burst: requests, per: [] },
  ...more,
});
const perSource = (requests: number, more: Partial<RateLimitRule> = {}): RateLimitRule =>
  total(requests, { name: "shop/identity", per: [{ kind: "source" }], ...more });

const request = (...lines: string[]): LimitedRequest => ({ head: requestWith(lines) });
const caller = (account: string) => ({
  ...{ identity: `spiffe://mesh/ns/shop/sa/${account}`, account: `shop/${account}`, key: account },
});
const NOBODY = { identity: "", account: "", key: "" };

function newLimiter(
  rules: readonly RateLimitRule[],
  matches: (matches: readonly RouteMatch[], request: LimitedRequest) => boolean = () => true,
) {
  const clock = new FakeClock(1_000);
  const buffer = new SharedArrayBuffer(RateLimits.bytesFor(1_024));
  const limiter = new RateLimiter(rules, new RateLimits(buffer, 0, 1_024, clock), matches);
  /** How many of `tries` are let through. */
  const through = (source = NOBODY, tries = 20, one = request()) => {
    let allowed = 0;
    for (let round = 0; round < tries; round++) {
      if (limiter.check(one, source)?.allowed !== false) allowed += 1;
    }
    return allowed;
  };
  return { clock, limiter, through };
}

test("a limit for all counts all callers together", () => {
  const { through } = newLimiter([total(5)]);
  assert.equal(through(caller("a"), 3) + through(caller("b"), 20), 5);
});

test("a limit per source gives each caller its own, and those without identity one together", () => {
  const { through } = newLimiter([perSource(5)]);
  assert.deepEqual([through(caller("a")), through(caller("b")), through(NOBODY)], [5, 5, 5]);
  assert.equal(through({ ...NOBODY, account: "x" }), 0);
});

test("what a caller is refused on its own account is not taken from the others", () => {
  const { through } = newLimiter([total(10), perSource(4)]);
  assert.equal(through(caller("flood"), 1_000), 4);
  assert.equal(through(caller("b")), 4);
  assert.equal(through(caller("c")), 2);
});

test("an override holds in place of the rule, in one bucket for all whom it names", () => {
  const overrides = [
    { sources: ["shop/a", "spiffe://mesh/ns/shop/sa/b"], requests: 8 },
    { sources: ["shop/a", "shop/c"], requests: 0 },
  ];
  const { through } = newLimiter([perSource(4, { overrides })]);
  assert.equal(through(caller("a"), 5) + through(caller("b")), 8);
  assert.equal(through(caller("c")), 0);
  assert.equal(through(caller("d")), 4);
});

test("an override never holds for a caller without a name", () => {
  const { through } = newLimiter([perSource(4, { overrides: [{ sources: [""], requests: 100 }] })]);
  assert.equal(through(NOBODY, 200), 4);
});

test("a limit per header counts each value apart, and its absence as one value more", () => {
  const rule = perSource(3, { per: [{ kind: "header", name: "X-Tenant" }] });
  const { through } = newLimiter([rule]);
  assert.equal(through(NOBODY, 20, request("x-tenant: a")), 3);
  assert.equal(through(NOBODY, 20, request("X-TENANT: b")), 3);
  assert.equal(through(NOBODY, 20, request("X-Tenant:")), 3);
  assert.equal(through(NOBODY, 20, request()), 3);
  assert.equal(through(NOBODY, 20, request()), 0);
});

test("keys of several parts cannot be made to look like others", () => {
  const per = [
    { kind: "header", name: "a" },
    { kind: "header", name: "b" },
  ] as const;
  const { through } = newLimiter([perSource(1, { per })]);
  assert.equal(through(NOBODY, 5, request("a: x=y", "b: z")), 1);
  assert.equal(through(NOBODY, 5, request("a: x", "b: y=z")), 1);
  assert.equal(through(NOBODY, 5, request("a: x")), 1);
  assert.equal(through(NOBODY, 5, request("b: x")), 1);
});

test("a rule with matches counts those requests only", () => {
  const matches: readonly RouteMatch[] = [{ path: { kind: "exact", value: "/pay" } }];
  const { limiter, through } = newLimiter([total(2, { matches })], (given, { head }) => {
    assert.equal(given, matches);
    return head.path === "/pay";
  });
  assert.equal(limiter.check(request(), NOBODY), null);
  assert.equal(through(NOBODY, 9, { head: requestWith([], "GET", "/pay") }), 2);
});

test("of several limits that let a request through the tightest is told", () => {
  const { limiter } = newLimiter([total(9), perSource(4)]);
  const verdict = limiter.check(request(), caller("a"))!;
  assert.deepEqual([verdict.rule.name, verdict.decision.remaining], ["shop/identity", 3]);
});

test("a refused request is told its limit and when to come again, in old words and new", () => {
  const { limiter, clock } = newLimiter([total(2, { periodMs: 60_000 })]);
  limiter.check(request(), NOBODY);
  limiter.check(request(), NOBODY);
  clock.advance(500);
  const verdict = limiter.check(request(), NOBODY)!;
  assert.equal(verdict.allowed, false);
  assert.equal(rateLimitError(verdict).code, "RATE_LIMITED");
  const pairs = rateLimitFields(verdict);
  assert.deepEqual(pairs, [
    ...["RateLimit-Policy", '"shop/total";q=2;w=60', "RateLimit", '"shop/total";r=0;t=60'],
    ...["RateLimit-Limit", "2", "RateLimit-Remaining", "0", "RateLimit-Reset", "60"],
    ...["Retry-After", "30", "x-envoy-ratelimited", "true"],
  ]);
});

test("one that is let through is told what is left, and not to come again", () => {
  const { limiter } = newLimiter([total(100, { periodMs: 250 })]);
  const fields = rateLimitFields(limiter.check(request(), NOBODY)!);
  assert.equal(fields[1], '"shop/total";q=400;w=1');
  assert.equal(fields[3], '"shop/total";r=99;t=1');
  assert.equal(fields.includes("Retry-After"), false);
});

test("a rule's name cannot break out of the header", () => {
  const { limiter } = newLimiter([total(1, { name: 'a"b\\c\r\nX-Evil: 1é' })]);
  const fields = rateLimitFields(limiter.check(request(), NOBODY)!);
  assert.equal(fields[1], '"a\\"b\\\\c??X-Evil: 1?";q=1;w=1');
});

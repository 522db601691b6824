import assert from "node:assert/strict";
import { test } from "node:test";
import { dryRunText } from "../../iptables/apply.ts";
import type { Family, Plan } from "../../iptables/plan.ts";
import { buildPlan } from "../../iptables/rules.ts";
import type { CaptureSpec } from "../../iptables/spec.ts";
import { captureSpec } from "../helpers/capture-spec.ts";

/** Ids of the rules of one chain, in order. */
function ids(plan: Plan, family: Family, table: string, chain: string): string[] {
  const chains = plan.families.find((candidate) => candidate.family === family)!.chains;
  const found = chains.find((candidate) => candidate.table === table && candidate.name === chain);
  return (found?.rules ?? []).map((rule) => rule.id);
}

const ALL_RULES = (plan: Plan): string[] =>
  plan.families.flatMap((family) =>
    family.chains.flatMap((chain) => chain.rules.map((rule) => rule.text)),
  );

test("proxied flows are first, the decision to capture is last", () => {
  const plan = buildPlan(captureSpec({ excludePorts: [25], excludeSubnets: ["10.8.0.0/16"] }));
  assert.deepEqual(ids(plan, 4, "raw", "HOSTMESH_PREROUTING"), [
    "forged",
    "proxied",
    "established",
    "inbound",
    "foreign",
    "proxy-ports-4140",
    "host",
    "to-169.254.0.0/16",
    "from-169.254.0.0/16",
    "to-10.8.0.0/16",
    "from-10.8.0.0/16",
    "ports-25",
    "alive",
  ]);
});

test("closed refuses after the decision, in tproxy and in redirect", () => {
  const tproxy = buildPlan(captureSpec({ onDeath: "closed" }));
  assert.equal(ids(tproxy, 6, "raw", "HOSTMESH_PREROUTING").at(-1), "dead");
  assert.equal(ids(tproxy, 6, "filter", "HOSTMESH_FORWARD")[0], "refuse");
  const redirect = buildPlan(captureSpec({ onDeath: "closed", mode: "redirect" }));
  const last = ids(redirect, 4, "nat", "HOSTMESH_PREROUTING").slice(-3);
  assert.deepEqual(last, ["alive", "dead-mark", "dead-stop"]);
  const inbound = ids(redirect, 4, "nat", "HOSTMESH_INBOUND").slice(-3);
  assert.deepEqual(inbound, ["in-alive", "in-dead-mark", "in-dead-stop"]);
  assert.equal(ids(tproxy, 4, "raw", "HOSTMESH_INBOUND").at(-1), "in-dead");
  const open = ids(buildPlan(captureSpec()), 4, "filter", "HOSTMESH_FORWARD");
  assert.ok(!open.includes("refuse"));
});

test("what is marked in raw goes past the rules of others there, which would look the mark up", () => {
  const plan = buildPlan(captureSpec({ onDeath: "closed" }));
  for (const chain of ["HOSTMESH_TAKE", "HOSTMESH_REFUSE"]) {
    assert.equal(ids(plan, 4, "raw", chain).at(-1), "past-others");
  }
});

test("REDIRECT marks, and nft redirects, where kube-proxy has chains of nft", () => {
  const beside = { hasNftKubeProxy: true };
  const spec = captureSpec({ mode: "redirect", onDeath: "closed" });
  const plan = buildPlan(spec, beside);
  assert.deepEqual(ids(plan, 4, "nat", "HOSTMESH_PREROUTING"), []);
  const last = ids(plan, 4, "mangle", "HOSTMESH_PREROUTING").slice(-2);
  assert.deepEqual(last, ["dead", "alive"], "what lives is marked last");
  const { early } = plan.families[1]!;
  assert.deepEqual(early?.chains, [`redirect-${plan.hash}`, `refuse-${plan.hash}`]);
  const text = early?.lines.join("\n") ?? "";
  assert.match(text, /^add rule ip6 hostmesh redirect-\w+ .*== 0x4d4d redirect to :15001$/m);
  assert.match(text, /^add rule ip6 hostmesh redirect-\w+ .*== 0x4d4f redirect to :15006$/m);
  assert.match(text, /^add rule ip6 hostmesh refuse-\w+ .*== 0x4d4e reject with tcp reset$/m);
  const open = buildPlan({ ...spec, onDeath: "open" }, beside).families[0]!;
  assert.equal(open.early?.chains.length, 1);
  assert.equal(buildPlan(captureSpec(), beside).families[0]!.early, null, "TPROXY needs none");
  assert.equal(buildPlan(spec).families[0]!.early, null);
});

test("exclusions hold from outside too, and for what is forwarded to a guarded workload", () => {
  const exclusions = { excludePorts: [25], excludeSubnets: ["10.8.0.0/16"] };
  for (const mode of ["tproxy", "redirect"] as const) {
    const plan = buildPlan(captureSpec({ ...exclusions, mode }));
    const excluded = [
      "to-169.254.0.0/16",
      "from-169.254.0.0/16",
      "to-10.8.0.0/16",
      "from-10.8.0.0/16",
      "ports-25",
    ];
    const table = mode === "tproxy" ? "raw" : "nat";
    assert.deepEqual(ids(plan, 4, table, "HOSTMESH_INBOUND"), [...excluded, "in-alive"]);
    const forward = ids(plan, 4, "filter", "HOSTMESH_FORWARD");
    assert.deepEqual(forward, ["unguarded", "answers", ...excluded, "bypass"]);
  }
});

test("sources are verified first of all, unless that is switched off", () => {
  for (const mode of ["tproxy", "redirect"] as const) {
    const first = ids(buildPlan(captureSpec({ mode })), 6, "raw", "HOSTMESH_PREROUTING")[0];
    assert.equal(first, "forged");
    const off = buildPlan(captureSpec({ mode, verifySource: false }));
    assert.ok(!ALL_RULES(off).some((text) => text.includes("rpfilter")));
  }
});

test("each family gets only its own subnets and sets", () => {
  const plan = buildPlan(captureSpec({ excludeSubnets: ["10.8.0.0/16", "fd00:8::/32"] }));
  const four = JSON.stringify(plan.families[0]);
  const six = JSON.stringify(plan.families[1]);
  assert.match(four, /10\.8\.0\.0/);
  assert.doesNotMatch(four, /fd00:8::|hostmesh-?\w*6 /);
  assert.match(six, /fd00:8::/);
  assert.doesNotMatch(six, /10\.8\.0\.0|hostmesh-?\w*4 /);
  assert.equal(buildPlan(captureSpec({ ipv6: false })).families.length, 1);
});

test("more than fifteen ports are spread over rules, sorted and once each", () => {
  const excludePorts = [...Array.from({ length: 20 }, (_, n) => 120 - n), 110];
  const plan = buildPlan(captureSpec({ excludePorts, ipv6: false }));
  const rules = ALL_RULES(plan).filter((text) => text.includes("excluded ports"));
  assert.equal(rules.length, 6, "from workloads, to them, and what is forwarded to them");
  assert.deepEqual(
    rules.slice(0, 2).map((text) => /--dports (\S+)/.exec(text)?.[1]?.split(",").length),
    [15, 5],
  );
});

test("every rule names its plan, itself and its reason, and ids are unique in their chain", () => {
  const plan = buildPlan(captureSpec({ onDeath: "closed", excludePorts: [1] }));
  for (const text of ALL_RULES(plan)) {
    assert.match(text, new RegExp(`--comment "hostmesh:${plan.hash}:[^ "]+ [^"']+"`));
  }
  for (const family of plan.families) {
    for (const chain of family.chains) {
      const names = chain.rules.map((rule) => rule.id);
      assert.equal(new Set(names).size, names.length);
      assert.match(chain.name, /^HOSTMESH_[A-Z]+$/);
    }
  }
});

test("the hash follows the rules and not what the kernel never sees", () => {
  const base = buildPlan(captureSpec()).hash;
  assert.equal(buildPlan(captureSpec({ deadManMs: 9_000 })).hash, base);
  assert.notEqual(buildPlan(captureSpec({ outboundPort: 15_002 })).hash, base);
  assert.notEqual(buildPlan(captureSpec({ onDeath: "closed" })).hash, base);
  assert.notEqual(buildPlan(captureSpec({ mark: 0x99 })).hash, base);
});

test("what starts the capture is written last", () => {
  const text = dryRunText(captureSpec());
  const order = ["ipset restore", "route add", "rule add", "*filter", "*mangle", "*raw"];
  const places = order.map((part) => text.indexOf(part));
  assert.ok(places.every((place) => place >= 0));
  assert.deepEqual(
    [...places].sort((a, b) => a - b),
    places,
  );
});

test("REDIRECT needs neither mark routing nor, without verified sources, the raw table", () => {
  const text = dryRunText(captureSpec({ mode: "redirect", verifySource: false }));
  assert.doesNotMatch(text, /rule add|\*raw|\*mangle|TPROXY/);
  assert.match(text, /REDIRECT --to-ports 15006/);
  assert.match(text, /REDIRECT --to-ports 15001/);
});

test("a spec that cannot be rules is refused with the value", () => {
  const cases: [Partial<CaptureSpec>, RegExp][] = [
    [{ outboundPort: 0 }, /0 is no port/],
    [{ excludePorts: [70_000] }, /70000 is no port/],
    [{ excludeSubnets: ["10.0.0.0/33"] }, /"10\.0\.0\.0\/33" is no subnet/],
    [{ excludeSubnets: ["fd00::/129"] }, /is no subnet/],
    [{ excludeSubnets: ["10.0.0.0/8 -j ACCEPT"] }, /is no subnet/],
    [{ excludeSubnets: ["10.0.0.0/"] }, /is no subnet/],
    [{ excludeSubnets: ["300.0.0.1"] }, /is no subnet/],
    [{ excludeSubnets: ["10.0.0.0/8/9"] }, /is no subnet/],
    [{ mark: 0 }, /mark 0/],
    [{ table: 254 }, /table 254/],
  ];
  for (const [overrides, message] of cases) {
    assert.throws(() => buildPlan(captureSpec(overrides)), message, JSON.stringify(overrides));
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { differences, familyDifferences } from "../../iptables/differences.ts";
import { type Live, type LiveFamily, parseSave } from "../../iptables/live.ts";
import { buildPlan } from "../../iptables/rules.ts";
import type { CaptureSpec } from "../../iptables/spec.ts";
import { NOTHING, type Step, transition, wantedOf } from "../../iptables/transition.ts";

const SPEC: CaptureSpec = {
  mode: "tproxy",
  inboundPort: 15_006,
  verifySource: true,
  outboundPort: 15_001,
  onDeath: "closed",
  ipv6: false,
  excludePorts: [],
  excludeSubnets: [],
  mark: 0x4d4d,
  table: 15_001,
  deadManMs: 5_000,
  proxyPorts: [],
};

/** What `iptables-save` would say after a restore on a bare host. */
function applied(text: string): LiveFamily {
  const tables = text.split(/^\*/m).slice(1);
  const saved = tables.map((table) => {
    const lines = table.split("\n");
    const jumps = lines.filter((line) => line.startsWith("-I "));
    const asSaved = jumps.map((line) => line.replace(/^-I (\S+) 1 /, "-A $1 "));
    return `*${[...lines.filter((line) => !line.startsWith("-I ")), ...asSaved].join("\n")}\n`;
  });
  return { ...BARE, ...parseSave(saved.join("")) };
}

const BARE: LiveFamily = {
  family: 4,
  tables: [],
  chains: [],
  jumps: [],
  foreign: new Set(),
  baseChains: new Set(),
  early: [],
  hasNftKubeProxy: false,
  routingRules: [],
  routeTables: [],
};

function installedLive(): { live: LiveFamily; text: string } {
  const plan = buildPlan(SPEC);
  const steps = transition(BARE, wantedOf(plan.families[0]!, plan.hash, BARE));
  const text = steps.find((step) => step.command === "iptables-restore")!.stdin!;
  const live = { ...applied(text), routingRules: ["0x4d4d/0xffff 15001"], routeTables: ["15001"] };
  return { live, text };
}

function world(live: LiveFamily): Live {
  return {
    families: [live],
    sets: ["hostmesh4", "hostmesh-guard4", "hostmesh-alive4", "hostmesh-vip4"],
  };
}

test("what was installed has no differences", () => {
  assert.deepEqual(differences(buildPlan(SPEC), world(installedLive().live)), []);
});

test("each thing that is missing is named", () => {
  const { live } = installedLive();
  const chains = live.chains.map((chain) =>
    chain.name === "HOSTMESH_TAKE" ? { ...chain, rules: chain.rules.slice(1) } : chain,
  );
  const jumps = live.jumps.filter((jump) => jump.from !== "FORWARD");
  const broken: Live = {
    families: [{ ...live, chains, jumps, routingRules: [], routeTables: [] }],
    sets: ["hostmesh4", "hostmesh-vip4"],
  };
  const found = differences(buildPlan(SPEC), broken);
  assert.deepEqual(
    found.map(({ kind, subject }) => `${kind} ${subject}`),
    [
      "missing take-notrack",
      "missing jump-filter-FORWARD",
      "missing ip-rule",
      "missing ip-route",
      "missing hostmesh-guard4",
      "missing hostmesh-alive4",
    ],
  );
});

test("foreign rules in our chains, another order and another spec are told apart", () => {
  const { live } = installedLive();
  const edit = (change: (rules: readonly string[]) => readonly string[]): Live =>
    world({
      ...live,
      chains: live.chains.map((chain) =>
        chain.name === "HOSTMESH_TAKE" ? { ...chain, rules: change(chain.rules) } : chain,
      ),
    });
  const plan = buildPlan(SPEC);
  const kinds = (state: Live): string[] => differences(plan, state).map((d) => d.kind);
  assert.deepEqual(kinds(edit((rules) => [...rules, "-A HOSTMESH_TAKE -j DROP"])), ["foreign"]);
  assert.deepEqual(kinds(edit((rules) => [...rules].reverse())), ["order"]);
  const other = differences(buildPlan({ ...SPEC, onDeath: "open" }), world(live));
  assert.ok(other.some((d) => d.kind === "stale" && d.subject === "HOSTMESH_REFUSE"));
});

test("removal takes away tables that installation made, and no others", () => {
  const { live } = installedLive();
  const baseChains = new Set(live.jumps.map((jump) => `${jump.table} ${jump.from}`));
  const alone = transition({ ...live, baseChains }, NOTHING);
  const script = alone.find((step) => step.command === "nft")!.stdin!;
  assert.match(script, /delete chain ip raw PREROUTING\n/);
  for (const table of ["raw", "mangle", "filter"]) {
    assert.match(script, new RegExp(`delete table ip ${table}\n`));
  }
  const shared = { ...live, baseChains, foreign: new Set(["raw", "raw PREROUTING"]) };
  const careful = transition(shared, NOTHING).find((step) => step.command === "nft")!.stdin!;
  assert.doesNotMatch(careful, /delete chain ip raw PREROUTING|delete table ip raw/);
  assert.match(careful, /delete chain ip raw OUTPUT/);
});

test("chains of nft come before the marks that they go by, and go after them", () => {
  const spec: CaptureSpec = { ...SPEC, mode: "redirect", onDeath: "open" };
  const plan = buildPlan(spec, { hasNftKubeProxy: true });
  const wanted = wantedOf(plan.families[0]!, plan.hash, BARE);
  const commands = (steps: readonly Step[]) => steps.map(({ command }) => command);
  assert.deepEqual(commands(transition(BARE, wanted)), ["nft", "iptables-restore"]);
  const there = { ...BARE, early: wanted.early.chains };
  assert.deepEqual(commands(transition(there, wanted)), ["iptables-restore"]);
  const old = { ...BARE, early: ["redirect-00000000"] };
  const changed = transition(old, wanted);
  assert.deepEqual(commands(changed), ["nft", "iptables-restore", "nft"]);
  assert.match(changed.at(-1)?.stdin ?? "", /^delete chain ip hostmesh redirect-00000000$/m);
  assert.equal(transition(old, NOTHING).at(-1)?.stdin, "delete table ip hostmesh\n");
  const subjects = familyDifferences(plan.families[0]!, plan.hash, old).map((one) => one.subject);
  assert.ok(subjects.includes(`redirect-${plan.hash}`));
  assert.ok(subjects.includes("redirect-00000000"));
});

test("removal stops the capture before anything that it needs", () => {
  const { live } = installedLive();
  const steps = transition(live, NOTHING);
  const restore = steps.findIndex((step) => step.command === "iptables-restore");
  const rule = steps.findIndex((step) => step.args.includes("rule"));
  assert.ok(restore >= 0 && restore < rule);
  const text = steps[restore]!.stdin!;
  assert.ok(text.indexOf("*raw") < text.indexOf("*mangle"));
  assert.ok(text.indexOf("*mangle") < text.indexOf("*filter"));
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Finding } from "../../src/cli/check/finding.ts";
import type { Link, NodeFacts, RoutingRule } from "../../src/cli/check/pre/node-facts.ts";

/** A node on which all is well, as root sees it. */
export const WELL: NodeFacts = {
  isRoot: true,
  kernel: "6.1.0",
  missingModules: [],
  trials: { tproxy: "", redirect: "" },
  missingTools: [],
  backend: "nft",
  rules: { nft: "*nat\n:KUBE-SERVICES - [0:0]\n", legacy: "" },
  ruleset: "table ip nat {\n}\n",
  links: [],
  routingRules: [],
  tableRoutes: [],
  sysctls: new Map([
    ["net.ipv4.ip_forward", "1"],
    ["net.bridge.bridge-nf-call-iptables", "1"],
    ["net.netfilter.nf_conntrack_count", "10"],
    ["net.netfilter.nf_conntrack_max", "262144"],
  ]),
  cni: null,
  proxyMode: null,
  listening: new Map(),
  connectPrograms: [],
  sets: [],
};

/** The same node, as somebody without privileges sees it. */
export const UNSEEN: NodeFacts = {
  ...WELL,
  ...{ isRoot: false, trials: null, rules: { nft: null, legacy: null } },
  ...{ ruleset: null, connectPrograms: null, sets: null },
};

export const link = (name: string, kind: string, more: Partial<Link> = {}): Link => ({
  ...{ name, kind, master: "", isUp: true, addresses: [] },
  ...more,
});
export const rule = (priority: number, more: Partial<RoutingRule> = {}): RoutingRule => ({
  ...{ family: 4, priority, mark: null, selector: "", table: "main", isOurs: false },
  ...more,
});
export const sysctls = (changes: Readonly<Record<string, string>>) =>
  new Map([...WELL.sysctls, ...Object.entries(changes)]);

export interface Case {
  readonly what: string;
  readonly findings: readonly Finding[];
  /** Verdict, and what its text has to say. */
  readonly expected: readonly (readonly [Finding["verdict"], RegExp])[];
}

/** A test for each case; whatever is not well has a remedy. */
export function testCases(groups: Readonly<Record<string, readonly Case[]>>): void {
  for (const [group, cases] of Object.entries(groups)) {
    describe(`check --pre: ${group}`, () => {
      for (const { what, findings, expected } of cases) {
        test(what, () => {
          const verdicts = findings.map(({ verdict }) => verdict);
          assert.deepEqual(
            verdicts,
            expected.map(([verdict]) => verdict),
            JSON.stringify(findings),
          );
          for (const [at, [, pattern]] of expected.entries()) {
            assert.match(findings[at]!.text, pattern);
          }
          for (const { verdict, remedy, text } of findings) {
            const needs = verdict === "warning" || verdict === "failure";
            assert.equal((remedy ?? "") !== "", needs, `${verdict} ${text}: ${remedy}`);
          }
        });
      }
    });
  }
}

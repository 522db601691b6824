import {
  firewallFindings,
  portFindings,
  routingFindings,
  sysctlFindings,
} from "../../src/cli/check/pre/host-findings.ts";
import { kernelFindings } from "../../src/cli/check/pre/kernel-findings.ts";
import { rule, sysctls, testCases, UNSEEN, WELL } from "./pre-cases.ts";

const UNMARKED = { mark: 0x4d4d, table: 15_001 };

testCases({
  "kernel and tools": [
    {
      what: "all is here",
      findings: kernelFindings(WELL, "tproxy"),
      expected: [
        ["ok", /ipset/],
        ["ok", /tproxy/],
        ["ok", /redirect/],
        ["ok", /iptables-nft/],
      ],
    },
    {
      what: "TPROXY cannot be had, and is wanted",
      findings: kernelFindings(
        { ...WELL, trials: { tproxy: "No chain/target/match by that name", redirect: "" } },
        "tproxy",
      ),
      expected: [
        ["ok", /./],
        ["failure", /tproxy .*No chain/],
        ["ok", /./],
        ["ok", /./],
      ],
    },
    {
      what: "TPROXY cannot be had, and is not wanted",
      findings: kernelFindings({ ...WELL, trials: { tproxy: "No", redirect: "" } }, "redirect"),
      expected: [
        ["ok", /./],
        ["warning", /tproxy/],
        ["ok", /./],
        ["ok", /./],
      ],
    },
    {
      what: "not root: module lists, and what was not tried",
      findings: kernelFindings({ ...UNSEEN, missingModules: ["xt_TPROXY"] }, "tproxy"),
      expected: [
        ["ok", /./],
        ["warning", /lacks xt_TPROXY/],
        ["skipped", /only root/],
      ],
    },
    {
      what: "not root: a module that both modes need",
      findings: kernelFindings({ ...UNSEEN, missingModules: ["ip_set_hash_ip"] }, "tproxy"),
      expected: [
        ["ok", /./],
        ["failure", /ip_set_hash_ip/],
        ["skipped", /./],
      ],
    },
    {
      what: "not root, and no module lists",
      findings: kernelFindings({ ...UNSEEN, missingModules: null }, "tproxy"),
      expected: [
        ["ok", /./],
        ["skipped", /not tried \(only root/],
        ["skipped", /./],
      ],
    },
    {
      what: "Kubernetes writes to the other kind of iptables",
      findings: kernelFindings(
        { ...WELL, rules: { nft: "", legacy: ":KUBE-KUBELET-CANARY - [0:0]" } },
        "tproxy",
      ).slice(-1),
      expected: [["warning", /uses iptables-legacy, and iptables here is nft/]],
    },
    {
      what: "Kubernetes has chains in both",
      findings: kernelFindings(
        { ...WELL, rules: { nft: ":KUBE-IPTABLES-HINT -", legacy: ":KUBE-SERVICES -" } },
        "tproxy",
      ).slice(-1),
      expected: [["warning", /both kinds/]],
    },
    {
      what: "no tools",
      findings: kernelFindings(
        { ...WELL, backend: null, missingTools: ["iptables", "ipset", "nft"] },
        "tproxy",
      ),
      expected: [
        ["warning", /iptables, ipset$/],
        ["ok", /./],
        ["ok", /./],
      ],
    },
  ],
  routing: [
    { what: "free", findings: routingFindings(WELL, UNMARKED), expected: [["ok", /0x4d4d/]] },
    {
      what: "rules of Cilium, AWS and the kernel that do not meet",
      findings: routingFindings(
        {
          ...WELL,
          routingRules: [
            rule(9, { mark: { value: 0x200, mask: 0xf00 }, table: "2004" }),
            rule(512, { selector: "dst 10.1.0.2" }),
            rule(100, { table: "local" }),
            rule(32_766),
            rule(80, { mark: { value: 0x4d4d, mask: 0xffff }, table: "15001", isOurs: true }),
          ],
        },
        UNMARKED,
      ),
      expected: [["ok", /./]],
    },
    {
      what: "a mark of others whose bits ours has",
      findings: routingFindings(
        { ...WELL, routingRules: [rule(1, { mark: { value: 0xd00, mask: 0xf00 }, table: "200" })] },
        UNMARKED,
      ),
      expected: [["failure", /fwmark 0xd00\/0xf00/]],
    },
    {
      what: "a table for everything, before ours",
      findings: routingFindings({ ...WELL, routingRules: [rule(10, { table: "7" })] }, UNMARKED),
      expected: [["warning", /priority 10/]],
    },
    {
      what: "a table that is taken",
      findings: routingFindings({ ...WELL, tableRoutes: ["default"] }, UNMARKED),
      expected: [["failure", /15001 holds routes/]],
    },
  ],
  "system settings": [
    {
      what: "well",
      findings: sysctlFindings(WELL),
      expected: [
        ["ok", /./],
        ["ok", /./],
        ["ok", /10 of/],
      ],
    },
    {
      what: "no forwarding, marks in strict reverse paths, a table that is nearly full",
      findings: sysctlFindings({
        ...WELL,
        sysctls: sysctls({
          "net.ipv4.ip_forward": "0",
          "net.ipv4.conf.all.rp_filter": "1",
          "net.ipv4.conf.all.src_valid_mark": "1",
          "net.netfilter.nf_conntrack_count": "250000",
        }),
      }),
      expected: [
        ["failure", /ip_forward/],
        ["failure", /src_valid_mark/],
        ["warning", /250000 of/],
      ],
    },
    {
      what: "strict reverse paths alone do no harm; a small table",
      findings: sysctlFindings({
        ...WELL,
        sysctls: sysctls({
          "net.ipv4.conf.all.rp_filter": "1",
          "net.netfilter.nf_conntrack_max": "65536",
        }),
      }),
      expected: [
        ["ok", /./],
        ["ok", /strict/],
        ["warning", /65536/],
      ],
    },
    {
      what: "nothing can be read",
      findings: sysctlFindings({ ...WELL, sysctls: new Map() }),
      expected: [
        ["skipped", /./],
        ["ok", /./],
        ["skipped", /./],
      ],
    },
  ],
  firewall: [
    { what: "none", findings: firewallFindings(WELL), expected: [["ok", /./]] },
    {
      what: "firewalld",
      findings: firewallFindings({ ...WELL, ruleset: "table inet firewalld {\n}" }),
      expected: [["warning", /firewalld/]],
    },
    {
      what: "ufw",
      findings: firewallFindings({
        ...WELL,
        rules: { nft: ":ufw-before-input - [0:0]", legacy: null },
      }),
      expected: [["warning", /ufw/]],
    },
    {
      what: "a table that drops at the input; iptables' own is handled",
      findings: firewallFindings({
        ...WELL,
        ruleset: `table ip filter {\n\tchain INPUT {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}
table inet mine {\n\tchain in {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n}`,
      }),
      expected: [["warning", /inet mine in$/]],
    },
    { what: "unseen", findings: firewallFindings(UNSEEN), expected: [["skipped", /only root/]] },
  ],
  ports: (["taken", "running"] as const).map((what) => ({
    what,
    findings: portFindings(
      {
        ...WELL,
        listening: new Map([
          [15_008, "ztunnel"],
          [15_010, "istiod"],
        ]),
      },
      { daemon: [15_001, 15_008], registry: [15_010] },
      what === "running",
    ),
    expected:
      what === "running"
        ? ([["ok", /15008/]] as const)
        : ([
            ["failure", /15008 is used by ztunnel/],
            ["warning", /15010 is used by istiod/],
          ] as const),
  })),
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConnectPrograms } from "../../src/cli/check/pre/collect-node.ts";
import { kubeProxyFindings, proxyModeOf } from "../../src/cli/check/pre/kube-proxy-findings.ts";
import { meshFindings } from "../../src/cli/check/pre/mesh-findings.ts";
import { podNetworkFindings } from "../../src/cli/check/pre/pod-network-findings.ts";
import { readValues } from "../../src/install/manifests.ts";
import { VERSION } from "../install/variants.ts";
import { link, sysctls, testCases, UNSEEN, WELL } from "./pre-cases.ts";

const routed = { ...WELL, links: [link("cali1", "veth"), link("cali2", "veth")] };
const numbered = { ...WELL, links: [link("veth1", "veth", { addresses: ["10.1.0.1"] })] };
const bridged = {
  ...WELL,
  cni: { file: "10-flannel.conflist", plugins: ["flannel", "portmap"] },
  links: [
    link("cni0", "bridge", { addresses: ["10.1.0.1"] }),
    link("veth1", "veth", { master: "cni0" }),
  ],
};
const cilium = {
  ...WELL,
  cni: { file: "05-cilium.conflist", plugins: ["cilium-cni"] },
  links: [link("lxc1", "veth"), link("lxc2", "veth")],
};

testCases({
  "kube-proxy": [
    {
      what: "iptables",
      findings: kubeProxyFindings(WELL, "tproxy"),
      expected: [["ok", /iptables/]],
    },
    {
      what: "nftables",
      findings: kubeProxyFindings({ ...WELL, ruleset: "table ip kube-proxy {\n}" }, "redirect"),
      expected: [["ok", /nftables/]],
    },
    {
      what: "nftables with REDIRECT, where iptables is the other kind",
      findings: kubeProxyFindings(
        { ...WELL, backend: "legacy", ruleset: "table ip kube-proxy {\n}" },
        "redirect",
      ),
      expected: [["failure", /may come after kube-proxy's/]],
    },
    {
      what: "ipvs, by its device, with TPROXY",
      findings: kubeProxyFindings({ ...WELL, links: [link("kube-ipvs0", "dummy")] }, "tproxy"),
      expected: [["warning", /ipvs/]],
    },
    {
      what: "ipvs with REDIRECT",
      findings: kubeProxyFindings({ ...WELL, links: [link("kube-ipvs0", "dummy")] }, "redirect"),
      expected: [["ok", /ipvs/]],
    },
    {
      what: "none",
      findings: kubeProxyFindings({ ...WELL, rules: { nft: "", legacy: null } }, "tproxy"),
      expected: [["warning", /no rules/]],
    },
    {
      what: "unseen",
      findings: kubeProxyFindings(UNSEEN, "tproxy"),
      expected: [["skipped", /root/]],
    },
    {
      what: "unseen, but it answers",
      findings: kubeProxyFindings({ ...UNSEEN, proxyMode: "nftables" }, "tproxy"),
      expected: [["ok", /nftables/]],
    },
  ],
  "network of the pods": [
    {
      what: "unnumbered interfaces and TPROXY",
      findings: podNetworkFindings(routed, "tproxy"),
      expected: [
        ["ok", /Calico/],
        ["ok", /2 interfaces.*cali1, cali2/],
      ],
    },
    {
      what: "unnumbered interfaces and REDIRECT",
      findings: podNetworkFindings(routed, "redirect"),
      expected: [
        ["ok", /Calico/],
        ["failure", /no IPv4 address/],
      ],
    },
    {
      what: "numbered interfaces",
      findings: podNetworkFindings(numbered, "redirect"),
      expected: [
        ["ok", /not known/],
        ["ok", /both modes/],
      ],
    },
    {
      what: "a bridge that passes iptables, and TPROXY",
      findings: podNetworkFindings(bridged, "tproxy"),
      expected: [
        ["ok", /flannel/],
        ["failure", /forgets TPROXY/],
      ],
    },
    {
      what: "a bridge that passes iptables, and REDIRECT",
      findings: podNetworkFindings(bridged, "redirect"),
      expected: [
        ["ok", /flannel/],
        ["ok", /redirect suits/],
      ],
    },
    {
      what: "a bridge that does not",
      findings: podNetworkFindings(
        { ...bridged, sysctls: sysctls({ "net.bridge.bridge-nf-call-iptables": "0" }) },
        "redirect",
      ),
      expected: [
        ["ok", /./],
        ["warning", /do not pass iptables/],
      ],
    },
    {
      what: "Docker's bridge holds no pods",
      findings: podNetworkFindings(
        { ...routed, links: [...routed.links, link("docker0", "bridge")] },
        "tproxy",
      ),
      expected: [
        ["ok", /./],
        ["ok", /./],
      ],
    },
    {
      what: "Open vSwitch",
      findings: podNetworkFindings(
        {
          ...WELL,
          links: [link("antrea-gw0", "")],
          cni: { file: "10-antrea.conflist", plugins: ["antrea"] },
        },
        "tproxy",
      ),
      expected: [["failure", /Open vSwitch/]],
    },
    {
      what: "Cilium without socket load balancing",
      findings: podNetworkFindings(cilium, "tproxy"),
      expected: [
        ["ok", /Cilium/],
        ["ok", /without an IPv4/],
        ["ok", /connect\(\)/],
      ],
    },
    {
      what: "Cilium with socket load balancing",
      findings: podNetworkFindings({ ...cilium, connectPrograms: ["cil_sock4_connect"] }, "tproxy"),
      expected: [
        ["ok", /./],
        ["ok", /./],
        ["failure", /socket load balancing/],
      ],
    },
    {
      what: "Cilium whose programs cannot be seen",
      findings: podNetworkFindings({ ...cilium, connectPrograms: null }, "tproxy"),
      expected: [
        ["ok", /./],
        ["ok", /./],
        ["skipped", /bpftool/],
      ],
    },
    {
      what: "nothing",
      findings: podNetworkFindings(WELL, "tproxy"),
      expected: [["skipped", /neither/]],
    },
  ],
  "other meshes": [
    { what: "none", findings: meshFindings(WELL), expected: [["ok", /no other/]] },
    {
      what: "Istio by its chains and its plugin",
      findings: meshFindings({
        ...WELL,
        rules: { nft: ":ISTIO_PRERT - [0:0]", legacy: null },
        cni: { file: "10-calico.conflist", plugins: ["calico", "istio-cni"] },
      }),
      expected: [["warning", /Istio.*ISTIO_PRERT in netfilter, istio-cni in 10-calico/]],
    },
    {
      what: "ambient's set, Linkerd and Kuma",
      findings: meshFindings({
        ...WELL,
        sets: ["istio-inpod-probes-v4"],
        cni: { file: "a.conflist", plugins: ["linkerd-cni", "kuma-cni"] },
      }),
      expected: [
        ["warning", /Istio/],
        ["warning", /Linkerd/],
        ["warning", /Kuma/],
      ],
    },
    { what: "unseen", findings: meshFindings(UNSEEN), expected: [["skipped", /only root/]] },
  ],
});

test("kube-proxy's mode is known by what it leaves on the node before what it says", () => {
  assert.equal(proxyModeOf({ ...WELL, proxyMode: "ipvs" }), "iptables");
  assert.equal(proxyModeOf({ ...UNSEEN, proxyMode: "what is this" }), null);
});

test("programs at connect() are known in the words of old and new versions of bpftool", () => {
  const program = (attach_type: string, name: string) => ({ id: 1, attach_type, name });
  const text = JSON.stringify([
    { cgroup: "/sys/fs/cgroup", programs: [program("connect4", "cil_sock4_connect")] },
    {
      cgroup: "/sys/fs/cgroup/x",
      programs: [
        program("cgroup_inet6_connect", "cil_sock6_connect"),
        program("cgroup_device", "sd_devices"),
      ],
    },
    { cgroup: "/sys/fs/cgroup/y" },
  ]);
  assert.deepEqual(parseConnectPrograms(text), ["cil_sock4_connect", "cil_sock6_connect"]);
  assert.deepEqual(parseConnectPrograms(""), []);
});

test("a mode that does not suit the pods' network is remedied by a value that an installation takes", () => {
  const cases = [
    { findings: podNetworkFindings(bridged, "tproxy"), mode: "redirect" },
    { findings: podNetworkFindings(routed, "redirect"), mode: "tproxy" },
  ];
  for (const { findings, mode } of cases) {
    const [failure] = findings.filter(({ verdict }) => verdict === "failure");
    const [, name = "", value] = /--set (\w+)=(\w+)/.exec(failure?.remedy ?? "") ?? [];
    assert.equal(value, mode);
    assert.equal(readValues(VERSION, { [name]: value }).captureMode, mode);
  }
});

import { type Finding, failure, ok, skipped, warning } from "../finding.ts";
import { captureValue } from "./capture-value.ts";
import type { Link, NodeFacts } from "./node-facts.ts";

/** A network plugin as its files and interfaces show it. */
interface Plugin {
  readonly name: string;
  /** Types in /etc/cni/net.d. */
  readonly types: readonly string[];
  /** Names of interfaces on the host. */
  readonly links: RegExp;
}

/** The first that matches; plugins that use another's interfaces stand before it. */
const PLUGINS: readonly Plugin[] = [
  { name: "Cilium", types: ["cilium-cni"], links: /^(cilium_host|lxc[0-9a-f]+)$/ },
  { name: "Calico", types: ["calico"], links: /^cali[0-9a-f]+$/ },
  { name: "Antrea", types: ["antrea"], links: /^antrea-gw0$/ },
  { name: "OVN-Kubernetes", types: ["ovn-k8s-cni-overlay"], links: /^ovn-k8s-mp0$/ },
  { name: "AWS VPC CNI", types: ["aws-cni"], links: /^(eni[0-9a-f]+|vlan\.eth\.\d+)$/ },
  { name: "Azure CNI", types: ["azure-vnet"], links: /^azv[0-9a-f]+$/ },
  { name: "Weave Net", types: ["weave-net"], links: /^weave$/ },
  { name: "flannel", types: ["flannel"], links: /^(flannel\.\d+|flannel-wg|cni0)$/ },
  { name: "kindnet or ptp", types: ["ptp"], links: /^kindnet/ },
  { name: "bridge", types: ["bridge"], links: /^(cni0|cbr0)$/ },
];

/** Packets of pods go through Open vSwitch and never pass the host's PREROUTING with their own interface. */
const SWITCHED = ["Antrea", "OVN-Kubernetes"];

/** Bridges of container engines, on which no pods are. */
const OTHER_BRIDGES = /^(docker\d*|br-[0-9a-f]{12}|virbr\d+|lxcbr\d+|podman\d+)$/;

/** Of the host itself; in a container that plays a node its uplink is a veth too. */
const NO_POD = /^(eth\d|en[ops]\d|cilium_|hostmesh)/;

export interface PodNetwork {
  readonly plugin: string | null;
  /** Bridges on which pods are. */
  readonly bridges: readonly Link[];
  /** Host's ends of pods' interfaces that are routed, not bridged. */
  readonly routed: readonly Link[];
}

export function podNetworkOf({ cni, links }: Pick<NodeFacts, "cni" | "links">): PodNetwork {
  const byType = PLUGINS.find(({ types }) => types.some((type) => cni?.plugins.includes(type)));
  const byLink = PLUGINS.find((plugin) => links.some(({ name }) => plugin.links.test(name)));
  const bridges = links.filter(({ kind, name }) => kind === "bridge" && !OTHER_BRIDGES.test(name));
  const routed = links.filter(
    ({ kind, master, name }) => kind === "veth" && master === "" && !NO_POD.test(name),
  );
  return { plugin: (byType ?? byLink)?.name ?? null, bridges, routed };
}

/** Does the mode suit the way in which pods are joined to this node? */
export function podNetworkFindings(facts: NodeFacts, mode: "tproxy" | "redirect"): Finding[] {
  const network = podNetworkOf(facts);
  if (network.plugin === null && network.bridges.length + network.routed.length === 0) {
    return [
      skipped(
        "the pods' network: there are neither plugins in /etc/cni/net.d nor interfaces of pods",
      ),
    ];
  }
  const { file, plugins } = facts.cni ?? { file: "no readable file", plugins: [] };
  const name = network.plugin ?? "a network plugin that is not known here";
  const seen = ok(`${name} (${file}: ${plugins.join(", ") || "nothing"})`);
  if (network.plugin !== null && SWITCHED.includes(network.plugin)) {
    return [
      failure(
        `${network.plugin} switches packets of pods in Open vSwitch: netfilter on the host does not see them`,
        `Capture is not possible here; install with ${captureValue("explicit")}.`,
      ),
    ];
  }
  return [
    seen,
    ...routedFindings(network, mode),
    ...bridgeFindings(facts, network, mode),
    ...(network.plugin === "Cilium" ? ciliumFindings(facts) : []),
  ];
}

function routedFindings({ routed }: PodNetwork, mode: "tproxy" | "redirect"): Finding[] {
  if (routed.length === 0) return [];
  const bare = routed.filter(({ addresses }) => !addresses.some((one) => !one.includes(":")));
  if (bare.length === 0) {
    return [ok(`${routed.length} interfaces of pods, all with an IPv4 address: both modes suit`)];
  }
  const names = `${bare
    .slice(0, 3)
    .map(({ name }) => name)
    .join(", ")}${bare.length > 3 ? ", ..." : ""}`;
  if (mode === "tproxy") {
    return [
      ok(`${bare.length} interfaces of pods without an IPv4 address (${names}): tproxy suits`),
    ];
  }
  return [
    failure(
      `${bare.length} interfaces of pods have no IPv4 address (${names}): the kernel drops what REDIRECT takes there`,
      `Install with ${captureValue("tproxy")}, the default.`,
    ),
  ];
}

function bridgeFindings(
  { sysctls }: NodeFacts,
  { bridges }: PodNetwork,
  mode: "tproxy" | "redirect",
): Finding[] {
  if (bridges.length === 0) return [];
  const names = bridges.map(({ name }) => name).join(", ");
  if (sysctls.get("net.bridge.bridge-nf-call-iptables") !== "1") {
    return [
      warning(
        `pods are on the bridge ${names}, and bridged packets do not pass iptables: calls between pods of this node are not captured, and kube-proxy cannot lead them to a pod of the same node`,
        `modprobe br_netfilter && sysctl -w net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1, and install with ${captureValue("redirect")}.`,
      ),
    ];
  }
  if (mode === "redirect")
    return [ok(`pods are on the bridge ${names}, whose packets pass iptables: redirect suits`)];
  return [
    failure(
      `pods are on the bridge ${names}, whose packets pass iptables before they are routed: the kernel forgets TPROXY's choice of a socket, and such pods are not captured`,
      `Install with ${captureValue("redirect")}.`,
    ),
  ];
}

function ciliumFindings({ connectPrograms, links, routingRules }: NodeFacts): Finding[] {
  const balancer = connectPrograms?.filter((name) => /^(cil_)?sock[46]_connect/.test(name)) ?? [];
  const findings: Finding[] = [];
  if (balancer.length > 0) {
    findings.push(
      failure(
        `Cilium's socket load balancing (${balancer.join(", ")}) replaces service addresses before a packet exists: services are not recognised by their address`,
        "Set socketLB.hostNamespaceOnly=true (then pods are spared), or socketLB.enabled=false, in Cilium's Helm values.",
      ),
    );
  } else if (connectPrograms === null) {
    findings.push(
      skipped(
        "Cilium's socket load balancing: bpftool, as root, would tell; see also the cluster's part",
      ),
    );
  } else findings.push(ok("no program of Cilium at connect()"));
  const isRoutedByHost = links.some(
    ({ name, addresses }) => name === "cilium_host" && addresses.length > 0,
  );
  if (isRoutedByHost && routingRules.length > 0) {
    findings.push(
      warning(
        "where Cilium does not use endpoint routes, packets of pods come in by another interface than the route to them leads to",
        "Set endpointRoutes.enabled=true in Cilium's Helm values, or capture.verifySource off.",
      ),
    );
  }
  return findings;
}

import { type Finding, failure, ok, skipped, warning } from "../finding.ts";
import { captureValue } from "./capture-value.ts";
import type { ClusterFacts } from "./cluster-facts.ts";

/** Groups without which the registry cannot read a cluster, and since when they are there. */
const NEEDED: readonly (readonly [group: string, version: string, since: string])[] = [
  ["discovery.k8s.io", "v1", "Kubernetes 1.21"],
  ["coordination.k8s.io", "v1", "Kubernetes 1.14"],
  ["authentication.k8s.io", "v1", "Kubernetes 1.6"],
];

/** Groups whose resources hostmesh goes by where they are installed. */
const DIALECTS: Readonly<Record<string, string>> = {
  "gateway.networking.k8s.io": "Gateway API",
  "networking.istio.io": "Istio (traffic)",
  "security.istio.io": "Istio (security)",
  "split.smi-spec.io": "SMI (splits)",
  "access.smi-spec.io": "SMI (access)",
  "specs.smi-spec.io": "SMI (routes)",
  "policy.linkerd.io": "Linkerd (policy)",
  "linkerd.io": "Linkerd (profiles)",
};

/** Other meshes, by what of them a cluster shows. */
const MESHES: readonly { name: string; webhook: RegExp; daemonSet: RegExp }[] = [
  { name: "Istio", webhook: /^istio-/, daemonSet: /\/(ztunnel|istio-cni-node)$/ },
  { name: "Linkerd", webhook: /^linkerd-/, daemonSet: /\/linkerd-cni$/ },
  {
    name: "Consul",
    webhook: /consul.*connect-injector|consul-connect/,
    daemonSet: /\/consul-cni$/,
  },
  { name: "Kuma", webhook: /^(kuma|kong-mesh)-/, daemonSet: /\/(kuma|kong-mesh)-cni/ },
];

export function clusterFindings(facts: ClusterFacts, namespace: string): Finding[] {
  return [
    ...serverFindings(facts),
    dialectFinding(facts),
    ...nodeFindings(facts),
    ...proxyFindings(facts),
    ...ciliumFindings(facts),
    ...meshFindings(facts),
    ...namespaceFindings(facts, namespace),
    rightsFinding(facts),
  ];
}

function serverFindings({ version, groups }: ClusterFacts): Finding[] {
  const server =
    version === null ? skipped("the server's version was not shown") : ok(`Kubernetes ${version}`);
  if (groups === null) return [server, skipped("the API groups were not shown")];
  const absent = NEEDED.filter(([group, needed]) => !groups.get(group)?.includes(needed));
  return [
    server,
    ...absent.map(([group, needed, since]) =>
      failure(
        `the API ${group}/${needed} is not served`,
        `Update the cluster: ${since} brings it.`,
      ),
    ),
  ];
}

function dialectFinding({ groups }: ClusterFacts): Finding {
  if (groups === null) return skipped("custom resources: the API groups were not shown");
  const installed = Object.entries(DIALECTS).flatMap(([group, name]) => {
    const versions = groups.get(group);
    return versions === undefined ? [] : [`${name} ${versions.join(" and ")}`];
  });
  if (installed.length === 0)
    return ok("no custom resources of Gateway API, Istio, SMI or Linkerd: none is needed");
  return ok(`custom resources: ${installed.join(", ")}`);
}

function nodeFindings({ nodes }: ClusterFacts): Finding[] {
  if (nodes === null) return [skipped("nodes: this account may not list them")];
  const others = nodes.filter(({ os }) => os !== "linux");
  // nft and iptables-nft with TPROXY: 4.18.
  const old = nodes.filter(({ os, kernel }) => os === "linux" && isBefore(kernel, 4, 18));
  const findings: Finding[] = [];
  if (others.length > 0) {
    findings.push(
      warning(
        `nodes without Linux: ${list(others)}`,
        "Their pods are called in the clear and are not captured; the DaemonSet passes them by.",
      ),
    );
  }
  if (old.length > 0) {
    findings.push(
      failure(
        `nodes with a kernel before 4.18: ${list(old)}`,
        "Update them, or keep the DaemonSet off them.",
      ),
    );
  }
  const kernels = new Set(nodes.map(({ kernel }) => kernel));
  return [...findings, ok(`${nodes.length} nodes, kernels ${[...kernels].join(", ")}`)];
}

function isBefore(kernel: string, major: number, minor: number): boolean {
  const [, ofMajor, ofMinor] = /^(\d+)\.(\d+)/.exec(kernel) ?? [];
  if (ofMajor === undefined || ofMinor === undefined) return false;
  return Number(ofMajor) < major || (Number(ofMajor) === major && Number(ofMinor) < minor);
}

function list(nodes: readonly { name: string }[]): string {
  const some = nodes.slice(0, 3).map(({ name }) => name);
  return `${some.join(", ")}${nodes.length > 3 ? ` and ${nodes.length - 3} more` : ""}`;
}

function proxyFindings({ proxyMode, ciliumConfig }: ClusterFacts): Finding[] {
  if (proxyMode === null) {
    if (replacesKubeProxy(ciliumConfig)) return [];
    return [
      skipped(
        "kube-proxy's mode: there is no ConfigMap kube-system/kube-proxy, or this account may not read it",
      ),
    ];
  }
  if (proxyMode !== "ipvs")
    return [ok(`kube-proxy in mode ${proxyMode || "iptables (its default)"}`)];
  return [
    warning(
      "kube-proxy in mode ipvs takes connections to service addresses before TPROXY's socket can",
      `Install with ${captureValue("redirect")} where the pods' interfaces have addresses, or move kube-proxy to mode nftables.`,
    ),
  ];
}

function replacesKubeProxy(config: ClusterFacts["ciliumConfig"]): boolean {
  return ["true", "strict"].includes(config?.get("kube-proxy-replacement") ?? "");
}

function ciliumFindings({ daemonSets, ciliumConfig }: ClusterFacts): Finding[] {
  if (!daemonSets?.some((name) => name.endsWith("/cilium"))) return [];
  if (ciliumConfig === null)
    return [skipped("Cilium: this account may not read the ConfigMap cilium-config")];
  const replaces = replacesKubeProxy(ciliumConfig);
  const isOn = (key: string) => ciliumConfig.get(key) === "true";
  const findings: Finding[] = [];
  if ((replaces || isOn("bpf-lb-sock")) && !isOn("bpf-lb-sock-hostns-only")) {
    findings.push(
      failure(
        "Cilium's socket load balancing is on for pods: service addresses are replaced at connect(), before capture",
        "Helm value socketLB.hostNamespaceOnly=true (bpf-lb-sock-hostns-only), then restart Cilium's pods.",
      ),
    );
  }
  if (replaces && !isOn("enable-host-legacy-routing")) {
    findings.push(
      failure(
        "Cilium routes packets of pods in eBPF, past the host's netfilter, where capture is",
        "Helm value bpf.hostLegacyRouting=true (enable-host-legacy-routing).",
      ),
    );
  }
  if (!isOn("enable-endpoint-routes")) {
    findings.push(
      warning(
        "Cilium has no endpoint routes: packets of pods come in by another interface than the route to them leads to",
        "Helm value endpointRoutes.enabled=true, or capture.verifySource off.",
      ),
    );
  }
  return findings.length > 0
    ? findings
    : [ok("Cilium leaves connections of pods to the host's network")];
}

function meshFindings({ webhooks, daemonSets, namespaces }: ClusterFacts): Finding[] {
  if (webhooks === null && daemonSets === null)
    return [skipped("other meshes: this account sees neither webhooks nor DaemonSets")];
  const found = MESHES.flatMap(({ name, webhook, daemonSet }) => {
    const traces = [
      ...(webhooks ?? []).filter((one) => webhook.test(one)).map((one) => `webhook ${one}`),
      ...(daemonSets ?? []).filter((one) => daemonSet.test(one)).map((one) => `DaemonSet ${one}`),
    ];
    return traces.length === 0 ? [] : [{ name, traces }];
  });
  if (found.length === 0) return [ok("no other mesh in the cluster")];
  const enrolled = (namespaces ?? []).filter(
    ({ labels }) =>
      labels["istio-injection"] === "enabled" ||
      labels["istio.io/dataplane-mode"] === "ambient" ||
      labels["istio.io/rev"] !== undefined,
  );
  const which = enrolled.length === 0 ? "" : `; enrolled there: ${list(enrolled)}`;
  return found.map(({ name, traces }) =>
    warning(
      `${name} is in the cluster: ${traces.slice(0, 4).join(", ")}${which}`,
      `Enrol no namespace in both. Move namespace by namespace, restart its pods without ${name}'s proxy, and remove ${name} last.`,
    ),
  );
}

/** The daemon needs the host's network, capabilities and a priority class that some clusters give by quota only. */
function namespaceFindings(
  { namespaces, quotaClasses, version }: ClusterFacts,
  namespace: string,
): Finding[] {
  if (namespaces === null) return [skipped("namespaces: this account may not list them")];
  const own = namespaces.find(({ name }) => name === namespace);
  if (own === undefined)
    return [ok(`the namespace ${namespace} does not exist yet; the installation makes it`)];
  const level = own.labels["pod-security.kubernetes.io/enforce"];
  const findings: Finding[] = [];
  if (level !== "privileged") {
    findings.push(
      failure(
        `the namespace ${namespace} is there, and pod security ${level === undefined ? "is the cluster's default" : `enforces ${level}`}: the daemon's pods may be refused`,
        `kubectl label --overwrite namespace ${namespace} pod-security.kubernetes.io/enforce=privileged`,
      ),
    );
  }
  const needsQuota = /-gke\./.test(version ?? "");
  if (needsQuota && quotaClasses !== null && !quotaClasses.includes("system-node-critical")) {
    findings.push(
      warning(
        `no ResourceQuota of ${namespace} has room for the priority class system-node-critical, which this provider asks for`,
        "hostmesh install brings one: apply all of what it prints.",
      ),
    );
  }
  return findings.length > 0 ? findings : [ok(`the namespace ${namespace} admits the daemon`)];
}

function rightsFinding({ forbidden }: ClusterFacts): Finding {
  if (forbidden === null) return skipped("the rights of this account were not shown");
  if (forbidden.length === 0) return ok("this account may create what an installation consists of");
  return failure(
    `this account may not create ${forbidden.join(", ")}`,
    "Install with an account that has the role cluster-admin.",
  );
}

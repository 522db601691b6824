import type { CaptureSpec } from "../../../../iptables/spec.ts";
import { type Finding, failure, ok, skipped, warning } from "../finding.ts";
import { captureValue } from "./capture-value.ts";
import type { NodeFacts } from "./node-facts.ts";

/** Can this kernel, with these tools, capture at all? */
export function kernelFindings(facts: NodeFacts, mode: CaptureSpec["mode"]): Finding[] {
  return [toolFinding(facts), ...capabilityFindings(facts, mode), ...backendFindings(facts)];
}

function toolFinding({ missingTools, backend }: NodeFacts): Finding {
  const needed = missingTools.filter((tool) => tool !== "nft" || backend === "nft");
  if (needed.length === 0) return ok(`iptables (${backend ?? "none"}), ipset and ip are here`);
  return warning(
    `not found on this host: ${needed.join(", ")}`,
    "The image of hostmesh brings them; where the daemon runs without it, install iptables, ipset, iproute2 and nftables.",
  );
}

function capabilityFindings(facts: NodeFacts, wanted: CaptureSpec["mode"]): Finding[] {
  const { trials, missingModules, kernel, isRoot } = facts;
  if (trials !== null) {
    return (["tproxy", "redirect"] as const).map((mode) =>
      trialFinding(mode, trials[mode], kernel, wanted),
    );
  }
  const why = isRoot ? "no namespace can be made here" : "only root can try them";
  if (missingModules === null) {
    return [
      skipped(`the rules were not tried (${why}), and there are no module lists of ${kernel}`),
    ];
  }
  if (missingModules.length === 0) {
    return [ok(`the kernel (${kernel}) has the modules; the rules were not tried: ${why}`)];
  }
  const needed = missingModules.some((name) => name !== "xt_TPROXY" && name !== "xt_socket");
  const text = `the kernel (${kernel}) lacks ${missingModules.join(", ")}`;
  return [
    needed
      ? failure(
          text,
          `Install the kernel's extra modules (linux-modules-extra), or the mesh with ${captureValue("explicit")}.`,
        )
      : warning(
          text,
          `Install the kernel's extra modules, or the mesh with ${captureValue("redirect")}.`,
        ),
  ];
}

function trialFinding(
  mode: CaptureSpec["mode"],
  trouble: string,
  kernel: string,
  wanted: CaptureSpec["mode"],
): Finding {
  if (trouble === "") {
    return ok(`rules of ${mode} can be installed (tried in a namespace, ${kernel})`);
  }
  const other = mode === "tproxy" ? "redirect" : "tproxy";
  const judge = mode === wanted ? failure : warning;
  return judge(
    `rules of ${mode} cannot be installed: ${trouble}`,
    `Install the module or tool that is missing, or install with ${captureValue(other)} if the lines below allow it.`,
  );
}

/** Chains by which kube-proxy and the kubelet tell everybody which kernel interface this node uses (KEP-3178). */
const HINTS = /^:(KUBE-IPTABLES-HINT|KUBE-KUBELET-CANARY|KUBE-SERVICES)\b/m;

function backendFindings({ rules, backend, isRoot }: NodeFacts): Finding[] {
  if (backend === null) return [];
  if (rules.nft === null && rules.legacy === null) {
    const why = isRoot ? "neither kind of iptables-save answers" : "only root can read the rules";
    return [skipped(`which iptables Kubernetes uses here: ${why}`)];
  }
  const used = (["nft", "legacy"] as const).filter((kind) => HINTS.test(rules[kind] ?? ""));
  if (used.length === 2) {
    return [
      warning(
        "Kubernetes has chains in both kinds of iptables, nft and legacy",
        "One of them is left over: find out which kube-proxy and kubelet use, remove the other's chains, or reboot the node.",
      ),
    ];
  }
  const [only] = used;
  if (only === undefined) return [ok("no iptables chains of Kubernetes yet")];
  if (only === backend) return [ok(`Kubernetes uses iptables-${only}, as hostmesh will`)];
  return [
    warning(
      `Kubernetes uses iptables-${only}, and iptables here is ${backend}: two sets of rules whose order in nat is not defined`,
      `TPROXY decides earlier and works; for captureMode=redirect make both the same (update-alternatives --set iptables /usr/sbin/iptables-${only}).`,
    ),
  ];
}

import { type Finding, ok, skipped, warning } from "../finding.ts";
import type { NodeFacts } from "./node-facts.ts";

/** Traces of another mesh on a node. */
interface Mesh {
  readonly name: string;
  /** Chains and sets in netfilter. */
  readonly rules: RegExp;
  /** Plugins chained in /etc/cni/net.d. */
  readonly plugin: string;
  readonly links: RegExp | null;
}

const MESHES: readonly Mesh[] = [
  {
    name: "Istio",
    rules:
      /\b(ISTIO_[A-Z_]+|ztunnel-(PREROUTING|INPUT|OUTPUT|FORWARD)|ztunnel-pods-ips|istio-inpod-probes\S*)/,
    plugin: "istio-cni",
    links: /^istio(in|out)$/,
  },
  { name: "Linkerd", rules: /\bPROXY_INIT_[A-Z]+/, plugin: "linkerd-cni", links: null },
  { name: "Consul", rules: /\bCONSUL_(PROXY|DNS)_[A-Z_]+/, plugin: "consul-cni", links: null },
  { name: "Kuma", rules: /\bKUMA_MESH_[A-Z_]+/, plugin: "kuma-cni", links: null },
];

/** Other meshes that would take the same connections. */
export function meshFindings({ rules, ruleset, sets, cni, links, isRoot }: NodeFacts): Finding[] {
  const text = [rules.nft, rules.legacy, ruleset, sets?.join("\n")].join("\n");
  const found = MESHES.flatMap((mesh) => {
    const traces: string[] = [];
    const rule = mesh.rules.exec(text)?.[0];
    if (rule !== undefined) traces.push(`${rule} in netfilter`);
    if (cni?.plugins.includes(mesh.plugin)) traces.push(`${mesh.plugin} in ${cni.file}`);
    const link = links.find(({ name }) => mesh.links?.test(name));
    if (link !== undefined) traces.push(`interface ${link.name}`);
    return traces.length === 0 ? [] : [{ name: mesh.name, traces }];
  });
  if (found.length > 0) {
    return found.map(({ name, traces }) =>
      warning(
        `${name} is on this node: ${traces.join(", ")}`,
        `Enrol no namespace in both: what ${name}'s proxies send is captured a second time. Move namespace by namespace, and remove ${name} last.`,
      ),
    );
  }
  if (rules.nft === null && rules.legacy === null) {
    const why = isRoot ? "no tool lists them" : "only root can read them";
    return [
      skipped(`other meshes: none in /etc/cni/net.d; their rules were not looked for (${why})`),
    ];
  }
  return [ok("no other mesh on this node")];
}

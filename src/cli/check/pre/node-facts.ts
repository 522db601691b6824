/** What was seen of a node, before anything is said about it. Null: it could not be looked at. */
export interface NodeFacts {
  readonly isRoot: boolean;
  /** What `uname -r` says. */
  readonly kernel: string;
  /** Modules of the list that was asked for that are neither loaded nor to be had. */
  readonly missingModules: readonly string[] | null;
  /** What happened when each mode was installed in a throw-away namespace: empty is success. */
  readonly trials: { readonly tproxy: string; readonly redirect: string } | null;
  readonly missingTools: readonly string[];
  /** Which kernel interface `iptables` writes to here. */
  readonly backend: "nft" | "legacy" | null;
  /** `iptables-save` and `ip6tables-save` of each interface, one after the other. */
  readonly rules: { readonly nft: string | null; readonly legacy: string | null };
  /** `nft -t list ruleset`: tables, chains and rules without the elements of sets. */
  readonly ruleset: string | null;
  readonly links: readonly Link[];
  readonly routingRules: readonly RoutingRule[];
  /** Routes in the table that capture would use. */
  readonly tableRoutes: readonly string[];
  /** `net.ipv4.ip_forward` and so on; what does not exist is left out. */
  readonly sysctls: ReadonlyMap<string, string>;
  /** The network plugins of /etc/cni/net.d that are in force: the first file by name, as the kubelet's runtime takes it. */
  readonly cni: { readonly file: string; readonly plugins: readonly string[] } | null;
  /** What kube-proxy answers to /proxyMode. */
  readonly proxyMode: string | null;
  /** TCP ports on which somebody listens. */
  readonly listening: ReadonlyMap<number, string> | null;
  /** Programs at the control groups' connect hooks, by name. */
  readonly connectPrograms: readonly string[] | null;
  /** Names of ipsets. */
  readonly sets: readonly string[] | null;
}

export interface Link {
  readonly name: string;
  /** `veth`, `bridge`, `dummy` and so on; empty for real devices. */
  readonly kind: string;
  /** The bridge or bond that it is part of; empty: none. */
  readonly master: string;
  readonly isUp: boolean;
  /** Addresses other than link-local ones of IPv6. */
  readonly addresses: readonly string[];
}

export interface RoutingRule {
  readonly family: 4 | 6;
  readonly priority: number;
  /** Null: whatever the mark. */
  readonly mark: { readonly value: number; readonly mask: number } | null;
  /** Everything else that it asks for, as `from 10.0.0.1`; empty: nothing. */
  readonly selector: string;
  readonly table: string;
  readonly isOurs: boolean;
}

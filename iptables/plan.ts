export type Family = 4 | 6;
export type Table = "raw" | "mangle" | "nat" | "filter";

/** One rule of a chain of ours. `id` is unique in its chain and names the rule in messages. */
export interface PlanRule {
  readonly id: string;
  /** Everything after `-A CHAIN`, the comment included. */
  readonly text: string;
}

export interface PlanChain {
  readonly table: Table;
  readonly name: string;
  readonly rules: readonly PlanRule[];
}

/** The one rule that leads from a chain of the kernel to one of ours; always the first there. */
export interface PlanJump {
  readonly table: Table;
  readonly from: string;
  readonly id: string;
  /** What to match, between chain name and comment. */
  readonly match: string;
  readonly to: string;
}

export interface SetDefinition {
  readonly name: string;
  /** Arguments of `ipset create` after the name. */
  readonly type: string;
  readonly purpose: string;
}

export interface FamilyPlan {
  readonly family: Family;
  readonly chains: readonly PlanChain[];
  readonly jumps: readonly PlanJump[];
  readonly sets: readonly SetDefinition[];
  /** TPROXY only: packets with the mark are looked up in a table that says "local". */
  readonly routing: RoutingPlan | null;
  /** REDIRECT beside kube-proxy's mode nftables only: what has to come before it is done by nft. */
  readonly early: EarlyPlan | null;
}

/** Base chains in a table of our own, and the commands of nft that make them. Their names hold the plan's hash. */
export interface EarlyPlan {
  readonly chains: readonly string[];
  readonly lines: readonly string[];
}

export interface RoutingPlan {
  /** Arguments after `ip -4|-6 rule add`. */
  readonly rule: readonly string[];
  /** Arguments after `ip -4|-6 route add`. */
  readonly route: readonly string[];
}

export interface Plan {
  /** Eight hex digits over all rules; part of every comment, so a changed spec is seen in the kernel. */
  readonly hash: string;
  readonly families: readonly FamilyPlan[];
}

/** Prefix of every chain that belongs to hostmesh. */
export const CHAIN_PREFIX = "HOSTMESH_";
/** Routing rules and routes of ours carry this protocol number, so that they are recognised after a crash. */
export const ROUTE_PROTOCOL = 151;
/** Before the source rules of cloud network plugins (AWS VPC CNI: 512 and up), which would win otherwise. */
export const RULE_PRIORITY = 80;

import { CHAIN_PREFIX, type PlanChain, type PlanJump, type Table } from "./plan.ts";

/** A rule before the plan's hash is known. */
export interface DraftRule {
  readonly id: string;
  readonly match: string;
  readonly target: string;
  readonly why: string;
}

export type DraftChain = Omit<PlanChain, "rules"> & { readonly rules: readonly DraftRule[] };

/** Chains, and the jumps that lead to them. */
export interface Parts {
  readonly chains: readonly DraftChain[];
  readonly jumps: readonly PlanJump[];
}

/** The first packet of a connection, and everything else. */
export const SYN = "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN";
export const NOT_SYN = "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN";

export function rule(id: string, match: string, target: string, why: string): DraftRule {
  return { id, match, target, why };
}

/** From a chain of the kernel to ours of that name. */
export function jump(table: Table, from: string, match: string): PlanJump {
  return { table, from, id: `jump-${table}-${from}`, match, to: CHAIN_PREFIX + from };
}

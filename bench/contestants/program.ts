import { findTool, type Tool } from "../lib/tools.ts";
import type { ProxyPlan } from "./relay.ts";

/** A proxy program other than hostmesh, which is told by one file what to do. */
export interface Program {
  readonly peer: "nginx" | "haproxy" | "envoy";
  readonly version: string;
  /** Ending of its configuration files. */
  readonly ending: string;
  config(plan: ProxyPlan): string;
  /** How it is started with that configuration; it stays in the foreground. */
  command(configFile: string, plan: ProxyPlan): string[];
}

/** Why a program cannot be used, and what to do about it. */
export interface Lack {
  readonly reason: string;
}

/** Finds a program of at least this version, as `2.4`. */
export async function findAtLeast(
  name: string,
  flag: string,
  { oldest, install }: { readonly oldest: string; readonly install: string },
): Promise<Tool | Lack> {
  const tool = await findTool(name, flag);
  if (tool === null) return { reason: `${name} is not installed: ${install}` };
  return lackOfVersion(tool, oldest) ?? tool;
}

/** What is wrong with the version of a program that was found, or null. */
export function lackOfVersion({ name, path, version }: Tool, oldest: string): Lack | null {
  if (!/^\d+\.\d+/.test(version)) {
    return { reason: `${path} does not tell its version: it is no ${name}, or it is broken` };
  }
  if (isAtLeast(version, oldest)) return null;
  return { reason: `${name} ${version} is too old: ${oldest} or later is needed` };
}

function isAtLeast(version: string, oldest: string): boolean {
  const [ours, theirs] = [version, oldest].map((text) => text.split(".").map(Number.parseFloat));
  const at = theirs?.findIndex((part, index) => part !== (ours?.[index] ?? 0)) ?? -1;
  return at === -1 || (ours?.[at] ?? 0) > (theirs?.[at] ?? 0);
}

import { readFileSync } from "node:fs";
import { ipv6Works } from "../iptables/interfaces.ts";
import type { Runner } from "../iptables/runner.ts";
import { execRunner } from "../iptables/runner.ts";
import type { CaptureSpec } from "../iptables/spec.ts";
import type { Config } from "../src/config/schema.ts";
import { StartError } from "./start-error.ts";
import type { CaptureMode } from "./worker-messages.ts";

export interface CaptureChoice {
  readonly mode: CaptureMode;
  /** False where the mode was a guess (`auto`): the explicit proxy will do if it fails. */
  readonly required: boolean;
  readonly ipv6: boolean;
  /** Why the mode is not what one may have hoped for; empty otherwise. */
  readonly reason: string;
}

/** What the choice depends on; the defaults ask this machine. */
export interface Machine {
  readonly platform: string;
  readonly uid: number;
  readonly runner: Runner;
}

/** Number of the capability (capabilities(7), linux/capability.h). */
const CAP_NET_ADMIN = 12n;

const BINARIES = [
  ["iptables", "-V"],
  ["iptables-restore", "-V"],
  ["ipset", "-v"],
  ["ip", "-V"],
] as const;

/** Decides how connections are captured. `auto` takes TPROXY where this machine can do it. */
export async function chooseCapture(
  { capture }: Pick<Config, "capture">,
  machine: Machine = thisMachine(),
): Promise<CaptureChoice> {
  const { mode } = capture;
  if (mode === "explicit") return { mode, required: true, ipv6: false, reason: "" };
  const reason = mode === "auto" ? await obstacle(machine) : "";
  if (reason !== "") return { mode: "explicit", required: true, ipv6: false, reason };
  const auto = capture.ipv6 === "auto";
  const ipv6 = capture.ipv6 === "on" || (auto && (await ipv6Works(machine.runner)));
  if (mode === "auto") return { mode: "tproxy", required: false, ipv6, reason: "" };
  return { mode, required: true, ipv6, reason: "" };
}

/**
 * Refuses a mode that was asked for by name and that this process has no right to, before anything starts.
 * `status` is the text of /proc/self/status, null where there is none.
 * @throws StartError
 */
export function refuseUnprivileged(
  { capture }: Pick<Config, "capture">,
  platform: string = process.platform,
  status: string | null = ownStatus(),
): void {
  const { mode } = capture;
  if (mode !== "tproxy" && mode !== "redirect") return;
  const remedy = "use --capture explicit, which needs no privilege";
  if (platform !== "linux") {
    throw new StartError(`capture.mode ${mode} needs Linux; this is ${platform}`, { remedy });
  }
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status ?? "")?.[1];
  if (effective === undefined || (BigInt(`0x${effective}`) >> CAP_NET_ADMIN) % 2n === 1n) return;
  throw new StartError(`capture.mode ${mode} needs root, or CAP_NET_ADMIN and CAP_NET_RAW`, {
    remedy: `run it with sudo, or ${remedy}`,
  });
}

function ownStatus(): string | null {
  return process.platform === "linux" ? readFileSync("/proc/self/status", "utf8") : null;
}

/** The capture as the rules need it, from settings and the ports that were really opened. */
export function captureSpec(
  config: Config,
  choice: { readonly mode: "tproxy" | "redirect"; readonly ipv6: boolean },
  ports: {
    readonly outbound: number;
    readonly inbound: number;
    readonly explicit: number;
    readonly mesh: number | null;
  },
): CaptureSpec {
  const { onDeath, excludePorts, excludeSubnets, mark, table, deadManMs } = config.capture;
  const verifySource = config.capture.verifySource === "on";
  const { admin, metrics, ready } = config.ports;
  const { port: registryPort, tlsPort } = config.registry;
  const own = [ports.outbound, ports.inbound, ports.explicit, ports.mesh, admin, metrics, ready];
  const proxyPorts = [...own, registryPort, tlsPort]
    .filter((port) => port !== null)
    .filter(Boolean);
  const settings = { onDeath, excludePorts, excludeSubnets, mark, table, deadManMs };
  const { outbound: outboundPort, inbound: inboundPort } = ports;
  return { ...choice, ...settings, outboundPort, inboundPort, proxyPorts, verifySource };
}

function thisMachine(): Machine {
  return {
    platform: process.platform,
    uid: process.getuid?.() ?? -1,
    runner: execRunner(),
  };
}

async function obstacle({ platform, uid, runner }: Machine): Promise<string> {
  if (platform !== "linux") return `transparent capture needs Linux; this is ${platform}`;
  if (uid !== 0) return "transparent capture needs root";
  for (const [command, flag] of BINARIES) {
    try {
      await runner.run(command, [flag]);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
  return "";
}

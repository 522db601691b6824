import { ipv6Works } from "../iptables/interfaces.ts";
import type { CaptureSpec } from "../iptables/rules.ts";
import type { Runner } from "../iptables/runner.ts";
import { execRunner } from "../iptables/runner.ts";
import type { Config } from "../src/config/schema.ts";
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

/** The capture as the rules need it, from settings and the ports that were really opened. */
export function captureSpec(
  config: Config,
  choice: { readonly mode: "tproxy" | "redirect"; readonly ipv6: boolean },
  ports: { readonly outbound: number; readonly explicit: number },
): CaptureSpec {
  const { onDeath, excludePorts, excludeSubnets, mark, table, deadManMs } = config.capture;
  const { admin, metrics, ready } = config.ports;
  const own = [ports.outbound, ports.explicit, admin, metrics, ready, config.registry.port];
  const proxyPorts = own.filter((port) => port !== 0);
  const settings = { onDeath, excludePorts, excludeSubnets, mark, table, deadManMs };
  return { ...choice, ...settings, outboundPort: ports.outbound, proxyPorts };
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

import { captureSpec, chooseCapture } from "../../daemon/capture-mode.ts";
import type { CaptureSpec } from "../../iptables/spec.ts";
import type { Config } from "../config/schema.ts";

/** May this process look at and change netfilter? */
export function isRootOnLinux(): boolean {
  return process.platform === "linux" && process.getuid?.() === 0;
}

/**
 * The rules that a daemon with these settings installs. `auto` means TPROXY here, whoever asks: what would be
 * installed can be printed by anybody. Null: the mode is explicit, there are none.
 */
export async function captureSpecOf(config: Config): Promise<CaptureSpec | null> {
  const mode = config.capture.mode === "auto" ? "tproxy" : config.capture.mode;
  if (mode === "explicit") return null;
  const choice = await chooseCapture({ capture: { ...config.capture, mode } });
  const { outbound, explicit } = config.ports;
  const { inboundPort: inbound, port: mesh } = config.mesh;
  const ports = { outbound, explicit, inbound, mesh: config.identity.mode === "off" ? null : mesh };
  return captureSpec(config, { mode, ipv6: choice.ipv6 }, ports);
}

import { install, uninstall } from "../../../../iptables/apply.ts";
import type { Runner } from "../../../../iptables/runner.ts";
import { execRunner } from "../../../../iptables/runner.ts";
import type { CaptureSpec } from "../../../../iptables/spec.ts";

/**
 * Installs the rules of both modes in a namespace that is thrown away: what the kernel, its modules and the tools can
 * do is best known by doing it. Null: no namespace can be made here.
 */
export async function tryCapture(
  spec: CaptureSpec,
  machine: Runner,
): Promise<{ tproxy: string; redirect: string } | null> {
  const name = `hostmesh-pre-${process.pid}`;
  try {
    await machine.run("ip", ["netns", "add", name]);
  } catch {
    return null;
  }
  try {
    const runner = execRunner(["ip", "netns", "exec", name]);
    // A local route needs its interface.
    await runner.run("ip", ["link", "set", "lo", "up"]);
    const attempt = async (mode: CaptureSpec["mode"]): Promise<string> => {
      try {
        await install({ ...spec, mode }, { runner });
        await uninstall(runner);
        return "";
      } catch (error) {
        // "capture was not installed, everything was undone: REASON"
        const text = error instanceof Error ? error.message : String(error);
        return text.replace(/^capture was not installed, [^:]*: /, "");
      }
    };
    return { tproxy: await attempt("tproxy"), redirect: await attempt("redirect") };
  } finally {
    await machine.run("ip", ["netns", "del", name]);
  }
}

import { install, uninstall } from "../iptables/apply.ts";
import { ipvsAddresses } from "../iptables/interfaces.ts";
import { forgetEnded } from "../iptables/leftovers.ts";
import type { CaptureSpec } from "../iptables/rules.ts";
import type { Runner } from "../iptables/runner.ts";
import { CommandError, execRunner } from "../iptables/runner.ts";
import { CaptureSets } from "../iptables/sets.ts";
import type { Log } from "../src/telemetry/log.ts";

/**
 * What the guardian needs of the capture rules. Calls never overlap. `sync` names all addresses whose
 * connections are captured; `refresh` puts the dead-man entry back to its full time; `assert` compares the
 * rules with what they should be and puts them back, true when something was missing.
 */
export interface Capture {
  install(workloads: readonly string[]): Promise<void>;
  sync(addresses: readonly string[]): Promise<void>;
  refresh(): Promise<void>;
  assert(): Promise<boolean>;
  uninstall(): Promise<void>;
}

/** The capture rules of this host. */
export function captureControl(
  spec: CaptureSpec,
  log: Log,
  runner: Runner = execRunner(),
): Capture {
  const sets = new CaptureSets(runner, spec);
  let known: readonly string[] = [];
  let refusedBefore = "";
  const warnOfKept = (reason: string) =>
    log.warn("connections that have just ended hold up clients that use their source port again", {
      reason,
    });
  const sync = async (addresses: readonly string[]) => {
    const now = new Set(addresses);
    const someLeft = known.some((address) => !now.has(address));
    known = addresses;
    const refused = await sets.syncWorkloads(addresses);
    if (someLeft && spec.mode === "tproxy") {
      // What is direct from now on would meet the sockets of connections that were captured.
      await forgetEnded(runner).catch((error: unknown) => {
        if (!(error instanceof CommandError)) throw error;
        warnOfKept(error.message);
      });
    }
    const text = refused.map((one) => `${one.address} (${one.interface})`).join(", ");
    if (text !== refusedBefore && text !== "") {
      log.warn("not captured: REDIRECT needs an address on the interface of a workload", { text });
    }
    refusedBefore = text;
  };
  return {
    async install(workloads) {
      known = workloads;
      await install(spec, { runner, workloads });
      await sets.syncVirtualAddresses(await ipvsAddresses(runner));
    },
    sync,
    refresh: () => sets.refreshAlive(),
    async assert() {
      const steps = await install(spec, { runner });
      await sets.syncVirtualAddresses(await ipvsAddresses(runner));
      if (steps.length > 0) await sync(known);
      return steps.length > 0;
    },
    async uninstall() {
      await uninstall(runner, warnOfKept);
    },
  };
}

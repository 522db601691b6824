import { install, uninstall } from "../iptables/apply.ts";
import { ipvsAddresses } from "../iptables/interfaces.ts";
import { forgetEnded } from "../iptables/leftovers.ts";
import type { Runner } from "../iptables/runner.ts";
import { CommandError, execRunner } from "../iptables/runner.ts";
import { CaptureSets } from "../iptables/sets.ts";
import type { CaptureSpec } from "../iptables/spec.ts";
import type { Log } from "../src/telemetry/log.ts";

/** Addresses of local workloads. */
export interface CapturedAddresses {
  /** Whose connections are captured. */
  readonly workloads: readonly string[];
  /** Those of them to which plaintext from outside is captured too. */
  readonly guarded: readonly string[];
}

export const NO_ADDRESSES: CapturedAddresses = { workloads: [], guarded: [] };

/**
 * What the guardian needs of the capture rules. Calls never overlap. `sync` names all addresses that are
 * captured; `refresh` puts the dead-man entry back to its full time; `assert` compares the
 * rules with what they should be and puts them back, true when something was missing. `release` is the first
 * half of a stop: connections that are captured go on, new ones go direct.
 */
export interface Capture {
  install(addresses: CapturedAddresses): Promise<void>;
  sync(addresses: CapturedAddresses): Promise<void>;
  refresh(): Promise<void>;
  assert(): Promise<boolean>;
  release(): Promise<void>;
  uninstall(): Promise<void>;
}

/** The capture rules of this host. */
export function captureControl(
  spec: CaptureSpec,
  log: Log,
  runner: Runner = execRunner(),
): Capture {
  const sets = new CaptureSets(runner, spec);
  let known = NO_ADDRESSES;
  let refusedBefore = "";
  const warnOfKept = (reason: string) =>
    log.warn("connections that have just ended hold up clients that use their source port again", {
      reason,
    });
  /** What is direct from now on would meet the sockets of connections that were captured. */
  const forget = async () => {
    if (spec.mode !== "tproxy") return;
    await forgetEnded(runner).catch((error: unknown) => {
      if (!(error instanceof CommandError)) throw error;
      warnOfKept(error.message);
    });
  };
  const sync = async (addresses: CapturedAddresses) => {
    const now = new Set(addresses.workloads);
    const someLeft = known.workloads.some((address) => !now.has(address));
    known = addresses;
    // Guarded first: what leaves both may not be taken for an outsider by those that are still guarded.
    await sets.syncGuarded(addresses.guarded);
    const refused = await sets.syncWorkloads(addresses.workloads);
    if (someLeft) await forget();
    const text = refused.map((one) => `${one.address} (${one.interface})`).join(", ");
    if (text !== refusedBefore && text !== "") {
      const reason = refused[0]?.reason ?? "";
      log.warn("not captured: the mode does not suit the interfaces", { text, reason });
    }
    refusedBefore = text;
  };
  return {
    async install(addresses) {
      known = addresses;
      await install(spec, { runner, workloads: addresses.workloads });
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
    async release() {
      // The sets stay: by them answers of connections that go on are kept from NAT.
      await install({ ...spec, onDeath: "open" }, { runner });
      await sets.expireAlive();
      await forget();
    },
    async uninstall() {
      await uninstall(runner, warnOfKept);
    },
  };
}

import type { CaptureSpec } from "../../../iptables/spec.ts";
import { check } from "../../../iptables/validate.ts";
import { type CheckGroup, failure, ok } from "./finding.ts";

/** Rules, dead-man set and a proof by connection, as lines of a check. */
export function captureGroup(spec: CaptureSpec, connect: boolean): CheckGroup {
  return {
    title: `capture (${spec.mode})`,
    async run() {
      const { steps } = await check(spec, { connect });
      return steps.map(({ name, ok: good, detail }) =>
        good ? ok(`${name}: ${detail}`) : failure(`${name}: ${detail}`, remedyOf(name)),
      );
    },
  };
}

function remedyOf(name: string): string {
  if (name.startsWith("dead-man"))
    return "Start the daemon with `hostmesh up` or `hostmesh daemon`.";
  if (name.startsWith("connection")) {
    return "Mend what is named above first; then look for rules of others that come earlier.";
  }
  if (name.startsWith("probe"))
    return "Run as root with `ip`, and see `hostmesh check` for what is missing.";
  return "Repair it with `hostmesh iptables install`; `hostmesh iptables print` shows what that does.";
}

import type { Config } from "../../config/schema.ts";
import { type AdminFlag, adminUrl } from "../admin.ts";
import { captureSpecOf, isRootOnLinux } from "../capture.ts";
import { namesCapture, runningConfig } from "../running-daemon.ts";
import type { SettingsFlags } from "../settings-options.ts";
import { captureGroup } from "./capture-group.ts";
import { daemonGroup } from "./daemon-group.ts";
import { type CheckGroup, skipped } from "./finding.ts";
import { hostGroup } from "./host-group.ts";
import { lossesGroup } from "./losses-group.ts";
import { meshGroups } from "./mesh/mesh-groups.ts";
import { registryGroup, servicesGroup } from "./registry-group.ts";

/** Everything that `hostmesh check` looks at on a host that runs, or is to run, a daemon. */
export async function checkGroups(
  config: Config,
  flags: SettingsFlags & AdminFlag,
): Promise<CheckGroup[]> {
  const admin = adminUrl(flags, config);
  const running = await runningConfig(admin);
  const actual = running === null || namesCapture(flags) ? config : running;
  const spec = await captureSpecOf(actual);
  const root = isRootOnLinux();
  const capture = spec !== null && (root || actual.capture.mode !== "auto");
  return [
    registryGroup(config),
    daemonGroup(admin),
    hostGroup(actual, { capture, running: running !== null }),
    !capture
      ? explained("capture", "not used: the mode is explicit, or auto without root on Linux")
      : root
        ? captureGroup(spec, running !== null)
        : explained("capture", `${spec.mode}: only root can look at the rules; try sudo`),
    lossesGroup(actual.ports.metrics),
    servicesGroup(config),
    ...meshGroups(config),
  ];
}

/** A group that could not be looked at here, and why. */
export function explained(title: string, text: string): CheckGroup {
  return { title, run: () => Promise.resolve([skipped(text)]) };
}

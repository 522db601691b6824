import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { release } from "node:os";
import { execRunner } from "../../../iptables/runner.ts";
import type { Config } from "../../config/schema.ts";
import { clockFinding } from "./clock.ts";
import { type CheckGroup, type Finding, failure, ok, skipped, warning } from "./finding.ts";
import { portOwners } from "./listeners.ts";

const BINARIES: readonly (readonly [command: string, flag: string])[] = [
  ["iptables", "-V"],
  ["iptables-restore", "-V"],
  ["ip6tables", "-V"],
  ["ipset", "-v"],
  ["ip", "-V"],
];
/** What TPROXY capture needs of the kernel. */
const MODULES = ["xt_TPROXY", "xt_socket", "xt_set", "ip_set_hash_ip", "ip_set_hash_net", "xt_CT"];

/** Binaries, kernel modules, ports and the clock of this host. */
export function hostGroup(
  config: Config,
  options: { capture: boolean; running: boolean },
): CheckGroup {
  return {
    title: "host",
    async run() {
      return [
        ...(options.capture ? await captureFindings() : []),
        ...(await portFindings(config, options.running)),
        await clockFinding(config),
      ];
    },
  };
}

async function captureFindings(): Promise<Finding[]> {
  const runner = execRunner();
  const missing: string[] = [];
  for (const [command, flag] of BINARIES) {
    await runner.run(command, [flag]).catch(() => missing.push(command));
  }
  const binaries =
    missing.length === 0
      ? ok(`${BINARIES.map(([command]) => command).join(", ")} are installed`)
      : failure(
          `not found or not working: ${missing.join(", ")}`,
          "Install the packages iptables, ipset and iproute2.",
        );
  return [binaries, await modulesFinding()];
}

async function modulesFinding(): Promise<Finding> {
  const folder = `/lib/modules/${release()}`;
  if (!existsSync(folder)) return skipped(`kernel modules: there is no ${folder} to look at`);
  const loaded = await readFile("/proc/modules", "utf8").catch(() => "");
  const available = await readFile(`${folder}/modules.builtin`, "utf8").catch(() => "");
  const loadable = await readFile(`${folder}/modules.dep`, "utf8").catch(() => "");
  const missing = MODULES.filter(
    (name) =>
      !loaded.includes(`${name} `) &&
      ![available, loadable].some((text) => text.includes(`/${name}.ko`)),
  );
  if (missing.length === 0) return ok(`kernel modules for capture are there (${release()})`);
  return warning(
    `kernel modules not found: ${missing.join(", ")}`,
    "Install the kernel's extra modules, or use --capture redirect or explicit.",
  );
}

/** With a daemon, the ports are its own; without one they must be free. */
async function portFindings(config: Config, running: boolean): Promise<Finding[]> {
  const { explicit, outbound, admin, metrics, ready } = config.ports;
  const ports = Object.entries({ explicit, outbound, admin, metrics, ready }).filter(
    ([, port]) => port !== 0,
  );
  const owners = await portOwners(ports.map(([, port]) => port));
  if (owners === null) return [skipped("ports: only Linux tells who listens where")];
  if (running) {
    const used = ports.flatMap(([, port]) => (owners.has(port) ? [`${port}`] : []));
    return [ok(`the daemon listens on ${used.join(", ")}`)];
  }
  const taken = ports.filter(([, port]) => owners.has(port));
  if (taken.length === 0) return [ok(`ports ${ports.map(([, port]) => port).join(", ")} are free`)];
  return taken.map(([name, port]) =>
    failure(
      `port ${port} (ports.${name}) is used by ${owners.get(port)}`,
      `Stop it, or choose another port with --set ports.${name}=PORT.`,
    ),
  );
}

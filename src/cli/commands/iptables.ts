import { setTimeout as delay } from "node:timers/promises";
import { Command, InvalidArgumentError } from "commander";
import { captureOwner } from "../../../daemon/capture-owner.ts";
import { dryRunText, install, uninstall } from "../../../iptables/apply.ts";
import { BARE_HOST, readLive } from "../../../iptables/live.ts";
import { execRunner } from "../../../iptables/runner.ts";
import type { CaptureSpec } from "../../../iptables/spec.ts";
import type { Config } from "../../config/schema.ts";
import { parseGoDuration } from "../../registry/duration.ts";
import { type AdminFlag, addAdminOption, adminUrl, DAEMON_REMEDY } from "../admin.ts";
import { captureSpecOf, isRootOnLinux } from "../capture.ts";
import { captureGroup } from "../check/capture-group.ts";
import { printGroup, runChecks, summary } from "../check/run-checks.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { httpJson } from "../http-json.ts";
import { knownWorkloads } from "../known-workloads.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printStructured } from "../print-data.ts";
import { namesCapture, runningConfig } from "../running-daemon.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface InstallFlags extends SettingsFlags {
  readonly workload?: readonly string[];
  readonly force?: boolean;
}

const MAX_WAIT_MS = 600_000;

/** `hostmesh iptables`. */
export function iptablesCommand(output: TerminalOutput, onExit: (code: number) => void): Command {
  const command = new Command("iptables").summary(
    "install, remove, give back, print and check capture rules",
  );
  command.addCommand(installCommand(output));
  command.addCommand(uninstallCommand(output));
  command.addCommand(releaseCommand(output));
  command.addCommand(printCommand(output));
  command.addCommand(checkCommand(output, onExit));
  return describeCommand(command, {
    examples: ["hostmesh iptables print", "sudo hostmesh iptables check"],
    notes: [
      "The daemon installs and removes its rules by itself; these commands are for a look and for repair.",
    ],
    exitCodes: "3 check found a problem",
  });
}

function installCommand(output: TerminalOutput): Command {
  const command = new Command("install")
    .summary("put the capture rules in place")
    .description(
      "Installs the rules, in one transaction a table, or repairs them; does nothing where all is in place. Nothing is captured before a daemon refreshes the dead-man set.",
    )
    .option("--workload <address...>", "workloads whose interfaces have to suit the mode")
    .option("--force", "install although a running daemon was told something else")
    .action(async (flags: InstallFlags) => {
      requireRoot("install rules");
      const own = readSettings(flags);
      const running = await runningConfig(adminUrl({}, own));
      if (flags.force !== true) await refuseOtherRules(flags, running);
      const config = namesCapture(flags) ? own : (running ?? own);
      const spec = await specOf(config);
      const { addresses, origin } = await knownWorkloads(config, flags.workload);
      const steps = await install(spec, { workloads: addresses });
      output.line(
        origin === null
          ? "no workload could be looked at: no daemon and no registry answers (--workload names some)"
          : `the interfaces of ${addresses.length} workload addresses suit ${spec.mode} (${origin})`,
      );
      output.line(
        steps.length === 0 ? "everything was in place" : `installed in ${steps.length} steps`,
      );
    });
  addSettingsOptions(command, ["capture"]);
  return describeCommand(command, {
    examples: [
      "sudo hostmesh iptables install",
      "sudo hostmesh iptables install --capture redirect --on-death closed",
      "sudo hostmesh iptables install --capture redirect --workload 10.0.0.5 10.0.0.6",
    ],
    notes: [
      "While a daemon captures, its own rules are repaired; other settings are refused without --force. Where the interface of a workload does not suit the mode, nothing is installed.",
    ],
  });
}

/** The daemon puts its own rules back within half a minute; until then they would contradict it. */
async function refuseOtherRules(flags: InstallFlags, running: Config | null): Promise<void> {
  const owner = await captureOwner();
  if (owner === null || (running !== null && !namesCapture(flags))) return;
  throw new CliError(`${owner} captures on this host, with rules of its own`, {
    remedy:
      running === null
        ? "its admin API does not answer, so what it was told is not known; --force installs all the same"
        : "leave out the options to repair its rules, or stop it first; --force installs all the same",
  });
}

function uninstallCommand(output: TerminalOutput): Command {
  const command = new Command("uninstall")
    .summary("remove every rule of hostmesh")
    .description(
      "Removes chains, sets, routing rules and routes of hostmesh, whatever version or settings made them.",
    )
    .option("--force", "remove them although a daemon captures with them")
    .action(async (flags: { force?: boolean }) => {
      requireRoot("remove rules");
      const owner = flags.force === true ? null : await captureOwner();
      if (owner !== null) {
        throw new CliError(`${owner} captures on this host with these rules`, {
          remedy:
            "stop it, and it removes them itself; --force removes them now, and it puts them back within half a minute",
        });
      }
      const steps = await uninstall();
      output.line(
        steps.length === 0 ? "nothing was installed" : `removed in ${steps.length} steps`,
      );
    });
  return describeCommand(command, {
    examples: ["sudo hostmesh iptables uninstall", "sudo hostmesh iptables uninstall --force"],
    notes: ["Refuses while a daemon captures: it removes its rules itself when it stops."],
  });
}

interface ReleaseFlags extends SettingsFlags, AdminFlag {
  readonly wait: number;
}

function releaseCommand(output: TerminalOutput): Command {
  const command = new Command("release")
    .summary("have the daemon give its capture back, before it is stopped")
    .description(
      "Tells the running daemon to capture no new connections: they go direct. Those that are captured go on, and other hosts and users of the explicit proxy are still served, but the daemon says that it is not ready, so that they turn elsewhere. It cannot be taken back: stop the daemon then.",
    )
    .option("--wait <duration>", "then wait, so that others turn elsewhere", parseWait, 0)
    .action(async (flags: ReleaseFlags) => {
      const url = `${adminUrl(flags, readSettings(flags))}/release`;
      await httpJson({ method: "POST", url, peer: "the daemon", remedy: DAEMON_REMEDY });
      await delay(flags.wait);
      output.line("capture is given back: new connections go direct");
    });
  addSettingsOptions(addAdminOption(command), []);
  return describeCommand(command, {
    examples: ["hostmesh iptables release --wait 5s && systemctl stop hostmesh-daemon"],
  });
}

function parseWait(text: string): number {
  const ms = parseGoDuration(text);
  if (ms !== null && ms <= MAX_WAIT_MS) return ms;
  throw new InvalidArgumentError("Expected a duration of up to 10 minutes, such as 5s.");
}

function printCommand(output: TerminalOutput): Command {
  const command = new Command("print")
    .summary("print what install would do")
    .description(
      "Prints the exact commands, to read or to paste into a root shell. As root: those that this host still needs; for anybody else, or with --all, those for a host without any rule of hostmesh.",
    )
    .option("--all", "print everything, also what is in place already")
    .action(async (flags: SettingsFlags & { all?: boolean }) => {
      const spec = await specFor(flags);
      const look = flags.all !== true && isRootOnLinux();
      const live = look
        ? await readLive(execRunner(), spec.ipv6 ? "required" : "if-any")
        : BARE_HOST;
      output.write(dryRunText(spec, live));
    });
  addSettingsOptions(command, ["capture"]);
  return describeCommand(command, {
    examples: ["hostmesh iptables print", "hostmesh iptables print --all --capture redirect"],
  });
}

function checkCommand(output: TerminalOutput, onExit: (code: number) => void): Command {
  const command = new Command("check")
    .summary("compare the rules with the plan and prove capture")
    .description(
      "Names every rule that is missing, misplaced or foreign, and opens a real connection from a throw-away container to prove that it is captured. Leaves the host as it was. What is expected is what the running daemon was told, unless options say otherwise.",
    )
    .option("--no-connect", "compare only, and open no connection")
    .action(async (flags: SettingsFlags & FormatFlag & { connect: boolean }) => {
      requireRoot("look at rules");
      const config = readSettings(flags);
      const running = namesCapture(flags) ? null : await runningConfig(adminUrl({}, config));
      const spec = await specOf(running ?? config);
      const group = captureGroup(spec, flags.connect);
      const results = await runChecks([group], () => {});
      if (flags.output === "table") {
        for (const result of results) printGroup(output, result);
        output.line(summary(results).text);
      } else printStructured(output, flags.output, results);
      if (!summary(results).healthy) onExit(EXIT.problem);
    });
  addSettingsOptions(addOutputOption(command), ["capture"]);
  return describeCommand(command, {
    examples: ["sudo hostmesh iptables check", "sudo hostmesh iptables check --no-connect -o json"],
    exitCodes: "3 a problem was found",
  });
}

function specFor(flags: SettingsFlags): Promise<CaptureSpec> {
  return specOf(readSettings(flags));
}

async function specOf(config: Config): Promise<CaptureSpec> {
  const spec = await captureSpecOf(config);
  if (spec !== null) return spec;
  throw new CliError("capture.mode is explicit: there are no rules", {
    exitCode: EXIT.usage,
    remedy: "name a mode with --capture tproxy or --capture redirect",
  });
}

function requireRoot(what: string): void {
  if (isRootOnLinux()) return;
  throw new CliError(`only root on Linux may ${what}`, { remedy: "run it with sudo" });
}

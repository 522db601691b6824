import { Command } from "commander";
import { packageVersion } from "../../daemon/package-version.ts";
import { analyzeCommand } from "./commands/analyze.ts";
import { applyCommand } from "./commands/apply.ts";
import { benchCommand } from "./commands/bench.ts";
import { bugReportCommand } from "./commands/bug-report.ts";
import { checkCommand } from "./commands/check.ts";
import { completionCommand } from "./commands/completion.ts";
import { configCommand } from "./commands/config.ts";
import { daemonCommand } from "./commands/daemon.ts";
import { dashboardCommand } from "./commands/dashboard.ts";
import { deleteCommand } from "./commands/delete.ts";
import { describeThingCommand } from "./commands/describe.ts";
import { diffCommand } from "./commands/diff.ts";
import { edgesCommand } from "./commands/edges.ts";
import { explainCommand } from "./commands/explain.ts";
import { getCommand } from "./commands/get.ts";
import { historyCommand } from "./commands/history.ts";
import { identityCommand } from "./commands/identity.ts";
import { installCommand } from "./commands/install.ts";
import { iptablesCommand } from "./commands/iptables.ts";
import { logLevelCommand } from "./commands/log-level.ts";
import { proxyStatusCommand } from "./commands/proxy-status.ts";
import { registryCommand } from "./commands/registry.ts";
import { rollbackCommand } from "./commands/rollback.ts";
import { routesCommand } from "./commands/routes.ts";
import { serviceCommand } from "./commands/service.ts";
import { statCommand } from "./commands/stat.ts";
import { tapCommand } from "./commands/tap.ts";
import { topCommand } from "./commands/top.ts";
import { uninstallCommand } from "./commands/uninstall.ts";
import { upCommand } from "./commands/up.ts";
import { upgradeCommand } from "./commands/upgrade.ts";
import { versionCommand } from "./commands/version.ts";
import { workloadCommand } from "./commands/workload.ts";
import { type DaemonRunner, runDaemonHere } from "./daemon-start.ts";
import type { TerminalOutput } from "./terminal-output.ts";

const AFTER = `
Examples:
  $ hostmesh up --demo                                everything at once, with a demo application
  $ hostmesh service register catalog --port 8080     tell the mesh of a program of yours
  $ curl -x http://127.0.0.1:4140 http://catalog/     and call it
  $ hostmesh stat -w                                  watch it

Exit codes:
  0  ok
  1  failure: what was asked for could not be done; hostmesh diff: there is a difference
  2  wrong usage or invalid settings; nothing was done
  3  hostmesh check, hostmesh iptables check: a problem was found
  65, 79  hostmesh analyze: a file cannot be read; something was found
  128 and the number of the signal: hostmesh bench was broken off (Ctrl-C: 130)`;

/**
 * The whole command line. `onExit` takes the exit code of commands that end with one of their own, `runDaemon` the settings
 * of `hostmesh daemon`.
 */
export function buildProgram(
  output: TerminalOutput,
  errors: TerminalOutput,
  onExit: (code: number) => void,
  runDaemon: DaemonRunner = runDaemonHere,
): Command {
  const program = new Command("hostmesh")
    .description("A service mesh with one proxy per host.")
    .version(packageVersion(), "-V, --version", "print the version")
    .option("--debug", "show stack and causes of an error")
    .addHelpText("after", AFTER);
  for (const command of [
    upCommand(onExit),
    daemonCommand(onExit, runDaemon),
    registryCommand(onExit),
    serviceCommand(output),
    workloadCommand(output),
    applyCommand(output, errors),
    getCommand(output),
    deleteCommand(output, errors),
    diffCommand(output, errors, onExit),
    analyzeCommand(output, onExit),
    historyCommand(output),
    rollbackCommand(output, errors),
    statCommand(output, errors),
    topCommand(output, errors),
    tapCommand(output, errors),
    logLevelCommand(output),
    routesCommand(output, errors),
    edgesCommand(output, errors),
    proxyStatusCommand(output, errors),
    checkCommand(output, onExit),
    explainCommand(output, errors),
    describeThingCommand(output),
    bugReportCommand(output, errors),
    dashboardCommand(output, errors),
    identityCommand(output),
    iptablesCommand(output, onExit),
    installCommand(output, errors),
    upgradeCommand(output, errors, onExit),
    uninstallCommand(output),
    configCommand(output, onExit),
    benchCommand(output, errors, onExit),
    completionCommand(output),
    versionCommand(output),
  ]) {
    program.addCommand(command);
  }
  configure(program, output, errors);
  return program;
}

/** Errors of usage are thrown instead of ending the process, with a pointer to the help of their command. */
function configure(command: Command, output: TerminalOutput, errors: TerminalOutput): void {
  command
    .exitOverride()
    .showHelpAfterError(`(run \`${pathOf(command)} --help\` for usage and examples)`)
    .configureOutput({
      writeOut: output.write,
      writeErr: errors.write,
      getOutHelpWidth: () => helpWidth(output),
      getErrHelpWidth: () => helpWidth(errors),
      getOutHasColors: () => output.color,
      getErrHasColors: () => errors.color,
    });
  for (const child of command.commands) configure(child, output, errors);
}

/** Help is prose: it is wrapped in a pipe too, and not wider than it reads well. */
function helpWidth(output: TerminalOutput): number {
  return Math.min(output.isTerminal ? output.width() : 80, 100);
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

#!/usr/bin/env node
import { isDaemonCommand, slimDaemon } from "./slim-daemon.ts";
import { terminalOutput } from "./terminal-output.ts";

const args = process.argv.slice(2);
const output = terminalOutput(process.stdout, process.env);
const errors = terminalOutput(process.stderr, process.env);

/** The commands are loaded only where they are needed: the daemon would keep them for as long as it runs. */
async function runCommand(): Promise<number> {
  const { runCli } = await import("./run-cli.ts");
  return runCli(args, output, errors);
}

// Writes to terminals, files and (on POSIX) pipes are complete when they return, so ending here loses nothing,
// and a kept-alive connection does not hold the command open.
process.exit(await (isDaemonCommand(args) ? slimDaemon(args, errors) : runCommand()));

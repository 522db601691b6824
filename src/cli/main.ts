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

/** Pipes are written in the background: what a reader has not taken yet would be lost at the end. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write("", () => resolve());
  });
}

const code = await (isDaemonCommand(args) ? slimDaemon(args, errors) : runCommand());
await Promise.all([written(process.stdout), written(process.stderr)]);
// A kept-alive connection must not hold the command open.
process.exit(code);

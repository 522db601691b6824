#!/usr/bin/env node
import { runCli } from "./run-cli.ts";
import { terminalOutput } from "./terminal-output.ts";

const output = terminalOutput(process.stdout, process.env);
const errors = terminalOutput(process.stderr, process.env);

// Writes to terminals, files and (on POSIX) pipes are complete when they return, so ending here loses nothing,
// and a kept-alive connection does not hold the command open.
process.exit(await runCli(process.argv.slice(2), output, errors));

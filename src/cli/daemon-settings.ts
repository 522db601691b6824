import type { DaemonStart } from "./daemon-start.ts";
import { runCli } from "./run-cli.ts";
import { terminalOutput } from "./terminal-output.ts";

/**
 * A process that reads the command line of `hostmesh daemon` for the one that started it, and ends: everything that it
 * takes to read settings goes with it. Help and errors are printed here; settings that can be used are sent.
 */
const output = terminalOutput(process.stdout, process.env);
const errors = terminalOutput(process.stderr, process.env);

function send(start: DaemonStart): Promise<number> {
  return new Promise((resolve, reject) => {
    if (process.send === undefined) throw new Error("this script has nobody to send settings to");
    process.send(start, undefined, undefined, (error) => (error ? reject(error) : resolve(0)));
  });
}

process.exit(await runCli(process.argv.slice(2), output, errors, send));

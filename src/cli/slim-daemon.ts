import { spawn } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { CliError } from "./cli-error.ts";
import { type DaemonStart, runDaemonHere } from "./daemon-start.ts";
import { reportError } from "./report-error.ts";
import type { TerminalOutput } from "./terminal-output.ts";

const READER = fileURLToPath(
  new URL(`./daemon-settings${extname(import.meta.url)}`, import.meta.url),
);

/** Is this the command line of `hostmesh daemon`? The options that may stand before a command have no values. */
export function isDaemonCommand(args: readonly string[]): boolean {
  return args.find((arg) => !arg.startsWith("-")) === "daemon";
}

/**
 * `hostmesh daemon` in a process that stays for months: its command line is read by another one, so that neither the
 * parser nor the schema of the settings stays in memory. Resolves with the exit code; errors have been printed.
 */
export async function slimDaemon(args: readonly string[], errors: TerminalOutput): Promise<number> {
  try {
    const { start, code } = await readStart(args);
    return start === null ? code : await runDaemonHere(start);
  } catch (reason) {
    return reportError(reason, errors, args.includes("--debug"));
  }
}

/** `start` is null where the command line asks for help or cannot be used, which the reader has said. */
function readStart(
  args: readonly string[],
): Promise<{ readonly start: DaemonStart | null; readonly code: number }> {
  return new Promise((resolve, reject) => {
    let start: DaemonStart | null = null;
    const reader = spawn(process.execPath, [...process.execArgv, READER, ...args], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    reader.on("message", (message) => {
      start = message as DaemonStart;
    });
    reader.on("error", (cause) =>
      reject(new CliError("the process that reads the settings did not start", { cause })),
    );
    // After the last message, which "exit" may precede.
    reader.on("close", (code, signal) => {
      if (code !== null) resolve({ start, code });
      else reject(new CliError(`the process that reads the settings was ended by ${signal}`));
    });
  });
}

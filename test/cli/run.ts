import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { runCli as runInThisProcess } from "../../src/cli/run-cli.ts";
import type { TerminalOutput } from "../../src/cli/terminal-output.ts";

/** The program as users run it. */
export const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `hostmesh` with these arguments, without a terminal and with only these variables. */
export async function runCli(
  args: readonly string[],
  options: { env?: Record<string, string>; input?: string } = {},
): Promise<CliResult> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent", ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  const code = new Promise<number | null>((resolve) => child.once("close", resolve));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await code, stdout, stderr };
}

/** The same in this process, without the time that a process takes to start. */
export async function runCliHere(args: readonly string[], width?: number): Promise<CliResult> {
  const [stdout, stderr] = [collector(width), collector(width)];
  const code = await runInThisProcess(args, stdout.output, stderr.output);
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

function collector(width?: number): { output: TerminalOutput; text: () => string } {
  let collected = "";
  const write = (part: string): void => {
    collected += part;
  };
  const output = {
    color: false,
    isTerminal: width !== undefined,
    width: () => width ?? Number.POSITIVE_INFINITY,
    line: (line: string) => write(`${line}\n`),
    write,
  };
  return { output, text: () => collected };
}

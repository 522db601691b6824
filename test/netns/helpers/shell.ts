import { execFile, execFileSync, spawnSync } from "node:child_process";

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end and resolves with what it said, whatever its exit code. */
export function run(
  command: string,
  args: readonly string[],
  { stdin = "", timeoutMs = 20_000 }: { stdin?: string; timeoutMs?: number } = {},
): Promise<Output> {
  return new Promise((resolve) => {
    const child = execFile(
      command,
      [...args],
      { timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
        resolve({ code, stdout, stderr: stderr === "" ? (error?.message ?? "") : stderr });
      },
    );
    child.stdin?.on("error", () => child.stdin?.destroy());
    child.stdin?.end(stdin);
  });
}

/** As `run`, but a failure throws with the command and what it said. Resolves with standard output. */
export async function must(
  command: string,
  args: readonly string[],
  stdin?: string,
): Promise<string> {
  const output = await run(command, args, stdin === undefined ? {} : { stdin });
  if (output.code !== 0) {
    throw new Error(`${command} ${args.join(" ")}: exit ${output.code}: ${output.stderr}`);
  }
  return output.stdout;
}

/** For exit handlers, in which nothing can be awaited. Says whether it worked. */
export function runSync(command: string, args: readonly string[]): boolean {
  return spawnSync(command, [...args], { stdio: "ignore" }).status === 0;
}

/** Standard output of a command in an exit handler; empty where it fails. */
export function outputSync(command: string, args: readonly string[]): string {
  try {
    return execFileSync(command, [...args], { stdio: ["ignore", "pipe", "ignore"] }).toString();
  } catch {
    return "";
  }
}

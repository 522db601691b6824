import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Runs `ip` with these arguments and gives its output; throws with the command line and what `ip` said. */
export async function ipCommand(args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run("ip", [...args], { timeout: 10_000 });
    return stdout;
  } catch (reason) {
    const said =
      reason instanceof Error && "stderr" in reason ? String(reason.stderr).trim() : String(reason);
    throw new Error(`ip ${args.join(" ")}: ${said}`, { cause: reason });
  }
}

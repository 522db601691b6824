import { execFile } from "node:child_process";
import { realpath } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TIMEOUT_MS = 5_000;

/**
 * Commit of the checkout that this runs from, with `-dirty` where the code differs from it. `unknown` for the built
 * package, which may lie in somebody else's repository.
 */
export async function commitOfCheckout(root = ROOT): Promise<string> {
  const git = async (...args: string[]) =>
    (await promisify(execFile)("git", args, { cwd: root, timeout: TIMEOUT_MS })).stdout.trim();
  try {
    const top = await git("rev-parse", "--show-toplevel");
    if ((await realpath(top)) !== (await realpath(root))) return "unknown";
    const commit = await git("rev-parse", "--short=12", "HEAD");
    const changes = await git("status", "--porcelain", "--", "src", "daemon", "bench");
    return changes === "" ? commit : `${commit}-dirty`;
  } catch {
    // No git, or no repository.
    return "unknown";
  }
}

import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import type { Command } from "commander";
import { CliError } from "./cli-error.ts";

/** Which cluster is meant; absent: the one that kubectl would take. */
export interface ClusterFlags {
  readonly kubeconfig?: string;
  readonly context?: string;
}

export interface KubectlResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function addClusterOptions(command: Command): Command {
  return command
    .option("--kubeconfig <file>", "kubeconfig (default: kubectl's own)")
    .option("--context <name>", "context in it");
}

/** Which cluster is meant, in kubectl's words. */
export function clusterArgs({ kubeconfig, context }: ClusterFlags): string[] {
  return [
    ...(kubeconfig === undefined ? [] : ["--kubeconfig", kubeconfig]),
    ...(context === undefined ? [] : ["--context", context]),
  ];
}

/**
 * Runs kubectl, which applies the manifests anyway: so there is one place that knows how to reach the cluster.
 * @throws CliError where it is not installed.
 */
export async function kubectl(
  flags: ClusterFlags,
  args: readonly string[],
  input = "",
): Promise<KubectlResult> {
  const all = [...clusterArgs(flags), ...args];
  const child = spawn("kubectl", all, { stdio: ["pipe", "pipe", "pipe"] });
  const code = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  // It may end without having read all, and says why.
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  try {
    const [stdout, stderr, exit] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      code,
    ]);
    return { code: exit, stdout, stderr };
  } catch (cause) {
    throw new CliError("kubectl could not be started", {
      remedy: "install kubectl: the same is needed to apply what is printed",
      cause,
    });
  }
}

/** The output of a call that has to succeed. */
export async function kubectlOutput(
  flags: ClusterFlags,
  args: readonly string[],
  input?: string,
): Promise<string> {
  const { code, stdout, stderr } = await kubectl(flags, args, input);
  if (code === 0) return stdout;
  throw new CliError(`kubectl ${args.join(" ")} failed: ${stderr.trim()}`);
}

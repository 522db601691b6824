import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { CliError } from "./cli-error.ts";
import { type ClusterFlags, clusterArgs } from "./kubectl.ts";

export interface PortForward {
  /** On 127.0.0.1. */
  readonly port: number;
  /** Resolves when kubectl has ended, with its last words. */
  readonly ended: Promise<string>;
  close(): void;
}

/** Text of errors that is kept. */
const MAX_CHARACTERS = 2_000;

/**
 * Has kubectl lead a free port of this host to one of an object, such as `deployment/hostmesh-registry`. Resolves when
 * it listens.
 * @throws CliError where kubectl is not installed, or ends before.
 */
export async function portForward(
  flags: ClusterFlags,
  target: { readonly namespace: string; readonly object: string; readonly port: number },
): Promise<PortForward> {
  const { namespace, object, port } = target;
  const forward = ["port-forward", "--address", "127.0.0.1", object, `:${port}`];
  const args = [...clusterArgs(flags), "-n", namespace, ...forward];
  const child = spawn("kubectl", args, { stdio: ["ignore", "pipe", "pipe"] });
  let words = "";
  child.stderr.on("data", (part) => {
    words = (words + String(part)).slice(-MAX_CHARACTERS);
  });
  const ended = new Promise<string>((resolve, reject) => {
    child.once("error", (cause) =>
      reject(new CliError("kubectl could not be started", { remedy: "install kubectl", cause })),
    );
    child.once("close", () => resolve(words.trim()));
  });
  const listening = new Promise<number>((resolve) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [, found] = /^Forwarding from 127\.0\.0\.1:(\d+) /.exec(line) ?? [];
      if (found !== undefined) resolve(Number(found));
    });
  });
  const failed = ended.then((last): never => {
    throw new CliError(`kubectl port-forward to ${namespace}/${object} ended: ${last}`);
  });
  const local = await Promise.race([listening, failed]);
  // From here on its end is told by `ended`.
  failed.catch(() => undefined);
  return { port: local, ended, close: () => void child.kill() };
}

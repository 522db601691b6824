import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Ending of this very file: `.ts` in a checkout, `.js` in the built package. */
const ENDING = import.meta.url.slice(import.meta.url.lastIndexOf("."));
const START_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 2_000;

export interface ProgramOptions {
  /** File in `programs/`, without its ending. */
  readonly program: string;
  /** Network namespace to run in; null: this one. */
  readonly namespace: string | null;
  readonly env: Readonly<Record<string, string>>;
}

/** A demo program that runs. */
export interface RunningProgram {
  readonly pid: number;
  /** Where it listens, as it announced. */
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts a program and waits until it listens. Its standard error is kept for the error message. */
export async function startProgram(options: ProgramOptions): Promise<RunningProgram> {
  const file = fileURLToPath(new URL(`./programs/${options.program}${ENDING}`, import.meta.url));
  const node = [process.execPath, "--max-old-space-size=64", file];
  const [command = "", ...args] =
    options.namespace === null ? node : ["ip", "netns", "exec", options.namespace, ...node];
  const child = spawn(command, args, {
    // The environment is the program's own: neither this process's proxy settings nor its colours.
    env: { PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin", ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
    // A group of its own, so that Ctrl-C reaches this process only, and the order of ending is ours.
    detached: true,
  });
  // The pipe breaks when the program has ended, which its exit event tells already.
  child.stdin.on("error", () => child.stdin.destroy());
  const port = await announcedPort(child, options.program);
  return { pid: child.pid ?? 0, port, stop: () => stop(child) };
}

function announcedPort(child: ChildProcess, program: string): Promise<number> {
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-2_000);
  });
  return new Promise((resolve, reject) => {
    const fail = (what: string, cause?: unknown): void => {
      clearTimeout(timer);
      child.kill("SIGKILL");
      reject(
        new Error(`demo program ${program} ${what}${said === "" ? "" : `: ${said}`}`, { cause }),
      );
    };
    const timer = setTimeout(
      () => fail(`did not listen in ${START_TIMEOUT_MS} ms`),
      START_TIMEOUT_MS,
    );
    child.once("error", (reason) => fail("could not be started", reason));
    child.once("exit", (code, signal) => fail(`ended at once (${signal ?? code})`));
    if (child.stdout === null) return fail("has no output");
    createInterface({ input: child.stdout }).on("line", (line) => {
      const match = /^listening (\d+)$/.exec(line);
      if (match === null) return;
      clearTimeout(timer);
      resolve(Number(match[1]));
    });
  });
}

/** Closes the program's lifeline, and kills it where that does not end it. */
function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    child.once("exit", () => {
      clearTimeout(timer);
      resolve();
    });
    child.stdin?.end();
  });
}

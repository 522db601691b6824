import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { execRunner, type Runner } from "../../../iptables/runner.ts";
import { must, type Output, run } from "./shell.ts";

/** One network namespace, and the processes in it. */
export class Namespace {
  /** As `ip netns` knows it. */
  readonly name: string;
  /** Commands for `iptables/` code, run inside. */
  readonly runner: Runner;
  readonly #children = new Set<ChildProcess>();

  constructor(name: string) {
    this.name = name;
    this.runner = execRunner(["ip", "netns", "exec", name]);
  }

  /** Runs a command inside to its end, whatever its exit code. */
  run(command: string, args: readonly string[] = []): Promise<Output> {
    return run("ip", ["netns", "exec", this.name, command, ...args]);
  }

  /** As `run`, with standard input; a failure throws. Resolves with standard output. */
  exec(command: string, args: readonly string[] = [], stdin?: string): Promise<string> {
    return must("ip", ["netns", "exec", this.name, command, ...args], stdin);
  }

  /** A shell script inside; a failing line throws. */
  script(text: string): Promise<string> {
    return this.exec("sh", ["-eu"], text);
  }

  /** Starts a command inside; it is killed with the lab at the latest. */
  spawn(
    command: string,
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): ChildProcess {
    const child = spawn("ip", ["netns", "exec", this.name, command, ...args], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    return child;
  }

  /** The hosts file that programs inside see: `ip netns exec` mounts it over /etc/hosts. */
  async hosts(entries: Readonly<Record<string, string>>): Promise<void> {
    const lines = Object.entries(entries).map(([name, address]) => `${address} ${name}\n`);
    await mkdir(`/etc/netns/${this.name}`, { recursive: true });
    await writeFile(
      `/etc/netns/${this.name}/hosts`,
      `127.0.0.1 localhost\n::1 localhost\n${lines.join("")}`,
    );
  }

  /** Kills every process inside and removes the namespace. */
  async destroy(): Promise<void> {
    for (const child of this.#children) child.kill("SIGKILL");
    const { stdout } = await run("ip", ["netns", "pids", this.name]);
    for (const pid of stdout.split("\n").filter((line) => line !== "")) kill(Number(pid));
    await run("ip", ["netns", "del", this.name]);
    await rm(`/etc/netns/${this.name}`, { recursive: true, force: true });
  }
}

/** SIGKILL to a process that may have ended by itself. */
export function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";

/** After this time a process that was asked to end is killed. */
const PATIENCE_MS = 5_000;
const KEPT_OUTPUT = 4_096;
const POLL_MS = 50;

interface Running {
  readonly name: string;
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
  /** The end of what it printed, for the message when it fails. */
  output: string;
}

/** What goes in and out of a process that runs to its end. */
export interface Talk {
  /** Given on standard input, which ends then. */
  readonly input: string;
  /** Called with each line of standard output as it comes. */
  readonly onLine: (line: string) => void;
}

/** A process that stays, and the first line that it printed. */
export interface Announced {
  readonly pid: number;
  readonly line: string;
}

/**
 * The processes and the folder of one measurement. `close` ends and removes all of them, whatever happened; each
 * process leads a group of its own, so that its children end with it and Ctrl-C comes to the bench alone.
 */
export class Workbench {
  readonly folder: string;
  readonly #signal: AbortSignal;
  readonly #patienceMs: number;
  readonly #running: Running[] = [];

  private constructor(folder: string, signal: AbortSignal, patienceMs: number) {
    this.folder = folder;
    this.#signal = signal;
    this.#patienceMs = patienceMs;
  }

  /** Makes the folder. `signal` breaks off everything that waits. */
  static async open(signal: AbortSignal, patienceMs = PATIENCE_MS): Promise<Workbench> {
    const folder = await mkdtemp(join(tmpdir(), "hostmesh-bench-"));
    // Servers that were started by root read their files as somebody else.
    await chmod(folder, 0o755);
    return new Workbench(folder, signal, patienceMs);
  }

  /** Starts a process that stays; returns its id. Throws where it cannot be started. */
  start(name: string, command: readonly string[], env: NodeJS.ProcessEnv = process.env): number {
    const { child } = this.#spawn(name, command, env);
    if (child.pid === undefined) throw new Error(`${name} cannot be started: ${command[0]}`);
    return child.pid;
  }

  /** Starts a process that stays, and waits for its first line. Rejects where it ends before, or after `timeoutMs`. */
  async startAnnounced(
    name: string,
    command: readonly string[],
    timeoutMs: number,
  ): Promise<Announced> {
    const { child } = this.#spawn(name, command, process.env);
    let first: string | null = null;
    if (child.stdout !== null) {
      createInterface(child.stdout).once("line", (line) => {
        first = line;
      });
    }
    await this.until(name, () => Promise.resolve(first !== null), timeoutMs);
    return { pid: child.pid ?? 0, line: first ?? "" };
  }

  /** Runs a process to its end; resolves with what it printed. Rejects on failure or after `timeoutMs`. */
  async run(
    name: string,
    command: readonly string[],
    timeoutMs: number,
    talk: Talk | null = null,
  ): Promise<string> {
    const running = this.#spawn(name, command, process.env, talk);
    let printed = "";
    running.child.stdout?.on("data", (text: string) => {
      printed += text;
    });
    const late = AbortSignal.timeout(timeoutMs);
    const stop = AbortSignal.any([this.#signal, late]);
    const broken = once(stop, "abort").then(() => "broken off");
    await Promise.race([running.ended, stop.aborted ? "broken off" : broken]);
    this.#signal.throwIfAborted();
    if (late.aborted) throw new Error(`${name} did not end within ${timeoutMs} ms`);
    this.#running.splice(this.#running.indexOf(running), 1);
    if (running.child.exitCode !== 0) throw new Error(`${name} failed: ${running.output.trim()}`);
    return printed;
  }

  /** Waits until `isReady`; rejects where the process ends before, or after `timeoutMs`. */
  async until(name: string, isReady: () => Promise<boolean>, timeoutMs: number): Promise<void> {
    const running = this.#running.find((one) => one.name === name);
    for (let left = timeoutMs; left > 0; left -= POLL_MS) {
      if (running?.child.exitCode !== null) {
        throw new Error(`${name} ended: ${running?.output.trim()}`);
      }
      if (await isReady()) return;
      await delay(POLL_MS, undefined, { signal: this.#signal });
    }
    throw new Error(`${name} was not ready after ${timeoutMs} ms: ${running?.output.trim()}`);
  }

  /** Ends all processes, the last one first, and removes the folder. */
  async close(): Promise<void> {
    for (const running of this.#running.splice(0).reverse()) await end(running, this.#patienceMs);
    await rm(this.folder, { recursive: true, force: true });
  }

  #spawn(
    name: string,
    command: readonly string[],
    env: NodeJS.ProcessEnv,
    talk: Talk | null = null,
  ): Running {
    this.#signal.throwIfAborted();
    const [file = "", ...args] = command;
    const input = talk === null ? "ignore" : "pipe";
    const child = spawn(file, args, { env, detached: true, stdio: [input, "pipe", "pipe"] });
    // Nobody reads it when the process has ended, which its exit code tells already.
    child.stdin?.on("error", () => undefined).end(talk?.input);
    if (talk !== null && child.stdout !== null) {
      createInterface(child.stdout).on("line", talk.onLine);
    }
    const ended = new Promise((resolve) => {
      child.once("close", resolve);
      child.once("error", resolve);
    });
    const running: Running = { name, child, ended, output: "" };
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        running.output = (running.output + text).slice(-KEPT_OUTPUT);
      });
    }
    child.once("error", (error) => {
      running.output = error.message;
    });
    this.#running.push(running);
    return running;
  }
}

async function end({ child, ended }: Running, patienceMs: number): Promise<void> {
  if (child.pid === undefined) return;
  child.kill("SIGTERM");
  const patience = new AbortController();
  const late = delay(patienceMs, undefined, { signal: patience.signal }).catch(() => undefined);
  await Promise.race([ended, late]);
  patience.abort();
  killGroup(child.pid);
  await ended;
}

/** Whatever of the group is left, also when its leader has gone. */
function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    const gone = error instanceof Error && "code" in error && error.code === "ESRCH";
    if (!gone) throw error;
  }
}

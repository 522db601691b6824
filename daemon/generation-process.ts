import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { DataPathUser } from "./data-path-user.ts";
import type { FromGeneration, GenerationStart, ToGeneration } from "./generation-messages.ts";
import type { SharedListener } from "./worker-messages.ts";

/** How a generation is started; tests give a script of their own. */
export interface GenerationCommand {
  readonly file: string;
  readonly args: readonly string[];
  /** Whom it runs as, without any group besides; absent: whoever starts it. */
  readonly user?: DataPathUser;
}

export interface GenerationEvents {
  readonly message: (message: FromGeneration) => void;
  readonly exit: (how: string) => void;
}

/**
 * The young generation of the main thread's heap, in MiB of one of its halves; workers have their own (`sizeWorkerHeaps`). V8's
 * own 16 would be filled to the brim before it is swept, and costs many times as much memory for no gain. 1 is too few
 * (docs/performance.md).
 */
const FLAGS = ["--max-semi-space-size=2"];

/** This very Node with its flags (which win over ours), and the generation's script beside this file (`.ts`, or `.js` built). */
export function generationCommand(): GenerationCommand {
  const script = new URL(`./generation${extname(import.meta.url)}`, import.meta.url);
  return { file: process.execPath, args: [...FLAGS, ...process.execArgv, fileURLToPath(script)] };
}

/**
 * glibc gives every thread a heap of its own (up to eight per CPU), and what is freed in one is of no use to the
 * others. Two are enough for threads that mostly allocate in V8. Other C libraries ignore the variable.
 */
const ARENAS = "2";

/** Descriptors 0 to 2 are standard, 3 is the IPC channel, listeners follow. */
const FIRST_LISTENER_FD = 4;

/** One generation: a child process with an IPC channel that inherits the listening sockets. */
export class GenerationProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;

  constructor(
    command: GenerationCommand,
    start: Omit<GenerationStart, "listeners">,
    listeners: readonly SharedListener[],
    events: GenerationEvents,
  ) {
    const inherited = listeners.map(({ fd }) => fd);
    this.#child = spawn(command.file, command.args, {
      stdio: ["ignore", "inherit", "inherit", "ipc", ...inherited],
      env: { MALLOC_ARENA_MAX: ARENAS, ...process.env },
      ...command.user,
    });
    this.#child.on("message", (message) => events.message(message as FromGeneration));
    this.#exited = new Promise((resolve) => {
      const end = (how: string) => {
        resolve();
        events.exit(how);
      };
      this.#child.once("exit", (code, signal) => end(signal ?? `exit code ${code}`));
      this.#child.once("error", (error) => {
        // A failed spawn has no exit; a failed send is followed by one.
        if (this.#child.pid === undefined) end(error.message);
      });
    });
    const theirs = listeners.map((listener, index) => ({
      ...listener,
      fd: FIRST_LISTENER_FD + index,
    }));
    this.#send({ type: "start", start: { ...start, listeners: theirs } });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Tells whether connections are captured, and whether that has ended for good. */
  tellCapture(active: boolean, released: boolean): void {
    this.#send({ type: "capture", active, released });
  }

  /** Asks for a drain and waits; what is still there two seconds after the deadline is killed. */
  async drain(lingerMs: number, deadlineMs: number): Promise<void> {
    this.#send({ type: "drain", lingerMs, deadlineMs });
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), lingerMs + deadlineMs + 2_000);
    await this.#exited;
    clearTimeout(timer);
  }

  /** Ends it now. Resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
  }

  #send(message: ToGeneration): void {
    // An error here means that the child is going; its exit says so.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }
}

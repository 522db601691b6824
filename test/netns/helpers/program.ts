import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { until } from "../../helpers/until.ts";
import { kill, type Namespace } from "./namespace.ts";

/** What a failed test shows of a program's output. */
const KEPT_CHARACTERS = 20_000;

/** Where programs run: a namespace, or what stands for one. */
export type Place = Pick<Namespace, "spawn">;

/** A program in a namespace, with what it has said. It ends with its namespace at the latest. */
export class Program {
  readonly child: ChildProcess;
  #output = "";
  readonly #exited: Promise<unknown>;

  constructor(
    place: Place,
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ) {
    this.child = place.spawn(command, args, env);
    this.#exited = once(this.child, "exit");
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#output = (this.#output + text).slice(-KEPT_CHARACTERS);
      });
    }
  }

  /** Standard output and standard error. */
  get output(): string {
    return this.#output;
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error("the program did not start");
    return this.child.pid;
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Process ids of its children. */
  get children(): number[] {
    const text = readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, "utf8");
    return text.trim().split(" ").filter(Boolean).map(Number);
  }

  /** Waits until it has said this; fails with all that it said when it ends before or takes too long. */
  async said(pattern: RegExp, timeoutMs = 30_000): Promise<void> {
    const found = () => pattern.test(this.#output);
    const settled = () => found() || !this.running;
    await until(settled, { timeoutMs, what: `${pattern}` }).catch(() => undefined);
    if (!found()) throw new Error(`it did not say ${pattern} but:\n${this.#output}`);
  }

  /** Sends the signal, if any, and waits for the end. Resolves with the exit code, null after a signal. */
  async end(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal !== undefined && this.running) this.child.kill(signal);
    await this.#exited;
    return this.child.exitCode;
  }

  /** SIGKILL to it and its children at one moment, and waits until they are gone. */
  async killTree(): Promise<void> {
    const pids = [this.pid, ...this.children];
    for (const pid of pids) kill(pid);
    await this.#exited;
  }
}

/** One of the scripts of this folder, which answers questions (`answer-lines.ts`). */
export class Script extends Program {
  readonly #waiting = new Map<number, (answer: object) => void>();
  readonly #ready: Promise<unknown>;
  readonly #ended: Promise<never>;
  #last = 0;

  constructor(place: Place, name: string, args: readonly (string | number)[] = []) {
    const path = fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
    super(place, process.execPath, [path, ...args.map(String)]);
    this.child.stdin?.on("error", () => this.child.stdin?.destroy());
    this.#ended = once(this.child, "exit").then(() => {
      throw new Error(`the script has ended: ${this.output}`);
    });
    // Only those who wait for an answer want to know.
    this.#ended.catch(() => undefined);
    const lines = createInterface({ input: this.child.stdout! });
    this.#ready = once(lines, "line");
    lines.on("line", (line) => {
      if (line === "ready") return;
      const { id, ...answer }: { id: number } = JSON.parse(line);
      this.#waiting.get(id)?.(answer);
      this.#waiting.delete(id);
    });
  }

  static async start(
    place: Place,
    name: string,
    args: readonly (string | number)[] = [],
  ): Promise<Script> {
    const script = new Script(place, name, args);
    await Promise.race([script.#ready, script.#ended]);
    return script;
  }

  async ask<T extends object>(question: object): Promise<T> {
    this.#last += 1;
    const id = this.#last;
    const answer = new Promise<object>((resolve) => this.#waiting.set(id, resolve));
    this.child.stdin?.write(`${JSON.stringify({ ...question, id })}\n`);
    return (await Promise.race([answer, this.#ended])) as T;
  }
}

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BenchError } from "../lib/bench-error.ts";
import { findProgram } from "../lib/tools.ts";
import { type Counts, parseSummary } from "./summary.ts";

/** strace stops every thread once to attach to it. */
const ATTACH_MS = 10_000;
const END_MS = 10_000;

/** Why system calls cannot be counted here, with what to do about it; null: they can. */
export async function whyNotCountable(): Promise<string | null> {
  if (process.platform !== "linux") return "strace needs Linux";
  const sleeper = spawn("sleep", ["60"], { stdio: "ignore" });
  try {
    const counter = await SyscallCounter.attach([sleeper.pid ?? 0]);
    await counter.end();
    return null;
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    return error.message;
  } finally {
    sleeper.kill("SIGKILL");
  }
}

/** Counts system calls from `attach` to `end`: `strace -c`. */
export class SyscallCounter {
  readonly #strace: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #folder: string;
  readonly #said: () => string;

  private constructor(strace: ChildProcess, folder: string, said: () => string) {
    this.#strace = strace;
    this.#folder = folder;
    this.#said = said;
    this.#ended = once(strace, "exit");
  }

  /**
   * Resolves when counting has begun: of all threads of these processes, also of those that they start; or, with
   * `alone`, of these threads and no other. Throws a BenchError where this process may not trace them.
   */
  static async attach(ids: readonly number[], alone = false): Promise<SyscallCounter> {
    const program = await findProgram("strace");
    if (program === null) throw new BenchError("strace is not installed: apt-get install strace");
    const folder = await mkdtemp(join(tmpdir(), "hostmesh-strace-"));
    const targets = ids.flatMap((id) => ["-p", String(id)]);
    const follow = alone ? [] : ["-f"];
    const args = ["-c", ...follow, "-o", join(folder, "summary"), ...targets];
    const strace = spawn(program, args, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, LC_ALL: "C" },
    });
    let said = "";
    const counter = new SyscallCounter(strace, folder, () => said);
    strace.stderr?.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    // It says so once for each process, when all threads that were there are attached.
    const isAttached = () => (said.match(/Process \d+ attached/g) ?? []).length >= ids.length;
    const deadline = performance.now() + ATTACH_MS;
    while (!isAttached()) {
      const late = performance.now() > deadline;
      if (strace.exitCode !== null || strace.pid === undefined || late) {
        await counter.#discard();
        throw new BenchError(`strace cannot attach: ${said.trim()}`);
      }
      await Promise.race([once(strace.stderr ?? strace, "data"), pause(50)]);
    }
    return counter;
  }

  /** Lets the processes go, and resolves with what they called. Throws where one of them has ended meanwhile. */
  async end(): Promise<Counts> {
    this.#strace.kill("SIGINT");
    try {
      await Promise.race([this.#ended, pause(END_MS)]);
      return parseSummary(await readFile(join(this.#folder, "summary"), "utf8"));
    } catch (cause) {
      throw new BenchError(`strace did not count: ${this.#said().trim()}`, { cause });
    } finally {
      await this.#discard();
    }
  }

  async #discard(): Promise<void> {
    if (this.#strace.exitCode === null) this.#strace.kill("SIGKILL");
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
